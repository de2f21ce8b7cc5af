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
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// line is an edge before a handler, with its log and its counts.
type line struct {
	*Edge
	log      bytes.Buffer
	registry *prometheus.Registry
}

func newLine(t testing.TB, rate limit.Rate) *line {
	t.Helper()
	l := &line{registry: prometheus.NewRegistry()}
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
func (l *line) counted(t testing.TB, name string, labels ...string) float64 {
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
	if text := l.log.String(); !strings.Contains(text, "level=INFO msg=request method=GET route=/a/{x} status=204 duration=") || strings.Contains(text, "secret") {
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
	for sent, want := range map[string]string{"GET": "GET", "HEAD": "HEAD", "POST": "POST", "PUT": "PUT", "DELETE": "DELETE", "CONNECT": "CONNECT", "OPTIONS": "OPTIONS", "TRACE": "TRACE", "PATCH": "PATCH", "FROB": "TRACE"} {
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
	for path, want := range map[string]int{"/healthz": 204, "/readyz": 204, "/healthz/": 429} {
		if rc := ask(path); rc.Response.StatusCode() != want {
			t.Errorf("%s: %d, want %d", path, rc.Response.StatusCode(), want)
		}
	}
}

func TestWhatTheAddressLimitCountsBy(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		a := netip.MustParseAddr(text)
		if got := addressOf(&net.TCPAddr{IP: a.WithZone("").AsSlice(), Zone: a.Zone()}); got.String() != want {
			t.Errorf("%s counts as %s, want %s", text, got, want)
		}
	}
	if got := addressOf(&net.UnixAddr{}); got.IsValid() {
		t.Errorf("a socket counts as %s", got)
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
			got, p := ReadBody(rc, tt.most, nil)
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
	if got, p := ReadBody(rc, 10, buf); p != nil || string(got) != "new" || &got[:1][0] != &buf[:1][0] {
		t.Errorf("%q %v", got, p)
	}
	// A body that announces much gets no more than 32 KiB in advance.
	big := &flow{data: []byte("x"), piece: 1, end: io.EOF}
	rc.Request.SetBodyStream(big, 1<<20)
	_, _ = ReadBody(rc, 1<<21, nil)
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

func TestAnUnwantedBodyIsDiscarded(t *testing.T) {
	l := newLine(t, limit.Rate{})
	for name, tt := range map[string]struct {
		announced int
		body      *flow
		read      bool
		close     bool
		left      int
	}{
		"nobody wanted it":       {5, &flow{data: []byte("hello"), piece: 2, end: io.EOF}, false, true, 0},
		"somebody read it":       {5, &flow{data: []byte("hello"), piece: 2, end: io.EOF}, true, false, 0},
		"there is none":          {0, &flow{data: []byte("x"), piece: 2, end: io.EOF}, false, false, 1},
		"it has no end in sight": {-1, &flow{data: make([]byte, discardAtMost+8192), piece: 4096, end: io.EOF}, false, true, 8192},
	} {
		t.Run(name, func(t *testing.T) {
			rc := &fasthttp.RequestCtx{} // without a connection
			rc.Request.SetBodyStream(tt.body, tt.announced)
			rc.Request.Header.SetContentLength(tt.announced)
			l.Around(func(rc *fasthttp.RequestCtx) {
				if tt.read {
					_, _ = ReadBody(rc, 100, nil)
				}
			})(rc)
			if rc.Response.ConnectionClose() != tt.close || len(tt.body.data) != tt.left {
				t.Errorf("close %v, %d bytes left", rc.Response.ConnectionClose(), len(tt.body.data))
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

func TestBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Bounded(inner, 1)
	accepted := make(chan net.Conn, 10)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	})
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	first := dial()
	defer first.Close()
	served := <-accepted
	second := dial()
	defer second.Close()
	told, err := io.ReadAll(second)
	if err != nil || !strings.HasPrefix(string(told), "HTTP/1.1 503 ") || !strings.Contains(string(told), "Retry-After: 1\r\n") || !strings.HasSuffix(string(told), string(problem.New(problem.Unavailable, "too many connections are open").JSON())) {
		t.Errorf("%q %v", told, err)
	}
	_ = served.Close()
	_ = served.Close() // gives one slot back, not two
	third := dial()
	defer third.Close()
	served = <-accepted
	fourth := dial()
	defer fourth.Close()
	if told, _ := io.ReadAll(fourth); !strings.Contains(string(told), "503") {
		t.Errorf("a slot too many: %q", told)
	}
	_ = served.Close()
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	group.Wait()
}

func TestPoolsKeepLargeBuffersForAWhile(t *testing.T) {
	p := NewPool(100)
	if b := p.Get(100); b == nil || len(*b) != 0 {
		t.Errorf("%v", b)
	}
	large := p.Get(101)
	if cap(*large) != 101 || len(*large) != 0 {
		t.Errorf("a buffer for 101 bytes has room for %d", cap(*large))
	}
	*large = append(*large, "used"...)
	p.Put(large)
	if again := p.Get(101); again != large || len(*again) != 0 {
		t.Error("a large buffer is not used again")
	}
	p.Put(large)
	if more := p.Get(102); more == large || cap(*more) != 102 {
		t.Error("a buffer that is too small is handed out")
	}
	for range 5 { // two are kept, the rest is garbage
		b := make([]byte, 0, 200)
		p.Put(&b)
	}
	if len(p.large) != 2 {
		t.Errorf("%d large buffers are kept", len(p.large))
	}
	p.drop()
	p.drop()
	p.drop()
	if len(p.large) != 0 {
		t.Errorf("%d large buffers are left", len(p.large))
	}
	small := append(make([]byte, 0, 100), "used"...)
	p.Put(&small)
	if len(p.large) != 0 {
		t.Error("a small buffer is kept as a large one")
	}
	for range 100 {
		if b := p.Get(1); len(*b) != 0 {
			t.Fatalf("a buffer comes with %q", *b)
		}
	}
}
