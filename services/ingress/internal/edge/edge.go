// Package edge is the outermost step of every request: its connection, framing
// and path, the limit an address, panics, the log line and the counts, and the
// form its reply goes out in. It reads bodies within bounds and renders refusals.
// It knows no store and nobody's name.
package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/line"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/represent"
	"github.com/clarity-loop/clarity/services/ingress/internal/uri"
	"github.com/clarity-loop/clarity/services/trace"
)

// MethodNotAllowed is the code of a method that the path does not know.
const MethodNotAllowed problem.Code = "405 method_not_allowed"

// rememberedAddresses bounds the buckets.
const rememberedAddresses = 50_000

// Needs is what the edge needs.
type Needs struct {
	Log         *slog.Logger
	Registry    prometheus.Registerer
	Now         func() time.Time
	AddressRate limit.Rate     // requests from one address (IPv6: one /64)
	BodyBytes   int            // of one request as received, for the refusal's text
	Pace        Pace           // the least of a body's sender
	Proxies     line.Proxies   // who says for whom a request comes
	Origins     Origins        // whose pages may call
	Routes      []Route        // all there are: the counts know no other
	Traces      trace.Recorder // nil records none
	// Problem is what an error of a route becomes.
	Problem func(context.Context, error) *problem.Problem
}

// An Edge is the outermost step.
type Edge struct {
	Needs
	byAddress, probes *limit.Limiter[netip.Addr]
	metrics           *metrics
	packer            *represent.Packer
}

// New is an edge; its counts are registered.
func New(n Needs) (*Edge, error) {
	m, err := newMetrics(n.Registry, n.Routes)
	if err != nil {
		return nil, err
	}
	p, err := represent.NewPacker()
	if err != nil {
		return nil, err
	}
	buckets := func() *limit.Limiter[netip.Addr] {
		return limit.New[netip.Addr](n.AddressRate, rememberedAddresses, n.Now)
	}
	if n.Traces == nil {
		n.Traces = trace.None()
	}
	return &Edge{Needs: n, byAddress: buckets(), probes: buckets(), metrics: m, packer: p}, nil
}

// A Route is what is logged and counted of a request: never the path as sent.
type Route struct{ Method, Path string }

// exchangeKey finds a request's exchange among the server's user values.
type exchangeKey struct{}

// An exchange is what the edge remembers of one request: never who or what.
type exchange struct {
	id          string
	traces      trace.Recorder
	span        trace.Span // of what a route does; records nothing where none matched
	route       Route      // the zero one where none matched
	start       time.Time
	pace        Pace
	head        bool // HEAD: the reply's body stays here
	waits       bool // the body comes once it is asked for
	consumed    bool // the body was read to its end
	conditional bool // the reply is tagged
}

func exchangeOf(rc *fasthttp.RequestCtx) *exchange {
	x, _ := rc.UserValue(exchangeKey{}).(*exchange)
	return x
}

// Started is when the request's headers had come.
func Started(rc *fasthttp.RequestCtx) time.Time { return exchangeOf(rc).start }

// Around puts the edge around the handler of all routes.
func (e *Edge) Around(inner fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(rc *fasthttp.RequestCtx) {
		x := &exchange{id: requestID(rc), traces: e.Traces, span: trace.From(context.Background()), start: time.Now(), pace: e.Pace}
		rc.SetUserValue(exchangeKey{}, x)
		defer e.logRequest(rc, x)
		defer e.represent(rc, x)
		defer e.recoverPanic(rc, x)
		rc.Response.Header.Set(requestIDHeader, x.id)
		secure(rc)
		e.Origins.mark(rc)
		p := wellFormed(rc, x)
		if p == nil {
			p = uri.Normalize(rc)
		}
		if p != nil {
			Refuse(rc, p)
			rc.SetConnectionClose()
			return // what follows cannot be told from another request
		}
		if p := e.limited(rc); p != nil {
			Refuse(rc, p)
		} else {
			x.handle(rc, inner)
		}
		discardBody(rc, x)
	}
}

// handle has the request handled, HEAD as GET.
func (x *exchange) handle(rc *fasthttp.RequestCtx, inner fasthttp.RequestHandler) {
	h := &rc.Request.Header
	switch {
	case h.IsOptions() && string(h.RequestURI()) == "*":
		rc.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD, POST, PUT, DELETE, OPTIONS")
		options(rc)
		return
	case h.IsHead():
		x.head = true
		h.SetMethod(fasthttp.MethodGet)
	case !knownMethod(h.Method()):
		h.SetMethod(fasthttp.MethodTrace) // known, and no route's: 404, or 405 with Allow
	}
	inner(rc)
}

// limited refuses a request beyond the rate of its address. Probes have a rate
// of their own: whatever else an address asks, they are answered.
func (e *Edge) limited(rc *fasthttp.RequestCtx) *problem.Problem {
	buckets := e.byAddress
	if probe(rc.Request.Header.RequestURI()) {
		buckets = e.probes
	}
	d := buckets.Take(e.Proxies.Client(rc))
	if !d.OK {
		return TooMany(rc, "address", d, e.AddressRate)
	}
	ShowLimit(rc, "address", d, e.AddressRate)
	return nil
}

// probe says whether the request is one of those that must always be answered.
func probe(uri []byte) bool {
	path, _, _ := bytes.Cut(uri, []byte("?"))
	return string(path) == "/healthz" || string(path) == "/readyz"
}

// secure sets the headers that every reply carries.
func secure(rc *fasthttp.RequestCtx) {
	h := &rc.Response.Header
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// Shared has a reply that is the same for everybody be kept on its way for so many
// seconds: it says nothing of who asked.
func Shared(rc *fasthttp.RequestCtx, seconds int) {
	h := &rc.Response.Header
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(seconds))
	h.Del("RateLimit-Policy")
	h.Del("RateLimit")
}

func knownMethod(m []byte) bool {
	switch string(m) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return true
	}
	return false
}

// Conditional has the reply carry a tag of its content; who names the tag in
// If-None-Match is told that nothing changed.
func Conditional(rc *fasthttp.RequestCtx) { exchangeOf(rc).conditional = true }

// represent gives the finished reply the form that was asked for. What is sent
// while it is made goes as it is.
func (e *Edge) represent(rc *fasthttp.RequestCtx, x *exchange) {
	r := &rc.Response
	switch {
	case r.IsBodyStream() && x.head:
		r.ResetBody() // ends whoever fills it
	case r.IsBodyStream():
	case x.conditional && r.StatusCode() == fasthttp.StatusOK && represent.Unchanged(rc):
	default:
		e.packer.Pack(rc)
	}
	r.SkipBody = r.SkipBody || x.head
	if c, ours := rc.Conn().(*line.Conn); ours {
		c.Replying()
	}
}

// recoverPanic turns a panic into a 500 and keeps the process.
func (e *Edge) recoverPanic(rc *fasthttp.RequestCtx, x *exchange) {
	r := recover()
	if r == nil {
		return
	}
	// The value is not logged: it may quote what was being handled.
	e.Log.LogAttrs(x.context(), slog.LevelError, "request panicked", slog.String("request", x.id), slog.String("stack", string(debug.Stack())))
	e.metrics.panics.Inc()
	Refuse(rc, problem.New(problem.Internal, "the platform failed; the request may be repeated"))
	rc.SetConnectionClose()
}

// logRequest writes the request's log line and counts it. It knows the route's
// template, never the path, the query or the person.
func (e *Edge) logRequest(rc *fasthttp.RequestCtx, x *exchange) {
	took, status, template := time.Since(x.start), rc.Response.StatusCode(), x.route.Path
	if template == "" {
		template = "none"
	}
	x.endSpan(status)
	e.metrics.request(x.route, status, took)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelWarn
	}
	if !e.Log.Enabled(context.Background(), level) {
		return
	}
	method := string(rc.Method())
	if x.head {
		method = fasthttp.MethodHead
	}
	e.Log.LogAttrs(x.context(), level, "request",
		slog.String("request", x.id),
		slog.String("method", method),
		slog.String("route", template),
		slog.Int("status", status),
		slog.Duration("duration", took))
}

// Refuse renders a problem.
func Refuse(rc *fasthttp.RequestCtx, p *problem.Problem) {
	rc.Response.ResetBody()
	rc.Response.Header.SetContentType(problem.ContentType)
	for name, values := range p.GetHeaders() {
		for _, v := range values {
			rc.Response.Header.Set(name, v)
		}
	}
	rc.Response.SetStatusCode(p.Status)
	rc.Response.SetBodyRaw(p.JSON())
}

// Unrouted answers what no route did: unknown paths and methods, and requests
// that the server could not read.
func (e *Edge) Unrouted(c *fiber.Ctx, err error) error {
	rc := c.Context()
	secure(rc)
	if exchangeOf(rc) == nil { // it was not read as far as Around
		rc.Response.Header.Set(requestIDHeader, requestID(rc))
	}
	code := fiber.StatusInternalServerError
	var fe *fiber.Error
	if errors.As(err, &fe) {
		code = fe.Code
	}
	known := string(rc.Response.Header.Peek(fasthttp.HeaderAllow))
	Refuse(rc, e.unrouted(c.UserContext(), code, err))
	if code == fiber.StatusMethodNotAllowed && known != "" {
		rc.Response.Header.Set(fasthttp.HeaderAllow, allow(known))
		if rc.Request.Header.IsOptions() {
			options(rc)
		}
	}
	return nil
}

func (e *Edge) unrouted(ctx context.Context, code int, err error) *problem.Problem {
	switch code {
	case fiber.StatusNotFound:
		return problem.New(problem.NotFound, "there is no such route")
	case fiber.StatusMethodNotAllowed:
		return problem.New(MethodNotAllowed, "the route does not know this method; Allow lists those it knows")
	case fiber.StatusRequestTimeout:
		return problem.New(problem.RequestTimeout, "the request was not complete in time")
	case fiber.StatusRequestHeaderFieldsTooLarge:
		return problem.New(problem.HeadersTooLarge, "the request line and headers are larger than 4 KiB")
	case fiber.StatusRequestEntityTooLarge:
		return problem.OverLimit(problem.TooLarge, "the body is too large", "body_bytes", int64(e.BodyBytes))
	case fiber.StatusBadRequest, fiber.StatusBadGateway:
		return problem.New(problem.BadRequest, "this is not a well-formed HTTP request")
	}
	return e.Problem(ctx, fmt.Errorf("serve a request: %w", err))
}
