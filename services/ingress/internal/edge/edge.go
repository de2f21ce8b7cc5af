// Package edge is the outermost step of every request: its framing, the limit
// an address, panics, the log line and the counts. It reads bodies within
// bounds and renders refusals. It knows no store and nobody's name.
package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// MethodNotAllowed is the code of a method that the path does not know.
const MethodNotAllowed problem.Code = "405 method_not_allowed"

// What is not worth a setting.
const (
	rememberedAddresses = 50_000
	discardAtMost       = 64 << 20 // of a refused body, so that the refusal arrives
	discardFor          = 2 * time.Second
)

// Needs is what the edge needs.
type Needs struct {
	Log         *slog.Logger
	Registry    prometheus.Registerer
	Now         func() time.Time
	AddressRate limit.Rate // requests from one address (IPv6: one /64)
	BodyBytes   int        // of one request as received, for the refusal's text
	Routes      []Route    // all there are: the counts know no other
	// Problem is what an error of a route becomes.
	Problem func(context.Context, error) *problem.Problem
}

// An Edge is the outermost step.
type Edge struct {
	Needs
	byAddress *limit.Limiter[netip.Addr]
	metrics   *metrics
}

// New is an edge; its counts are registered.
func New(n Needs) (*Edge, error) {
	m, err := newMetrics(n.Registry, n.Routes)
	if err != nil {
		return nil, err
	}
	return &Edge{Needs: n, byAddress: limit.New[netip.Addr](n.AddressRate, rememberedAddresses, n.Now), metrics: m}, nil
}

// A Route is what is logged and counted of a request: never the path as sent.
type Route struct{ Method, Path string }

// exchangeKey finds a request's exchange among the server's user values.
type exchangeKey struct{}

// An exchange is what the edge remembers of one request: never who or what.
type exchange struct {
	route    Route // the zero one where none matched
	start    time.Time
	consumed bool // the body was read to its end
}

func exchangeOf(rc *fasthttp.RequestCtx) *exchange {
	x, _ := rc.UserValue(exchangeKey{}).(*exchange)
	return x
}

// Match tells the edge which route the request is for.
func Match(rc *fasthttp.RequestCtx, r Route) { exchangeOf(rc).route = r }

// Started is when the request's headers had come.
func Started(rc *fasthttp.RequestCtx) time.Time { return exchangeOf(rc).start }

// Around puts the edge around the handler of all routes.
func (e *Edge) Around(inner fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(rc *fasthttp.RequestCtx) {
		x := &exchange{start: time.Now()}
		rc.SetUserValue(exchangeKey{}, x)
		defer e.logRequest(rc, x)
		defer e.recoverPanic(rc)
		Secure(rc)
		if !knownMethod(rc.Method()) {
			rc.Request.Header.SetMethod("TRACE") // known, and no route's: 404, or 405 with Allow
		}
		if p := framing(rc); p != nil {
			Refuse(rc, p)
			rc.SetConnectionClose()
			return // what follows cannot be told from another request
		}
		d := e.byAddress.Take(addressOf(rc.RemoteAddr()))
		if !d.OK && !exempt(rc.Path()) {
			Refuse(rc, TooMany(rc, "address", d, e.AddressRate))
		} else {
			inner(rc)
		}
		discardBody(rc, x)
	}
}

// exempt are the paths that a probe must always reach.
func exempt(path []byte) bool { return string(path) == "/healthz" || string(path) == "/readyz" }

// Secure sets the headers that every reply carries.
func Secure(rc *fasthttp.RequestCtx) {
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

// recoverPanic turns a panic into a 500 and keeps the process.
func (e *Edge) recoverPanic(rc *fasthttp.RequestCtx) {
	r := recover()
	if r == nil {
		return
	}
	// The value is not logged: it may quote what was being handled.
	e.Log.LogAttrs(context.Background(), slog.LevelError, "request panicked", slog.String("stack", string(debug.Stack())))
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
	e.metrics.request(x.route, status, took)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelWarn
	}
	if !e.Log.Enabled(context.Background(), level) {
		return
	}
	e.Log.LogAttrs(context.Background(), level, "request",
		slog.String("method", string(rc.Method())),
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
	Secure(rc)
	code := fiber.StatusInternalServerError
	var fe *fiber.Error
	if errors.As(err, &fe) {
		code = fe.Code
	}
	Refuse(rc, e.unrouted(c.UserContext(), code, err))
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
