package edge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// world is an edge before a handler, with its log and its counts.
type world struct {
	*Edge
	log      bytes.Buffer
	registry *prometheus.Registry
}

func newLine(t testing.TB, rate limit.Rate) *world {
	t.Helper()
	l := &world{registry: prometheus.NewRegistry()}
	var err error
	l.Edge, err = New(Needs{
		Log: slog.New(slog.NewTextHandler(&l.log, nil)), Registry: l.registry, Now: func() time.Time { return time.Unix(1000, 0) },
		AddressRate: rate, BodyBytes: 1234, Routes: []Route{{"GET", "/a/{x}"}},
		Problem: func(_ context.Context, err error) *problem.Problem { return problem.New(problem.Internal, err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// counted is the value of the request counter with those labels.
func (l *world) counted(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := l.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.Metric {
			for i := 0; i+1 < len(labels); i += 2 {
				found := false
				for _, p := range m.Label {
					found = found || p.GetName() == labels[i] && p.GetValue() == labels[i+1]
				}
				if !found {
					continue next
				}
			}
			if m.Histogram != nil {
				return float64(m.Histogram.GetSampleCount())
			}
			return m.Counter.GetValue()
		}
	}
	return -1
}

// request reads one as the server would.
func request(t testing.TB, text string) *fasthttp.RequestCtx {
	t.Helper()
	rc := &fasthttp.RequestCtx{}
	var r fasthttp.Request
	if err := r.Header.Read(bufio.NewReader(strings.NewReader(text))); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	rc.Init(&r, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, nil)
	return rc
}

func TestARequestIsLoggedAndCountedByItsRoute(t *testing.T) {
	l := newLine(t, limit.Rate{})
	handler := l.Around(func(rc *fasthttp.RequestCtx) {
		Match(rc, Route{"GET", "/a/{x}"})
		if since := time.Since(Started(rc)); since < 0 || since > time.Minute {
			t.Errorf("started %s ago", since)
		}
		rc.SetStatusCode(204)
	})
	rc := request(t, "GET /a/secret?q=secret HTTP/1.1\r\nHost: x\r\n\r\n")
	handler(rc)
	for name, want := range map[string]string{"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
		if got := string(rc.Response.Header.Peek(name)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if text := l.log.String(); !strings.Contains(text, "method=GET route=/a/{x} status=204 duration=") || !strings.Contains(text, "request="+string(rc.Response.Header.Peek("X-Request-Id"))+" ") || strings.Contains(text, "secret") {
		t.Errorf("logged %q", text)
	}
	if n := l.counted(t, "clarity_http_requests_total", "route", "/a/{x}", "method", "GET", "class", "2xx"); n != 1 {
		t.Errorf("counted %v", n)
	}
	if n := l.counted(t, "clarity_http_request_seconds", "route", "/a/{x}", "method", "GET"); n != 1 {
		t.Errorf("timed %v", n)
	}
	for status, class := range map[int]string{100: "1xx", 599: "5xx", 500: "5xx", 499: "4xx"} {
		before := l.counted(t, "clarity_http_requests_total", "route", "none", "method", "any", "class", class)
		l.log.Reset()
		l.Around(func(rc *fasthttp.RequestCtx) { rc.SetStatusCode(status) })(request(t, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"))
		if n := l.counted(t, "clarity_http_requests_total", "route", "none", "method", "any", "class", class); n != before+1 {
			t.Errorf("%d: counted %v after %v", status, n, before)
		}
		if warned := strings.Contains(l.log.String(), "level=WARN"); warned != (status >= 500) || !strings.Contains(l.log.String(), "route=none") {
			t.Errorf("%d: logged %q", status, l.log.String())
		}
	}
	l.Around(func(rc *fasthttp.RequestCtx) { rc.SetStatusCode(600) })(request(t, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")) // no class, no panic
	quiet, err := New(Needs{Log: slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelError})), Registry: prometheus.NewRegistry(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	l.log.Reset()
	quiet.Around(func(*fasthttp.RequestCtx) {})(request(t, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"))
	if l.log.Len() > 0 {
		t.Errorf("logged %q", l.log.String())
	}
	if _, err := New(Needs{Registry: l.registry, Now: time.Now}); err == nil {
		t.Error("registered twice")
	}
}

func TestAPanicCostsItsRequest(t *testing.T) {
	l := newLine(t, limit.Rate{})
	rc := request(t, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
	l.Around(func(*fasthttp.RequestCtx) { panic("canary") })(rc)
	if rc.Response.StatusCode() != 500 || !rc.Response.ConnectionClose() || !strings.Contains(string(rc.Response.Body()), "internal_error") {
		t.Errorf("%d %s", rc.Response.StatusCode(), rc.Response.Body())
	}
	if text := l.log.String(); strings.Contains(text, "canary") || !strings.Contains(text, "request panicked") || !strings.Contains(text, "stack=") {
		t.Errorf("logged %q", text)
	}
	if l.counted(t, "clarity_http_panics_total") != 1 || l.counted(t, "clarity_http_requests_total", "route", "none", "class", "5xx") != 1 {
		t.Error("not counted")
	}
}

func TestFraming(t *testing.T) {
	for head, ok := range map[string]bool{
		"Content-Length: 2":          true,
		"Transfer-Encoding: chunked": true,
		"X-A: b":                     true,
		"Content-Length: 2\r\nTransfer-Encoding: chunked":          false,
		"Transfer-Encoding: chunked\r\nTransfer-encoding: chunked": false,
		"Transfer-Encoding: identity":                              false,
		"Host: y":                                                  false,
	} {
		rc := request(t, "PUT /a HTTP/1.1\r\nHost: x\r\n"+head+"\r\n\r\n")
		l, called := newLine(t, limit.Rate{}), false
		l.Around(func(*fasthttp.RequestCtx) { called = true })(rc)
		if called != ok {
			t.Errorf("%q: handled %v", head, called)
		}
		if !ok && (rc.Response.StatusCode() != 400 || !rc.Response.ConnectionClose()) {
			t.Errorf("%q: %d, close %v", head, rc.Response.StatusCode(), rc.Response.ConnectionClose())
		}
	}
}

func TestMethodsThatNobodyKnows(t *testing.T) {
	l := newLine(t, limit.Rate{})
	for sent, want := range map[string]string{"GET": "GET", "HEAD": "GET", "POST": "POST", "PUT": "PUT", "DELETE": "DELETE", "CONNECT": "CONNECT", "OPTIONS": "OPTIONS", "TRACE": "TRACE", "PATCH": "PATCH", "FROB": "TRACE"} {
		l.Around(func(rc *fasthttp.RequestCtx) {
			if got := string(rc.Method()); got != want {
				t.Errorf("%s is handled as %s", sent, got)
			}
		})(request(t, sent+" /a HTTP/1.1\r\nHost: x\r\n\r\n"))
	}
}

func TestTheRateOfAnAddress(t *testing.T) {
	l := newLine(t, limit.Rate{PerSecond: 0.5, Burst: 1})
	handler := l.Around(func(rc *fasthttp.RequestCtx) { rc.SetStatusCode(204) })
	ask := func(path string) *fasthttp.RequestCtx {
		rc := request(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		handler(rc)
		return rc
	}
	if rc := ask("/a"); rc.Response.StatusCode() != 204 {
		t.Errorf("the first: %d", rc.Response.StatusCode())
	}
	over := ask("/a")
	if over.Response.StatusCode() != 429 || string(over.Response.Header.Peek("Retry-After")) != "2" || string(over.Response.Header.Peek("RateLimit")) != `"address";r=0;t=2` || string(over.Response.Header.Peek("RateLimit-Policy")) != `"address";q=1;w=2` {
		t.Errorf("the second: %d %s", over.Response.StatusCode(), &over.Response.Header)
	}
	for _, tt := range []struct {
		path string
		want int
	}{{"/healthz?a", 204}, {"/readyz", 429}, {"/healthz/", 429}, {"//healthz", 429}, {"/v1/..%2fhealthz", 429}} { // probes have as many, and not more
		if rc := ask(tt.path); rc.Response.StatusCode() != tt.want {
			t.Errorf("%s: %d, want %d", tt.path, rc.Response.StatusCode(), tt.want)
		}
	}
}

func TestLimitsAreShown(t *testing.T) {
	rc := &fasthttp.RequestCtx{}
	ShowLimit(rc, "user", limit.Decision{OK: true}, limit.Rate{})
	if rc.Response.Header.Peek("RateLimit") != nil {
		t.Error("no limit is shown")
	}
	ShowLimit(rc, "user", limit.Decision{OK: true, Limit: 5, Remaining: 3, Reset: 1500 * time.Millisecond}, limit.Rate{Burst: 5})
	if got := string(rc.Response.Header.Peek("RateLimit")); got != `"user";r=3;t=2` {
		t.Errorf("RateLimit %s", got)
	}
	if got := string(rc.Response.Header.Peek("RateLimit-Policy")); got != `"user";q=5` {
		t.Errorf("RateLimit-Policy %s", got)
	}
	ShowLimit(rc, "user", limit.Decision{OK: true, Limit: 5}, limit.Rate{Burst: 5, PerSecond: 50})
	if got := string(rc.Response.Header.Peek("RateLimit-Policy")); got != `"user";q=5;w=1` {
		t.Errorf("RateLimit-Policy %s, want a second at least", got)
	}
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2} {
		if got := Seconds(d); got != want {
			t.Errorf("%s is %d s", d, got)
		}
	}
}

// flow is a body that comes in pieces and ends with an error.
type flow struct {
	data  []byte
	piece int
	end   error
	most  int // the largest buffer it was given
}

func (f *flow) Read(p []byte) (int, error) {
	f.most = max(f.most, len(p))
	if len(f.data) == 0 {
		return 0, f.end
	}
	n := copy(p, f.data[:min(len(f.data), f.piece)])
	f.data = f.data[n:]
	return n, nil
}

func TestReadBody(t *testing.T) {
	tests := map[string]struct {
		announced int // -1: chunked
		body      *flow
		most      int
		code      problem.Code
		consumed  bool
	}{
		"a whole one":            {5, &flow{data: []byte("hello"), piece: 2, end: io.EOF}, 10, "", true},
		"as large as may be":     {5, &flow{data: []byte("hello"), piece: 9, end: io.EOF}, 5, "", true},
		"announced too large":    {6, &flow{data: []byte("hello!"), piece: 9, end: io.EOF}, 5, problem.TooLarge, false},
		"chunked":                {-1, &flow{data: []byte("hello"), piece: 3, end: io.EOF}, 5, "", true},
		"chunked and too large":  {-1, &flow{data: []byte("hello!"), piece: 3, end: io.EOF}, 5, problem.TooLarge, false},
		"cut":                    {9, &flow{data: []byte("hello"), piece: 3, end: io.EOF}, 10, problem.BadRequest, false},
		"broken off":             {9, &flow{data: []byte("hello"), piece: 3, end: io.ErrUnexpectedEOF}, 10, problem.BadRequest, false},
		"too slow":               {9, &flow{data: []byte("hello"), piece: 3, end: os.ErrDeadlineExceeded}, 10, problem.RequestTimeout, false},
		"nothing":                {0, &flow{end: io.EOF}, 10, "", true},
		"larger than its buffer": {-1, &flow{data: bytes.Repeat([]byte("x"), 100_000), piece: 70_000, end: io.EOF}, 200_000, "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := string(tt.body.data)
			rc := &fasthttp.RequestCtx{}
			x := &exchange{}
			rc.SetUserValue(exchangeKey{}, x)
			rc.Request.SetBodyStream(tt.body, tt.announced)
			rc.Request.Header.SetContentLength(tt.announced)
			got, p := ReadBody(rc, tt.most, nil, nil)
			if code := codeOf(p); code != tt.code.Reason() {
				t.Fatalf("%s, want %q", code, tt.code)
			}
			if x.consumed != tt.consumed || tt.code == "" && string(got) != want {
				t.Errorf("consumed %v, %d bytes", x.consumed, len(got))
			}
			if p != nil && tt.code == problem.TooLarge && (p.Limit == nil || *p.Limit != (problem.Limit{What: "body_bytes", Max: 5}) || p.Detail != "the body is larger than 5 bytes as received") {
				t.Errorf("%s", p.JSON())
			}
			if tt.body.most > 200_000 {
				t.Errorf("a buffer of %d bytes", tt.body.most)
			}
		})
	}
	// What a buffer held before is gone, and the buffer is used.
	rc := &fasthttp.RequestCtx{}
	rc.SetUserValue(exchangeKey{}, &exchange{})
	rc.Request.SetBodyStream(&flow{data: []byte("new"), piece: 9, end: io.EOF}, 3)
	buf := append(make([]byte, 0, 64), "old"...)
	if got, p := ReadBody(rc, 10, buf, nil); p != nil || string(got) != "new" || &got[:1][0] != &buf[:1][0] {
		t.Errorf("%q %v", got, p)
	}
	// A body that announces much gets no more than 32 KiB in advance.
	big := &flow{data: []byte("x"), piece: 1, end: io.EOF}
	rc.Request.SetBodyStream(big, 1<<20)
	_, _ = ReadBody(rc, 1<<21, nil, nil)
	if big.most != 32<<10 {
		t.Errorf("the first buffer has %d bytes", big.most)
	}
}

func codeOf(p *problem.Problem) string {
	if p == nil {
		return ""
	}
	return p.Code
}

func TestAnUnwantedBodyEndsTheConnection(t *testing.T) {
	l := newLine(t, limit.Rate{})
	for name, tt := range map[string]struct {
		announced   string
		read, close bool
	}{
		"nobody wanted it": {"Content-Length: 5", false, true},
		"nobody knows it":  {"Transfer-Encoding: chunked", false, true},
		"somebody read it": {"Content-Length: 5", true, false},
		"there is none":    {"Content-Length: 0", false, false},
		"nothing is told":  {"X-A: b", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			rc := request(t, "PUT /a HTTP/1.1\r\nHost: x\r\n"+tt.announced+"\r\n\r\n")
			rc.Request.SetBodyStream(&flow{data: []byte("hello"), piece: 2, end: io.EOF}, rc.Request.Header.ContentLength())
			l.Around(func(rc *fasthttp.RequestCtx) {
				if tt.read {
					_, _ = ReadBody(rc, 100, nil, nil)
				}
			})(rc)
			if rc.Response.ConnectionClose() != tt.close {
				t.Errorf("close %v", rc.Response.ConnectionClose())
			}
		})
	}
}

func TestWhatNoRouteAnswers(t *testing.T) {
	l := newLine(t, limit.Rate{})
	for code, want := range map[int]problem.Code{404: problem.NotFound, 405: MethodNotAllowed, 408: problem.RequestTimeout, 431: problem.HeadersTooLarge, 413: problem.TooLarge, 400: problem.BadRequest, 502: problem.BadRequest, 500: problem.Internal, 418: problem.Internal} {
		app := fiber.New(fiber.Config{ErrorHandler: l.Unrouted})
		rc := &fasthttp.RequestCtx{}
		c := app.AcquireCtx(rc)
		if err := l.Unrouted(c, fmt.Errorf("x: %w", fiber.NewError(code, "y"))); err != nil {
			t.Fatal(err)
		}
		if rc.Response.StatusCode() != want.Status() || !strings.Contains(string(rc.Response.Body()), `"`+want.Reason()+`"`) || len(rc.Response.Header.Peek("X-Content-Type-Options")) == 0 || string(rc.Response.Header.ContentType()) != problem.ContentType {
			t.Errorf("%d: %d %s", code, rc.Response.StatusCode(), rc.Response.Body())
		}
		if code == 413 && !strings.Contains(string(rc.Response.Body()), `"max":1234`) {
			t.Errorf("%s", rc.Response.Body())
		}
		app.ReleaseCtx(c)
	}
	app := fiber.New()
	rc := &fasthttp.RequestCtx{}
	if err := l.Unrouted(app.AcquireCtx(rc), errors.New("odd")); err != nil || rc.Response.StatusCode() != 500 || !strings.Contains(string(rc.Response.Body()), "serve a request: odd") {
		t.Errorf("%d %s", rc.Response.StatusCode(), rc.Response.Body())
	}
}

func TestRefuseReplacesTheReply(t *testing.T) {
	rc := &fasthttp.RequestCtx{}
	rc.SetBodyString("half a reply")
	Refuse(rc, problem.New(problem.Unavailable, "later").With("Retry-After", "7"))
	if rc.Response.StatusCode() != 503 || string(rc.Response.Header.Peek("Retry-After")) != "7" || strings.Contains(string(rc.Response.Body()), "half") {
		t.Errorf("%d %s", rc.Response.StatusCode(), rc.Response.Body())
	}
}

// A version, a host, and no chunks in what knows none.
func TestWhatARequestMustBe(t *testing.T) {
	for text, want := range map[string]int{
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n":                               204,
		"GET /a HTTP/1.0\r\n\r\n":                                          204,
		"GET /a HTTP/1.1\r\n\r\n":                                          400,
		"GET /a HTTP/3.7\r\nHost: x\r\n\r\n":                               505,
		"PUT /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n":            400,
		"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n": 204,
	} {
		rc := request(t, text)
		newLine(t, limit.Rate{}).Around(func(rc *fasthttp.RequestCtx) { rc.SetStatusCode(204) })(rc)
		if rc.Response.StatusCode() != want {
			t.Errorf("%q: %d, want %d", text, rc.Response.StatusCode(), want)
		}
	}
}

// What the server was told of a body's length is taken back before anybody reads it.
func TestWhatIsUnhurried(t *testing.T) {
	rc := request(t, "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
	Unhurried(&rc.Request.Header)
	if rc.Request.Header.ContentLength() != -1 || rc.Request.MayContinue() {
		t.Errorf("%d, may continue %v", rc.Request.Header.ContentLength(), rc.Request.MayContinue())
	}
	newLine(t, limit.Rate{}).Around(func(rc *fasthttp.RequestCtx) {
		if got := rc.Request.Header.ContentLength(); got != 5 || !exchangeOf(rc).waits {
			t.Errorf("length %d, waits %v", got, exchangeOf(rc).waits)
		}
	})(rc)
}

func TestRequestsAreNamed(t *testing.T) {
	l := newLine(t, limit.Rate{})
	for given, taken := range map[string]bool{
		"0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a10": true, "0B7D1F0A3F6E4C0E": true, "4bf92f3577b34da6a3ce929d0e0e4736": true,
		"": false, "0b7d1f0a-3f6e": false, "anna@example.org-0000": false, strings.Repeat("a", 65): false,
	} {
		rc := request(t, "GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: "+given+"\r\n\r\n")
		l.log.Reset()
		l.Around(func(rc *fasthttp.RequestCtx) {
			if (RequestID(rc) == given) != taken {
				t.Errorf("%q is called %q", given, RequestID(rc))
			}
			panic("x")
		})(rc)
		id := string(rc.Response.Header.Peek("X-Request-Id"))
		if (id == given) != taken || len(id) < 16 || strings.Count(l.log.String(), "request="+id+" ") != 2 {
			t.Errorf("%q: replied as %q, logged %s", given, id, l.log.String())
		}
	}
	rc := request(t, "GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: 0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a10\r\nX-Request-Id: 0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a10\r\n\r\n")
	if len(requestID(rc)) != 32 {
		t.Error("two ids are one")
	}
}

func TestHeadIsGetWithoutItsBody(t *testing.T) {
	l := newLine(t, limit.Rate{})
	rc := request(t, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
	l.Around(func(rc *fasthttp.RequestCtx) {
		if !rc.IsGet() {
			t.Errorf("handled as %s", rc.Method())
		}
		rc.SetBodyString("hello")
	})(rc)
	if !rc.Response.SkipBody || len(rc.Response.Body()) != 5 || !strings.Contains(l.log.String(), "method=HEAD") {
		t.Errorf("skip %v, %d bytes; logged %s", rc.Response.SkipBody, len(rc.Response.Body()), l.log.String())
	}
	ended := make(chan error, 1)
	rc = request(t, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
	l.Around(func(rc *fasthttp.RequestCtx) {
		rc.SetBodyStreamWriter(func(w *bufio.Writer) {
			for {
				_, _ = w.WriteString("for ever")
				if err := w.Flush(); err != nil {
					ended <- err
					return
				}
			}
		})
	})(rc)
	if err := <-ended; err == nil {
		t.Error("the stream goes on")
	}
}

func TestOptionsAndOrigins(t *testing.T) {
	l := newLine(t, limit.Rate{})
	l.Origins = Origins{"https://app.example"}
	ask := func(origins Origins, uri, headers string) *fasthttp.ResponseHeader {
		l.Origins = origins
		rc := request(t, "OPTIONS "+uri+" HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n")
		l.Around(func(rc *fasthttp.RequestCtx) {
			rc.Response.Header.Set("Allow", "GET, PUT")
			app := fiber.New(fiber.Config{ErrorHandler: l.Unrouted})
			c := app.AcquireCtx(rc)
			defer app.ReleaseCtx(c)
			_ = l.Unrouted(c, fiber.ErrMethodNotAllowed)
		})(rc)
		if rc.Response.StatusCode() != 204 || len(rc.Response.Body()) > 0 {
			t.Errorf("%s: %d %s", uri, rc.Response.StatusCode(), rc.Response.Body())
		}
		return &rc.Response.Header
	}
	ours := Origins{"https://app.example"}
	const preflight = "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n"
	h := ask(ours, "/a", preflight)
	for name, want := range map[string]string{
		"Allow": "GET, HEAD, PUT, OPTIONS", "Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Methods": "GET, HEAD, PUT, OPTIONS", "Vary": "Origin",
		"Access-Control-Allow-Headers": corsSends, "Access-Control-Max-Age": "600", "Access-Control-Allow-Credentials": "",
	} {
		if got := string(h.Peek(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, h := range map[string]*fasthttp.ResponseHeader{
		"nobody is listed":    ask(nil, "/a", preflight),
		"another's page":      ask(ours, "/a", strings.ReplaceAll(preflight, "app.example", "app.example.evil")),
		"another's scheme":    ask(ours, "/a", strings.ReplaceAll(preflight, "https", "http")),
		"no page":             ask(ours, "/a", ""),
		"a page of nowhere":   ask(ours, "/a", "Origin: null\r\nAccess-Control-Request-Method: PUT\r\n"),
		"all there is, asked": ask(ours, "*", ""),
	} {
		if got := h.Peek("Access-Control-Allow-Origin"); len(got) > 0 || len(h.Peek("Access-Control-Allow-Methods")) > 0 || len(h.Peek("Allow")) == 0 {
			t.Errorf("%s: %q", name, h)
		}
	}
}
