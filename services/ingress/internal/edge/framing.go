package edge

import (
	"bytes"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// HTTPVersion is the code of a request of a version that is not spoken here.
const HTTPVersion problem.Code = "505 http_version_not_supported"

// Unhurried is told of each request's headers by the server, which then reads
// nothing of the body by itself and asks nobody to send it: who is known, and may,
// has their body read by ReadBody.
func Unhurried(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if h.ContentLength() > 0 {
		h.SetContentLength(-1) // of unknown length nothing is read in advance; wellFormed says it again
	}
	h.Del(fasthttp.HeaderExpect)
	return fasthttp.RequestConfig{}
}

// lines are what a request's header lines say of its framing.
type lines struct {
	lengths, codings, hosts int
	length                  int  // the last Content-Length
	expects                 bool // the body comes once it is asked for
	malformed               bool
}

func linesOf(raw []byte) (l lines) {
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			continue
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			l.malformed = true
			return l
		}
		l.read(name, bytes.TrimSpace(value))
	}
	return l
}

func (l *lines) read(name, value []byte) {
	is := func(known string) bool { return len(name) == len(known) && bytes.EqualFold(name, []byte(known)) }
	switch {
	case is("content-length"):
		l.lengths++
		l.length, _ = strconv.Atoi(string(value)) // the server has refused what is none
	case is("transfer-encoding"):
		l.codings++
	case is("host"):
		l.hosts++
	case is("expect"):
		l.expects = l.expects || bytes.EqualFold(value, []byte("100-continue"))
	}
}

// wellFormed refuses what two parsers could read as different requests (RFC 9112
// §3.2, §6.3, §11.2): length and transfer coding together or twice, no host or two,
// white space around a name, folded lines. It also takes back what Unhurried said.
func wellFormed(rc *fasthttp.RequestCtx, x *exchange) *problem.Problem {
	h := &rc.Request.Header
	version := string(h.Protocol())
	if version != "HTTP/1.1" && version != "HTTP/1.0" {
		return problem.New(HTTPVersion, "the version of HTTP must be 1.1 or 1.0")
	}
	l := linesOf(h.RawHeaders())
	switch {
	case l.malformed:
		return problem.New(problem.BadRequest, "a header line is malformed")
	case l.lengths+l.codings > 1 || l.codings == 1 && h.ContentLength() != -1:
		return problem.New(problem.BadRequest, "the length of the body is told more than once")
	case l.codings == 1 && version == "HTTP/1.0":
		return problem.New(problem.BadRequest, "HTTP/1.0 has no chunks")
	case l.hosts > 1 || l.hosts == 0 && version == "HTTP/1.1":
		return problem.New(problem.BadRequest, "a request has exactly one Host")
	}
	if l.lengths == 1 && h.ContentLength() == -1 {
		h.SetContentLength(l.length)
	}
	x.waits = l.expects && version == "HTTP/1.1"
	return nil
}
