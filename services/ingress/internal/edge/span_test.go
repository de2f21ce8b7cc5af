package edge

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/trace"
)

// noted is a recorder, and its span, that notes what is said.
type noted struct{ lines *[]string }

func (n noted) Start(s trace.Start) trace.Span {
	*n.lines = append(*n.lines, s.Name+s.Parent+strings.Join(s.Links, ""))
	n.Set(s.Attrs...)
	return n
}
func (n noted) Begin(s trace.Start) trace.Span { return n.Start(s) }
func (noted) Parent() string                   { return "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }
func (n noted) Set(attrs ...slog.Attr) {
	for _, a := range attrs {
		*n.lines = append(*n.lines, a.Key+"="+a.Value.String())
	}
}
func (n noted) End(failed string) { *n.lines = append(*n.lines, "end "+failed) }

// A request's span has its route's template and its status: neither its path, nor what the
// phone says of a trace of its own. A refusal is the phone's failure, and none here.
func TestARequestIsTracedByItsRoute(t *testing.T) {
	for status, failed := range map[int]string{202: "", 404: "", 429: "", 500: "500", 503: "503"} {
		var lines []string
		l := newLine(t, limit.Rate{})
		l.Traces = noted{&lines}
		l.Around(func(rc *fasthttp.RequestCtx) {
			Match(rc, Route{"GET", "/a/{x}"})
			if trace.From(Traced(t.Context(), rc)).Parent() == "" {
				t.Error("what it brings about has no trace")
			}
			rc.SetStatusCode(status)
		})(request(t, "GET /a/secret?q=secret HTTP/1.1\r\nHost: x\r\nTraceparent: 00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01\r\nTracestate: a=b\r\n\r\n"))
		want := []string{"GET /a/{x}", "http.request.method=GET", "http.route=/a/{x}", "http.response.status_code=" + string(fasthttp.AppendUint(nil, status)), "end " + failed}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("%d (-want +got):\n%s", status, diff)
		}
	}
}

// What no route is for, and what panics, has a span of nobody and one that failed.
func TestAPanicIsTraced(t *testing.T) {
	var lines []string
	l := newLine(t, limit.Rate{})
	l.Traces = noted{&lines}
	l.Around(func(rc *fasthttp.RequestCtx) { rc.SetStatusCode(404) })(request(t, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"))
	if len(lines) > 0 {
		t.Errorf("what is no route's is traced: %q", lines)
	}
	l.Around(func(rc *fasthttp.RequestCtx) {
		Match(rc, Route{"GET", "/a/{x}"})
		panic("canary")
	})(request(t, "GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n"))
	if last := lines[len(lines)-1]; last != "end 500" {
		t.Errorf("a panic's span: %q", lines)
	}
}
