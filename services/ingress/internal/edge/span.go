package edge

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/trace"
)

// Match tells the edge which route the request is for. With it the request's span
// begins, which has the route's template for a name, and never the path. What the
// client says of traces of its own is not read.
func Match(rc *fasthttp.RequestCtx, r Route) {
	x := exchangeOf(rc)
	x.route = r
	x.span = x.traces.Start(trace.Start{Name: r.Method + " " + r.Path, Kind: trace.Server, At: x.start, Attrs: []slog.Attr{
		slog.String("http.request.method", r.Method), slog.String("http.route", r.Path),
	}})
}

// Traced is the context of what the request brings about.
func Traced(ctx context.Context, rc *fasthttp.RequestCtx) context.Context {
	return trace.With(ctx, exchangeOf(rc).span)
}

// context is that of the request's own lines of the log.
func (x *exchange) context() context.Context { return trace.With(context.Background(), x.span) }

// endSpan ends the request's span, with the head of its reply. A refusal is no failure:
// it is the client's.
func (x *exchange) endSpan(status int) {
	x.span.Set(slog.Int("http.response.status_code", status))
	failed := ""
	if status >= fasthttp.StatusInternalServerError {
		failed = strconv.Itoa(status)
	}
	x.span.End(failed)
}
