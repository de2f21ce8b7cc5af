package ingress

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// exchangeKey finds a request's exchange among the server's user values.
type exchangeKey struct{}

// An exchange is what the edge remembers of one request: never who or what.
type exchange struct {
	route    *route // nil where none matched
	start    time.Time
	consumed bool // the body was read to its end
}

func exchangeOf(rc *fasthttp.RequestCtx) *exchange {
	x, _ := rc.UserValue(exchangeKey{}).(*exchange)
	return x
}

// edge is the outermost step of every request.
func (s *Server) edge(rc *fasthttp.RequestCtx) {
	x := &exchange{start: time.Now()}
	rc.SetUserValue(exchangeKey{}, x)
	defer s.account(rc, x)
	defer s.survive(rc)
	secure(rc)
	if !knownMethod(rc.Method()) {
		rc.Request.Header.SetMethod("TRACE") // known, and no route's: 404, or 405 with Allow
	}
	if p := framing(rc); p != nil {
		s.refuse(rc, p)
		rc.SetConnectionClose()
		x.consumed = true // what follows cannot be told from another request
		return
	}
	d := s.byAddress.Take(addressOf(rc.RemoteAddr()))
	if !d.OK && !exempt(rc.Path()) {
		s.refuse(rc, tooMany(rc, "address", d, s.Limits.AddressRate))
	} else {
		s.inner(rc)
	}
	drain(rc, x)
}

// exempt are the paths that a probe must always reach.
func exempt(path []byte) bool { return string(path) == "/healthz" || string(path) == "/readyz" }

// secure sets the headers that every reply carries.
func secure(rc *fasthttp.RequestCtx) {
	h := &rc.Response.Header
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

func knownMethod(m []byte) bool {
	switch string(m) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return true
	}
	return false
}

// framing refuses what two parsers could read as different requests (RFC 9112
// §6.3, §11.2): length and transfer coding together or twice, white space
// around a name, folded lines.
func framing(rc *fasthttp.RequestCtx) *problem.Problem {
	lengths, codings, hosts := 0, 0, 0
	for line := range bytes.SplitSeq(rc.Request.Header.RawHeaders(), []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		name, _, found := bytes.Cut(line, []byte(":"))
		if len(line) == 0 {
			continue
		}
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return problem.New(problem.BadRequest, "a header line is malformed")
		}
		switch {
		case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
			lengths++
		case len(name) == len("transfer-encoding") && bytes.EqualFold(name, []byte("transfer-encoding")):
			codings++
		case len(name) == len("host") && bytes.EqualFold(name, []byte("host")):
			hosts++
		}
	}
	if lengths+codings > 1 || hosts > 1 || codings == 1 && rc.Request.Header.ContentLength() != -1 {
		return problem.New(problem.BadRequest, "the length of the body is told more than once")
	}
	return nil
}

// hasBody reports whether the request announced a body.
func hasBody(rc *fasthttp.RequestCtx) bool {
	n := rc.Request.Header.ContentLength()
	return n > 0 || n == -1
}

// drain takes in what is left of a body nobody wanted, within bounds, so that
// the refusal is not lost in a reset; and closes the connection, since what
// follows on it may still be body.
func drain(rc *fasthttp.RequestCtx, x *exchange) {
	if x.consumed || !hasBody(rc) {
		return
	}
	rc.SetConnectionClose()
	stream := rc.RequestBodyStream()
	if stream == nil {
		return
	}
	if c := rc.Conn(); c != nil {
		_ = c.SetReadDeadline(time.Now().Add(drainFor)) // a connection without deadlines is read as it is
	}
	var scrap [4096]byte
	for taken := 0; taken < drainAtMost; {
		n, err := stream.Read(scrap[:])
		taken += n
		if err != nil {
			return
		}
	}
}

// survive turns a panic into a 500 and keeps the process.
func (s *Server) survive(rc *fasthttp.RequestCtx) {
	r := recover()
	if r == nil {
		return
	}
	// The value is not logged: it may quote what was being handled.
	s.Logger.LogAttrs(context.Background(), slog.LevelError, "request panicked", slog.String("stack", string(debug.Stack())))
	s.metrics.panics.Inc()
	s.refuse(rc, problem.New(problem.Internal, "the platform failed; the request may be repeated"))
	rc.SetConnectionClose()
}

// account writes the request's log line and counts it. It knows the route's
// template, never the path, the query or the person.
func (s *Server) account(rc *fasthttp.RequestCtx, x *exchange) {
	took, status, template := time.Since(x.start), rc.Response.StatusCode(), "none"
	if x.route != nil {
		template = x.route.path
	}
	s.metrics.request(x.route, status, took)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelWarn
	}
	if !s.Logger.Enabled(context.Background(), level) {
		return
	}
	s.Logger.LogAttrs(context.Background(), level, "request",
		slog.String("method", string(rc.Method())),
		slog.String("route", template),
		slog.Int("status", status),
		slog.Duration("duration", took))
}

// addressOf is what the address limit counts by.
func addressOf(a net.Addr) addressKey {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return addressKey{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if ip.Is6() {
		if block, err := ip.WithZone("").Prefix(64); err == nil {
			return block.Addr()
		}
	}
	return ip
}

// showLimit tells the client where it stands (draft-ietf-httpapi-ratelimit-headers).
func showLimit(rc *fasthttp.RequestCtx, name string, d limit.Decision, r Rate) {
	if d.Limit == 0 {
		return
	}
	var buf [64]byte
	b := append(append(append(buf[:0], '"'), name...), `";q=`...)
	b = strconv.AppendInt(b, int64(r.Burst), 10)
	if r.PerSecond > 0 {
		b = strconv.AppendInt(append(b, ";w="...), max(1, int64(float64(r.Burst)/r.PerSecond)), 10)
	}
	rc.Response.Header.SetBytesV("RateLimit-Policy", b)
	b = append(append(append(b[:0], '"'), name...), `";r=`...)
	b = strconv.AppendInt(b, int64(d.Remaining), 10)
	b = strconv.AppendInt(append(b, ";t="...), seconds(d.Reset), 10)
	rc.Response.Header.SetBytesV("RateLimit", b)
}

func tooMany(rc *fasthttp.RequestCtx, name string, d limit.Decision, r Rate) *problem.Problem {
	showLimit(rc, name, d, r)
	return problem.OverLimit(problem.TooManyRequests, "too many requests from this "+name+"; Retry-After says when to come again", "requests", int64(d.Limit)).
		With("Retry-After", strconv.FormatInt(seconds(d.Retry), 10))
}

// seconds rounds up: nobody is asked to come too early.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
