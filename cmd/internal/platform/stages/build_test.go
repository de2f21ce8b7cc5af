package stages_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
	"github.com/clarity-loop/clarity/internal/logtest"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// today is when all of this happens.
func today() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// A world is the parts of a stage, and what it did with them.
type world struct {
	platform.Parts
	dir    string
	log    *logtest.Log
	closed []string // what asked to be closed
	heard  *hearing
}

// hearing is a queue on which nothing comes; it notes who listens how.
type hearing struct {
	queue.Queue
	mu   sync.Mutex
	subs []queue.Subscription
	err  error // of the next Receive
}

func (h *hearing) Receive(ctx context.Context, sub queue.Subscription, _ queue.Handler) error {
	h.mu.Lock()
	h.subs = append(h.subs, sub)
	err := h.err
	h.mu.Unlock()
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func newWorld(t *testing.T) *world { return newWorldAt(t, today) }

// newWorldAt is a world with a clock of its own.
func newWorldAt(t *testing.T, now func() time.Time) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), log: &logtest.Log{}, heard: &hearing{}}
	var closers []io.Closer
	t.Cleanup(func() {
		for _, c := range slices.Backward(closers) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	w.Env = platform.Env{Now: now, Log: slog.New(slog.NewTextHandler(w.log, nil)), Version: "test", Closing: func(what string, c io.Closer) {
		w.closed, closers = append(w.closed, what), append(closers, c)
	}}
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	documents, err := embedded.Store(t.Context(), w.dir, w.Env)
	must(err)
	keys, err := embedded.Keys(t.Context(), filepath.Join(w.dir, "keys"), w.Env)
	must(err)
	w.Keys, w.Erasure = keys, keys
	w.Store = store.New(documents, w.Keys)
	w.Blobs, err = embedded.Blobs(t.Context(), filepath.Join(w.dir, "blobs"), w.Env)
	must(err)
	w.Audit, err = embedded.Audit(t.Context(), filepath.Join(w.dir, "audit"), w.Env)
	must(err)
	messages, err := embedded.Queue(t.Context(), w.dir, w.Env)
	must(err)
	w.heard.Queue = messages
	w.Queue = w.heard
	w.Identity, err = issuer.Open(t.Context(), filepath.Join(w.dir, "identity"), w.Env)
	must(err)
	w.Writer, w.Template = template.New(), template.New()
	w.Registry = prometheus.NewRegistry()
	w.Listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(err)
	t.Cleanup(func() { _ = w.Listener.Close() })
	w.closed = nil
	return w
}

// build builds a stage of the world.
func (w *world) build(t *testing.T, name string) ([]platform.Runner, error) {
	t.Helper()
	for _, s := range stages.All() {
		if s.Name == name {
			return s.Build(t.Context(), w.Parts)
		}
	}
	t.Fatalf("there is no stage %s", name)
	return nil, nil
}

// run builds a stage and runs it; stop ends it and returns what its runners said.
func (w *world) run(t *testing.T, name string) (stop func() error) {
	t.Helper()
	runners, err := w.build(t, name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, len(runners))
	for _, r := range runners {
		go func() { ended <- r.Run(ctx) }()
	}
	return func() error {
		select {
		case err := <-ended:
			cancel()
			return errors.Join(err, errors.New("it ended before it was told to"))
		case <-time.After(30 * time.Millisecond):
		}
		cancel()
		var errs []error
		for range runners {
			errs = append(errs, <-ended)
		}
		return errors.Join(errs...)
	}
}

// plan is a source that tells one plan.
type plan string

func (p plan) Watch(ctx context.Context, tell func([]byte, error)) {
	tell([]byte(p), nil)
	<-ctx.Done()
}

const onePlan plan = `{"model":"pat","revision":1,"salt":"s","entries":[{"version":"v7","weight":100,"endpoint":"127.0.0.1:1","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}`

func (w *world) get(t *testing.T, path string) (int, string) {
	t.Helper()
	token, err := issuer.Token(issuer.Request{Dir: w.dir, User: "anna", TTL: time.Hour, Now: today})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.Listener.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// Each consumer listens where package flow says, and as widely as its work bears.
func TestWhoListensToWhat(t *testing.T) {
	const drain = 1500 * time.Millisecond
	tests := map[string]struct {
		runners []string
		want    []queue.Subscription
		closes  []string
	}{
		"worker": {[]string{"traffic", "uploads for intake", "history for intake", "analyses for analyse", "agenda", "retention"}, []queue.Subscription{
			{Topic: "analyses", Name: "analyse", Concurrency: 2, Drain: drain},
			{Topic: "history", Name: "intake", Concurrency: 1, Drain: drain}, {Topic: "uploads", Name: "intake", Concurrency: 2, Drain: drain}}, []string{"the models"}},
		"insights": {[]string{"insights"}, []queue.Subscription{{Topic: "results", Name: "insights", Concurrency: 4}}, nil},
		"exports":  {[]string{"exports for exports"}, []queue.Subscription{{Topic: "exports", Name: "exports", Concurrency: 2, Drain: drain}}, nil},
		"delivery": {[]string{"results for feed", "events for feed", "webhooks for webhooks"}, []queue.Subscription{{Topic: "events", Name: "feed", Concurrency: 8}, {Topic: "results", Name: "feed", Concurrency: 8},
			{Topic: "webhooks", Name: "webhooks", Concurrency: 32, Drain: drain}}, nil},
		"ingress": {[]string{"ingress", "models"}, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Plan = platform.Plan{Source: onePlan}
			runners, err := w.build(t, name)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, r := range runners {
				names = append(names, r.Name)
			}
			if !slices.Equal(names, tt.runners) || !slices.Equal(w.closed, tt.closes) {
				t.Errorf("it runs %v and closes %v, want %v and %v", names, w.closed, tt.runners, tt.closes)
			}
			w.Registry = prometheus.NewRegistry()
			if err := w.run(t, name)(); err != nil {
				t.Errorf("told to stop, it says %v", err)
			}
			slices.SortFunc(w.heard.subs, func(a, b queue.Subscription) int { return strings.Compare(a.Topic, b.Topic) })
			if diff := cmp.Diff(tt.want, w.heard.subs); diff != "" {
				t.Errorf("it listens (-want +got):\n%s", diff)
			}
			if strings.Contains(w.log.String(), "level=WARN") {
				t.Errorf("a clean stop says %s", w.log)
			}
		})
	}
}

// A sender wakes nobody.
type sender struct{}

func (sender) Wake(context.Context, string, push.Wake) error { return nil }

// Where somebody wakes phones, their consumer listens, too.
func TestWhoWakesListens(t *testing.T) {
	w := newWorld(t)
	w.Push, w.Config.Backends.Push = sender{}, "fcm:clarity-example"
	if err := w.run(t, "delivery")(); err != nil {
		t.Error(err)
	}
	want := queue.Subscription{Topic: "wakes", Name: "wakes", Concurrency: 8, Drain: 1500 * time.Millisecond}
	if !slices.Contains(w.heard.subs, want) || len(w.heard.subs) != 4 {
		t.Errorf("it listens to %+v", w.heard.subs)
	}
}

// Of a grace every consumer's handlers have what is neither for lingering nor for closing.
func TestAGraceIsTheHandlers(t *testing.T) {
	for _, name := range []string{"worker", "insights", "exports", "delivery"} {
		w := newWorld(t)
		w.Plan = platform.Plan{Source: onePlan}
		w.Config.Stop = platform.Stop{Grace: 30 * time.Second, Linger: 10 * time.Second}
		if err := w.run(t, name)(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, sub := range w.heard.subs {
			if sub.Drain != 15*time.Second {
				t.Errorf("%s for %s has %v", sub.Topic, sub.Name, sub.Drain)
			}
		}
		if len(w.heard.subs) == 0 {
			t.Errorf("%s listens to nothing", name)
		}
	}
}

func TestAConsumerThatCannotListenSaysSo(t *testing.T) {
	gone := errors.New("the queue is gone")
	for _, name := range []string{"worker", "insights", "delivery"} {
		w := newWorld(t)
		w.heard.err = gone
		runners, err := w.build(t, name)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, r := range runners {
			if err := r.Run(ctx); errors.Is(err, gone) {
				told++
			}
		}
		if told != len(w.heard.subs) || told == 0 {
			t.Errorf("%s: %d of %d consumers say that they cannot", name, told, len(w.heard.subs))
		}
	}
}

func TestAModelThatCannotBeReadIsTold(t *testing.T) {
	for _, name := range []string{"ingress", "worker"} {
		w := newWorld(t)
		w.Config.Backends.Model = filepath.Join("no", "such.tar")
		if runners, err := w.build(t, name); err == nil || !strings.Contains(err.Error(), "model "+filepath.Join("no", "such.tar")) || runners != nil {
			t.Errorf("%s: %v, %v", name, runners, err)
		}
		if len(w.closed) > 0 {
			t.Errorf("%s asks to close %v", name, w.closed)
		}
	}
}

func TestWhatIsMissingIsTold(t *testing.T) {
	w := newWorld(t)
	w.Store = nil
	if runners, err := w.build(t, "ingress"); err == nil || !strings.Contains(err.Error(), "ingress needs a Store") || runners != nil {
		t.Errorf("%v, %v", runners, err)
	}
}

// The ingress lists the one model, or those of the plan.
func TestTheIngressAnswersAndListsTheModels(t *testing.T) {
	tests := map[string]struct {
		change func(*world)
		want   string // in the list; "" for none
	}{
		"no model":        {func(*world) {}, ""},
		"the preview":     {func(w *world) { w.Config.Backends.Model = "preview" }, `"weight":100`},
		"those of a plan": {func(w *world) { w.Plan = platform.Plan{Source: onePlan} }, `"v7"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			stop := w.run(t, "ingress")
			if status, body := w.get(t, "/readyz"); status != http.StatusOK {
				t.Errorf("ready: %d %s", status, body)
			}
			deadline := time.Now().Add(10 * time.Second)
			status, body := w.get(t, "/v1/models")
			for tt.want != "" && !strings.Contains(body, tt.want) && time.Now().Before(deadline) { // the plan comes beside
				status, body = w.get(t, "/v1/models")
			}
			if status != http.StatusOK || !strings.Contains(body, tt.want) || tt.want == "" && strings.Contains(body, "weight") {
				t.Errorf("the models: %d %s; want %s", status, body, tt.want)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What the configuration says of the ingress's manners reaches it.
func TestTheIngressIsToldItsManners(t *testing.T) {
	w := newWorld(t)
	w.Config.Listen.Admin = "127.0.0.1:0"
	w.Config.Ingress = platform.Ingress{Origins: []string{"https://app.example"}, TrustedProxies: []string{"127.0.0.1"}, AddressConnections: 7}
	stop := w.run(t, "ingress")
	if status, _ := w.get(t, "/metrics"); status != http.StatusNotFound {
		t.Errorf("metrics beside the API: %d", status)
	}
	if status, _ := w.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("ready: %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.Listener.Addr().String()+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://app.example")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Access-Control-Allow-Origin"); got != "https://app.example" {
		t.Errorf("the origin is told %q", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	w.Config.Ingress.TrustedProxies = []string{"nowhere"}
	if _, err := w.build(t, "ingress"); err == nil || !strings.Contains(err.Error(), "trustedProxies") {
		t.Errorf("a proxy that is none: %v", err)
	}
}

// What the process says of being ready the API says, too, and no more.
func TestTheIngressIsReadyAsTheProcessIs(t *testing.T) {
	w := newWorld(t)
	var fault error
	w.Ready = func(context.Context) error { return fault }
	stop := w.run(t, "ingress")
	for _, fault = range []error{nil, errors.New("the disk is full")} {
		status, body := w.get(t, "/readyz")
		if (status == http.StatusServiceUnavailable) != (fault != nil) || strings.Contains(body, "disk") {
			t.Errorf("%v: %d %s", fault, status, body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// The clock stands still here, so that nothing is forgiven.
func TestTheRateIsLimitedUnlessItIsNot(t *testing.T) {
	for _, unlimited := range []bool{false, true} {
		w := newWorld(t)
		w.Config.Ingress.Unlimited = unlimited
		stop := w.run(t, "ingress")
		refused := 0
		for range 210 { // a person's burst is 200
			if status, _ := w.get(t, "/v1/models"); status == http.StatusTooManyRequests {
				refused++
			}
		}
		if (refused > 0) == unlimited {
			t.Errorf("unlimited is %t, and %d of 210 requests are refused", unlimited, refused)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

// broken is a listener to which nobody comes any more.
type broken struct {
	net.Listener
	err error
}

func (b broken) Accept() (net.Conn, error) { return nil, b.err }

func TestAListenerThatBreaksEndsTheIngress(t *testing.T) {
	w, gone := newWorld(t), errors.New("the network is gone")
	w.Listener = broken{w.Listener, gone}
	runners, err := w.build(t, "ingress")
	if err != nil {
		t.Fatal(err)
	}
	if err := runners[0].Run(t.Context()); !errors.Is(err, gone) {
		t.Errorf("error %v, want the listener's", err)
	}
}

// A stop does not wait for ever for a body that does not end, and says so.
func TestARequestThatDoesNotEndIsCutOff(t *testing.T) {
	w := newWorld(t)
	stop := w.run(t, "ingress")
	token, err := issuer.Token(issuer.Request{Dir: w.dir, User: "anna", TTL: time.Hour, Now: today})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", w.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PUT /v1/consents/processing HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer "+token+
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get(t, "/healthz"); status != http.StatusOK { // it has come, since a later one has been answered
		t.Errorf("health: %d", status)
	}
	time.Sleep(200 * time.Millisecond) // and its head is read
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second || !strings.Contains(w.log.String(), `msg="requests were cut off" stage=ingress`) {
		t.Errorf("after %v the log is %q", took, w.log)
	}
}

// One process says once what is wrong with a plan: its worker, where it has one.
func TestAWrongPlanIsToldOnce(t *testing.T) {
	for _, stageNames := range [][]string{{"ingress"}, {"ingress", "worker"}} {
		w := newWorld(t)
		w.Config.Stages = stageNames
		w.Plan = platform.Plan{Source: plan("no plan")}
		if err := w.run(t, "ingress")(); err != nil {
			t.Error(err)
		}
		alone := len(stageNames) == 1
		if told := strings.Contains(w.log.String(), "no traffic plan yet"); told != alone {
			t.Errorf("the ingress of %v says %q", stageNames, w.log)
		}
	}
}

// counted is a writer that counts.
type counted struct {
	template.Writer
	prometheus.Collector
}

// What a writer counts is told, by both stages that have it, and once where they are in
// one process.
func TestAWritersMetricsAreTold(t *testing.T) {
	for _, names := range [][]string{{"insights"}, {"ingress"}, {"ingress", "insights"}} {
		w := newWorld(t)
		w.Writer = &counted{template.New(), prometheus.NewCounter(prometheus.CounterOpts{Name: "planted_total"})}
		for _, name := range names {
			if _, err := w.build(t, name); err != nil {
				t.Errorf("%v: %v", names, err)
			}
		}
		found := false
		families, err := w.Registry.Gather()
		for _, f := range families {
			found = found || f.GetName() == "planted_total"
		}
		if err != nil || !found {
			t.Errorf("%v: what the writer counts is not told: %v", names, err)
		}
	}
	w := newWorld(t)
	w.Registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "planted_total"}))
	w.Writer = &counted{template.New(), prometheus.NewCounter(prometheus.CounterOpts{Name: "planted_total"})}
	if _, err := w.build(t, "insights"); err == nil || !strings.Contains(err.Error(), "the writer's metrics") {
		t.Errorf("two of one name: %v", err)
	}
}
