// Package uri gives a request the one reading of its path that everything behind it shares.
package uri

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// Normalize gives the request the one reading of its path that the limit, the
// router and the log share (RFC 3986 §6.2.2): what is percent-encoded without need
// is decoded, the rest keeps its encoding, so that no step sees a separator that
// another does not. A path that climbs is refused.
func Normalize(rc *fasthttp.RequestCtx) *problem.Problem {
	uri := rc.RequestURI()
	if string(uri) == "*" {
		return nil
	}
	path, query, asked := bytes.Cut(uri, []byte("?"))
	if bytes.IndexByte(path, '#') >= 0 || bytes.IndexByte(path, '\\') >= 0 {
		return problem.New(problem.BadRequest, "the path is malformed")
	}
	if bytes.IndexByte(path, '%') < 0 && !bytes.Contains(path, []byte("/.")) && len(path) > 0 && path[0] == '/' {
		return nil
	}
	plain, ok := decoded(originForm(string(path)))
	if !ok {
		return problem.New(problem.BadRequest, "the path is malformed")
	}
	for segment := range strings.SplitSeq(plain, "/") {
		if segment == "." || segment == ".." {
			return problem.New(problem.BadRequest, "the path climbs")
		}
	}
	if asked {
		plain += "?" + string(query)
	}
	rc.Request.SetRequestURI(plain)
	return nil
}

// originForm is the path of a request line that names the server, too (RFC 9112 §3.2.2).
func originForm(target string) string {
	_, rest, named := strings.Cut(target, "://")
	if !named || strings.HasPrefix(target, "/") {
		return target
	}
	if at := strings.IndexByte(rest, '/'); at >= 0 {
		return rest[at:]
	}
	return "/"
}

// decoded is the path with every unreserved character as itself and every other
// encoding in capitals; false where an encoding is none.
func decoded(path string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", false
		}
		high, low := digit(path[i+1]), digit(path[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		if c := byte(high<<4 | low); unreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String(), b.Len() > 0 && b.String()[0] == '/'
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
