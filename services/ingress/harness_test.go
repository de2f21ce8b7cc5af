package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// world is a running ingress and what lies behind it.
type world struct {
	t      testing.TB
	server *Server
	url    string
	client *http.Client
	log    *lockedBuffer
	clock  *clock

	store *store.Store
	blobs blob.Store
	queue queue.Queue
	keys  keyring.Keyring
	audit *auditFake
	dir   string
}

// options change what newWorld builds.
type options func(*Deps)

func newWorld(t testing.TB, change ...options) *world {
	t.Helper()
	b := newBackend(t)
	w := &world{t: t, log: &lockedBuffer{}, clock: b.clock, store: b.store, blobs: b.blobs, queue: b.queue, keys: b.keys, audit: &auditFake{}, dir: b.dir}
	d := Deps{
		Store: b.store, Blobs: b.blobs, Queue: b.queue, Keys: b.keys, Verifier: tokens{}, Audit: w.audit,
		Writer: template{}, Template: template{}, Grounded: func([]analysis.Fact, []analysis.Claim) error { return nil },
		Samples:  func(context.Context, string, record.Day) ([]health.Sample, error) { return nil, nil },
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: w.clock.now, Limits: DefaultLimits(), Version: "test",
	}
	d.Limits.UserRate, d.Limits.AddressRate = Rate{}, Rate{}
	for _, c := range change {
		c(&d)
	}
	w.blobs, w.queue = d.Blobs, d.Queue
	var err error
	if w.server, err = New(d); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(l) }()
	w.url = "http://" + l.Addr().String()
	w.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return w
}

// reply is what a request came to.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(r.body, &p)
	return p.Code
}

func (r reply) json(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("reply %d %q: %v", r.status, r.body, err)
	}
}

type header map[string]string

// do sends a request as the person (a token of tokens; "" for none).
func (w *world) do(method, path, token string, body []byte, headers ...header) reply {
	w.t.Helper()
	r, err := w.try(method, path, token, bytes.NewReader(body), headers...)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (w *world) try(method, path, token string, body io.Reader, headers ...header) (reply, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, w.url+path, body)
	if err != nil {
		return reply{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range headers {
		for k, v := range h {
			req.Header.Set(k, v)
		}
	}
	res, err := w.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, data}, err
}

var asJSON = header{"Content-Type": "application/json"}

func (w *world) consent(token string, granted bool) reply {
	w.t.Helper()
	r := w.do("PUT", "/v1/consents/processing", token, fmt.Appendf(nil, `{"granted":%v,"version":"1"}`, granted), asJSON)
	if r.status != 200 {
		w.t.Fatalf("consent: %d %s", r.status, r.body)
	}
	return r
}

func (w *world) upload(token, id string, body []byte, headers ...header) reply {
	w.t.Helper()
	return w.do("PUT", "/v1/uploads/"+id, token, body, append([]header{asJSON}, headers...)...)
}

// batch is an upload of n heart rates.
func batch(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"schema":"clarity.upload/1","installationId":"inst-1","timeZone":"Europe/Berlin","samples":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"uuid":"%08X-AAAA-4BBB-8CCC-%012X","type":"HKQuantityTypeIdentifierHeartRate","start":"2026-11-20T06:%02d:%02d+01:00","end":"2026-11-20T06:%02d:%02d+01:00","value":%d,"unit":"count/min","source":{"bundleId":"com.apple.health.0B3A5C1E","name":"Watch","productType":"Watch7,5","osVersion":"12.1"},"metadata":{"HKTimeZone":"Europe/Berlin","HKMetadataKeyHeartRateMotionContext":1,"HKDevice":"<<HKDevice: 0x%x>, name:Apple Watch, manufacturer:Apple Inc., model:Watch>","HKAlgorithmVersion":2}}`,
			uint32(i)*2654435761, i*7919+12345, i/60%60, i%60, i/60%60, i%60, 50+i*7%40, i*48271)
	}
	b.WriteString(`],"cursor":{"HKQuantityTypeIdentifierHeartRate":"anchor-1"},"stage":"daily","final":false}`)
	return b.Bytes()
}

func zipped(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}

// clock can be set ahead.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// tokens reads "person-anna", "service-x", "admin-x": a token that speaks for itself.
type tokens struct{}

func (tokens) Verify(_ context.Context, token string) (identity.Subject, error) {
	kind, name, _ := strings.Cut(token, "-")
	s := identity.Subject{UID: name, Expires: time.Now().Add(time.Hour)}
	switch kind {
	case "person":
	case "service":
		s.Roles = []identity.Role{identity.Service}
	case "admin":
		s.Roles = []identity.Role{identity.Admin}
	case "down":
		return identity.Subject{}, fmt.Errorf("verify: %w", identity.ErrUnavailable)
	default:
		return identity.Subject{}, fmt.Errorf("verify: %w", identity.ErrInvalid)
	}
	return s, nil
}

// auditFake remembers events.
type auditFake struct {
	mu     sync.Mutex
	events []audit.Event
	broken bool
}

func (a *auditFake) Append(_ context.Context, e audit.Event) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return 0, errors.New("disk full")
	}
	a.events = append(a.events, e)
	return int64(len(a.events) - 1), nil
}

func (a *auditFake) Verify(context.Context) (int64, error) { return int64(len(a.events)), nil }

func (a *auditFake) count(action audit.Action) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Action == action {
			n++
		}
	}
	return n
}

// template is a writer that cites each fact.
type template struct{}

func (template) Name() string { return "template" }

func (template) Write(_ context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	var claims []analysis.Claim
	for _, f := range facts {
		claims = append(claims, analysis.Claim{Text: f.Label + ": " + f.Text + ".", Facts: []string{f.ID}})
	}
	return claims, nil
}

// backend is what the ingress stands on in tests.
type backend struct {
	store *store.Store
	blobs blob.Store
	queue queue.Queue
	keys  keyring.Keyring
	clock *clock
	dir   string
}
