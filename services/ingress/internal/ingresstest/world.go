// Package ingresstest is a running ingress on embedded drivers, for the tests of
// its rooms.
package ingresstest

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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/erasure"
	"github.com/clarity-loop/clarity/services/exports"
	"github.com/clarity-loop/clarity/services/flow/exporting"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/webhook"
)

// The people of the tests, by their tokens.
const (
	Anna = "person-anna"
	Ben  = "person-ben"
)

// A World is a running ingress and what lies behind it.
type World struct {
	T      testing.TB
	Server *ingress.Server
	URL    string
	Client *http.Client
	Log    *Log
	Clock  *Clock

	Store *store.Store
	// Documents is what the Store stands on.
	Documents store.Driver
	Blobs     blob.Store
	Queue     queue.Driver
	Keys      keyring.Keyring
	Audit     *Audit
	Dir       string

	// Samples are those of a day, as an export reads them.
	Samples func(ctx context.Context, uid, chunk string) ([]health.Sample, error)

	faults *faults
}

// Option change what New builds.
type Option func(*ingress.Needs)

// New builds a platform's front door over fakes and embedded drivers, and ends it with the test.
func New(t testing.TB, change ...Option) *World {
	t.Helper()
	b := newBackend(t)
	w := &World{T: t, Log: &Log{}, Clock: b.clock, Store: b.store, Documents: b.faults.Driver, Blobs: b.blobs, Queue: b.queue, Keys: b.keys, Audit: &Audit{}, Dir: b.dir, faults: b.faults}
	d := ingress.Needs{
		Store: b.store, Blobs: b.blobs, Queue: b.queue, Keys: b.keys, Verifier: tokens{}, Audit: w.Audit,
		Writer: template.New(), Template: template.New(),
		Series:   readSeries,
		Woken:    true,
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: w.Clock.Now, Limits: ingress.DefaultLimits(),
	}
	d.Limits.UserRate, d.Limits.AddressRate = ingress.Rate{}, ingress.Rate{}
	for _, c := range change {
		c(&d)
	}
	w.Blobs = d.Blobs
	var err error
	if w.Server, err = ingress.New(d); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.Server.Serve(l) }()
	w.URL = "http://" + l.Addr().String()
	w.Client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	t.Cleanup(func() {
		w.Client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.Server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return w
}

// Objects are the person's of one kind.
func (w *World) Objects(kind, uid string) []blob.Info {
	w.T.Helper()
	name, err := w.Keys.Pseudonym(context.Background(), uid)
	if err != nil {
		w.T.Fatal(err)
	}
	found, err := w.Blobs.List(context.Background(), blob.PersonPrefix(kind, name), "", 1000)
	if err != nil {
		w.T.Fatal(err)
	}
	return found
}

// Erase runs the stage of erasures until nothing is left to go on with at once.
func (w *World) Erase() {
	w.T.Helper()
	stage := erasure.New(erasure.Needs{Store: w.Store, Keys: w.Keys, Names: w.Keys, Blobs: w.Blobs, Queue: w.Queue, Relay: webhook.NewBook(w.Store, w.Queue, w.Clock.Now), Audit: w.Audit, Now: w.Clock.Now, Log: slog.New(slog.DiscardHandler)})
	for {
		n, err := stage.Pass(context.Background())
		if err != nil {
			w.T.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// Export runs the stage of exports on the person's export until nothing is left to
// do at once, and returns what it said last.
func (w *World) Export(uid, id string) queue.Verdict {
	w.T.Helper()
	objects := vault.New(w.Blobs, w.Keys)
	held := ingress.Held{Store: w.Store, Objects: objects, Samples: func(ctx context.Context, uid, chunk string) ([]health.Sample, error) {
		if w.Samples == nil {
			return nil, nil
		}
		return w.Samples(ctx, uid, chunk)
	}, Deleted: func(context.Context, string, string) ([]health.UUID, error) { return nil, nil }, Series: readSeries}
	needs := exports.Needs{Store: w.Store, Objects: objects, Queue: w.Queue, Now: w.Clock.Now, Log: slog.New(slog.DiscardHandler)}
	for _, section := range held.Sections() {
		needs.Held = append(needs.Held, exports.Section(section))
	}
	m, err := queue.JSON(exporting.Topic, uid, exporting.Due{UID: uid, ExportID: id})
	if err != nil {
		w.T.Fatal(err)
	}
	return exports.New(needs).Handle(context.Background(), queue.Delivery{Message: m, Attempt: 1})
}

// A Reply is what a request came to.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Code is the problem's code, "" where the body is none.
func (r Reply) Code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(r.Body, &p)
	return p.Code
}

// JSON decodes the body into what is given, or ends the test.
func (r Reply) JSON(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, into); err != nil {
		t.Fatalf("reply %d %q: %v", r.Status, r.Body, err)
	}
}

// Header is what a request says beside its token.
type Header map[string]string

// Do sends a request as the person (a token of tokens; "" for none).
func (w *World) Do(method, path, token string, body []byte, headers ...Header) Reply {
	w.T.Helper()
	r, err := w.Try(method, path, token, bytes.NewReader(body), headers...)
	if err != nil {
		w.T.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// Try asks and returns what came, or why nothing did.
func (w *World) Try(method, path, token string, body io.Reader, headers ...Header) (Reply, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, w.URL+path, body)
	if err != nil {
		return Reply{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range headers {
		for k, v := range h {
			req.Header.Set(k, v)
		}
	}
	res, err := w.Client.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return Reply{res.StatusCode, res.Header, data}, err
}

// AsJSON says that the body is JSON.
func AsJSON() Header { return Header{"Content-Type": "application/json"} }

// Consent answers the purpose of processing.
func (w *World) Consent(token string, granted bool) Reply {
	w.T.Helper()
	r := w.Do("PUT", "/v1/consents/processing", token, fmt.Appendf(nil, `{"granted":%v,"version":"1"}`, granted), AsJSON())
	if r.Status != 200 {
		w.T.Fatalf("consent: %d %s", r.Status, r.Body)
	}
	return r
}

// Upload puts the body under the id.
func (w *World) Upload(token, id string, body []byte, headers ...Header) Reply {
	w.T.Helper()
	return w.Do("PUT", "/v1/uploads/"+id, token, body, append([]Header{AsJSON()}, headers...)...)
}

// Batch is an upload of n heart rates.
func Batch(n int) []byte {
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

// Zipped is the body as gzip.
func Zipped(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}

// A Clock can be set ahead.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the machine's time, and what was advanced.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// A Log is what was logged.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write takes a line of the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// tokens reads "person-anna", "service-x", "admin-x": a token that speaks for itself. A
// name with a colon in it is one of a tenant.
type tokens struct{}

// Fresh knows that "person-revoked" is, which Verify does not yet.
func (t tokens) Fresh(ctx context.Context, token string) (identity.Subject, error) {
	if token == "person-revoked" {
		return identity.Subject{}, fmt.Errorf("verify: %w", identity.ErrInvalid)
	}
	return t.Verify(ctx, token)
}

func (tokens) Verify(_ context.Context, token string) (identity.Subject, error) {
	kind, name, _ := strings.Cut(token, "-")
	tenant, _ := identity.Tenant(name)
	s := identity.Subject{UID: name, Tenant: tenant, AuthTime: time.Now(), Expires: time.Now().Add(time.Hour)}
	switch kind {
	case "person":
	case "stale": // a person's who signed in some time ago
		s.AuthTime = s.AuthTime.Add(-5*time.Minute - time.Second)
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

// An Audit remembers events.
type Audit struct {
	mu     sync.Mutex
	events []audit.Event
	Broken bool
}

// Append keeps the event, or fails where the log is broken.
func (a *Audit) Append(_ context.Context, e audit.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Broken {
		return errors.New("disk full")
	}
	a.events = append(a.events, e)
	return nil
}

// Events are what was recorded.
func (a *Audit) Events() []audit.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events)
}

// Verify counts the entries.
func (a *Audit) Verify(context.Context) (int64, error) { return int64(len(a.events)), nil }

// Count is how often the action was recorded.
func (a *Audit) Count(action audit.Action) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Action == action {
			n++
		}
	}
	return n
}

// readSeries says what it was asked for.
func readSeries(_ context.Context, uid, object string, of health.UUID) ([]byte, error) {
	return []byte(`{"uuid":"` + of.String() + `","of":"` + uid + `","in":"` + object + `"}`), nil
}
