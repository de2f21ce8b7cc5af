package traffic_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/traffic/traffictest"
	"github.com/clarity-loop/clarity/services/model"
	router "github.com/clarity-loop/clarity/services/model/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a version without a server.
type fake struct {
	version string
	value   float32
	closed  atomic.Bool
	infer   func(ctx context.Context, windows []model.Window, into []model.Inference) error
	calls   atomic.Int64
}

func (f *fake) Identity() model.Identity {
	return model.Identity{Name: f.version, Digest: "sha256:" + f.version, Outputs: []model.Output{{Name: "embedding", Length: 2}}}
}

func (f *fake) Infer(ctx context.Context, windows []model.Window, into []model.Inference) error {
	f.calls.Add(1)
	if f.closed.Load() {
		return errors.New("closed")
	}
	for i := range into {
		into[i] = model.Inference{Version: f.version, Values: [][]float32{{1, f.value}}}
	}
	if f.infer != nil {
		return f.infer(ctx, windows, into)
	}
	return nil
}

// A world is a router, a source that a test tells through, and fakes.
type world struct {
	*testing.T
	router   *router.Router
	registry *prometheus.Registry
	tell     func([]byte, error)
	stop     func()
	log      *logs

	mu     sync.Mutex
	fakes  map[string]*fake
	away   map[string]bool // versions that cannot be connected to
	opened []string
}

type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type source chan func([]byte, error)

func (s source) Watch(ctx context.Context, tell func([]byte, error)) {
	s <- tell
	<-ctx.Done()
}

func newWorld(t *testing.T, change func(*router.Options)) *world {
	t.Helper()
	w := &world{T: t, registry: prometheus.NewRegistry(), fakes: map[string]*fake{}, away: map[string]bool{}, log: &logs{}}
	from := make(source)
	o := router.Options{Model: "pat", Source: from, Open: w.open, Metrics: w.registry, Now: time.Now, Log: slog.New(slog.NewTextHandler(w.log, nil))}
	if change != nil {
		change(&o)
	}
	var err error
	if w.router, err = router.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.router.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	w.tell = <-from
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		w.router.Close()
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) open(_ context.Context, name string, e traffic.Entry) (model.Model, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away[e.Version] {
		return nil, nil, errors.New("nobody there")
	}
	f := w.fakes[e.Version]
	if f == nil || f.closed.Load() {
		f = &fake{version: e.Version}
		w.fakes[e.Version] = f
	}
	w.opened = append(w.opened, name+"/"+e.Version)
	return f, func() { f.closed.Store(true) }, nil
}

func (w *world) fake(version string) *fake {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fakes[version] == nil {
		w.fakes[version] = &fake{version: version}
	}
	return w.fakes[version]
}

func (w *world) setAway(version string, away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away[version] = away
}

func (w *world) plan(p traffic.Plan) {
	w.Helper()
	w.tell(traffictest.Text(w, p), nil)
}

// inForce waits until the plan of the revision is.
func (w *world) inForce(revision int64) {
	w.Helper()
	w.eventually("the plan is in force", func() bool { return w.count(traffic.MetricRevision) == float64(revision) })
}

// count is the sum of the metric's values over the label pairs given.
func (w *world) count(name string, labels ...string) float64 {
	w.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, l.GetName()+"="+l.GetValue())
			}
			if f.GetName() != name || slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(pairs, l) }) {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("never: %s; the log says\n%s", what, w.log)
		}
	}
}

// ask is one request of the subject's; it returns the version that answered.
func (w *world) ask(subject string) (string, error) {
	m, release, err := w.router.For(subject)
	if err != nil {
		return "", err
	}
	defer release()
	into := make([]model.Inference, 1)
	err = m.Infer(context.Background(), []model.Window{{Counts: []float64{1}}}, into)
	if err == nil && "sha256:"+into[0].Version != m.Identity().Digest {
		w.Errorf("%s answered where %s was chosen", into[0].Version, m.Identity().Digest)
	}
	return into[0].Version, err
}

// answers are the versions that answer a hundred subjects.
func (w *world) answers() map[string]int {
	w.Helper()
	got := map[string]int{}
	for i := range 100 {
		v, err := w.ask(subject(i))
		if err != nil {
			w.Fatal(err)
		}
		got[v]++
	}
	return got
}

func TestARouterFollowsThePlan(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.ask("someone"); !errors.Is(err, router.ErrNoPlan) {
		t.Errorf("before any plan: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.router.Ready(short); !errors.Is(err, router.ErrNoPlan) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ready before any plan: %v", err)
	}
	w.plan(traffictest.Plan(1, 0))
	if err := w.router.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.answers(); got["v1"] != 100 {
		t.Errorf("answers %v", got)
	}
	w.plan(traffictest.Plan(2, 30))
	w.inForce(2)
	if got := w.answers(); got["v2"] < 15 || got["v2"] > 45 || got["v1"]+got["v2"] != 100 {
		t.Errorf("answers %v, want about 30 of v2", got)
	}
	w.plan(traffictest.Plan(3, 100))
	w.inForce(3)
	if got := w.answers(); got["v2"] != 100 {
		t.Errorf("answers %v", got)
	}
	w.eventually("v1 is let go", w.fake("v1").closed.Load)
	if diff := cmp.Diff([]string{"pat/v1", "pat/v2"}, w.opened); diff != "" {
		t.Errorf("connections (-want +got):\n%s", diff)
	}
	w.plan(traffictest.Plan(4, 0))
	w.inForce(4)
	if got := w.answers(); got["v1"] != 100 {
		t.Errorf("answers after the rollback %v", got)
	}
	w.stop()
	if !w.fake("v1").closed.Load() || !w.fake("v2").closed.Load() {
		t.Error("a version is still connected to after Close")
	}
	if _, err := w.ask("someone"); !errors.Is(err, router.ErrNoPlan) {
		t.Errorf("after Close: %v", err)
	}
}

func TestTheLastGoodPlanStays(t *testing.T) {
	empty, other := traffictest.Plan(7, 0), traffictest.Plan(7, 0)
	empty.Entries, other.Model = nil, "heart"
	tests := map[string]struct {
		tell   func(w *world)
		reason string
	}{
		"the source is down":          {func(w *world) { w.tell(nil, errors.New("away")) }, "source"},
		"a plan that is no JSON":      {func(w *world) { w.tell([]byte("{"), nil) }, "plan"},
		"a plan that breaks a rule":   {func(w *world) { p := traffictest.Plan(7, 0); p.Entries[0].Weight = 99; w.plan(p) }, "plan"},
		"an empty plan":               {func(w *world) { w.plan(empty) }, "plan"},
		"another model's plan":        {func(w *world) { w.plan(other) }, "plan"},
		"a version that is not there": {func(w *world) { w.setAway("v2", true); w.plan(traffictest.Plan(7, 10)) }, "open"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.plan(traffictest.Plan(1, 0))
			w.inForce(1)
			tt.tell(w)
			w.eventually("the fault is counted", func() bool {
				return w.count(traffic.MetricPlanFaults, "model=pat", "reason="+tt.reason) >= 1
			})
			if got := w.answers(); got["v1"] != 100 {
				t.Errorf("answers %v", got)
			}
			w.setAway("v2", false)
			w.plan(traffictest.Plan(8, 100))
			w.inForce(8)
			if got := w.answers(); got["v2"] != 100 {
				t.Errorf("answers after the next good plan %v", got)
			}
		})
	}
}

// What is wrong with a plan is said with what happens meanwhile; nothing is
// rejected where nothing was there to read.
func TestTheLogSaysWhatHappensWithoutAPlan(t *testing.T) {
	tests := map[string]struct {
		following bool
		text      string
		err       error
		want      string
	}{
		"nothing there, and none before":  {false, "", errors.New("away"), "no traffic plan yet, waiting for one"},
		"nothing there, and one in force": {true, "", errors.New("away"), "traffic plan unreadable, keeping current"},
		"no plan, and none before":        {false, "{", nil, "plan rejected, waiting for another"},
		"no plan, and one in force":       {true, "{", nil, "plan rejected, keeping current"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if tt.following {
				w.plan(traffictest.Plan(1, 0))
				w.inForce(1)
			}
			w.tell([]byte(tt.text), tt.err)
			w.eventually("it is logged", func() bool { return strings.Contains(w.log.String(), "level=WARN") })
			if !strings.Contains(w.log.String(), tt.want) {
				t.Errorf("want %q in\n%s", tt.want, w.log)
			}
		})
	}
}

func TestARouterWithoutANameTakesTheFirstPlans(t *testing.T) {
	w := newWorld(t, func(o *router.Options) { o.Model = "" })
	w.plan(traffictest.Plan(1, 0))
	w.inForce(1)
	other := traffictest.Plan(2, 100)
	other.Model = "heart"
	w.plan(other)
	w.eventually("the other model's plan is counted", func() bool { return w.count(traffic.MetricPlanFaults, "model=pat") == 1 })
	if got := w.answers(); got["v1"] != 100 {
		t.Errorf("answers %v", got)
	}
}

// A version that cannot be connected to holds up nothing that comes after.
func TestARollbackDoesNotWaitForTheCandidate(t *testing.T) {
	hanging := make(chan struct{})
	var w *world
	w = newWorld(t, func(o *router.Options) {
		o.Open = func(ctx context.Context, name string, e traffic.Entry) (model.Model, func(), error) {
			if e.Version == "v2" {
				close(hanging)
				<-ctx.Done()
				return nil, nil, ctx.Err()
			}
			return w.open(ctx, name, e)
		}
	})
	w.plan(traffictest.Plan(1, 0))
	w.inForce(1)
	w.plan(traffictest.Plan(2, 50))
	<-hanging
	w.plan(traffictest.Plan(3, 0))
	w.inForce(3)
	if got := w.answers(); got["v1"] != 100 {
		t.Errorf("answers %v", got)
	}
}

func TestAVersionIsConnectedToWhenItComesBack(t *testing.T) {
	w := newWorld(t, nil)
	w.setAway("v1", true)
	w.plan(traffictest.Plan(1, 0))
	w.eventually("the fault is counted", func() bool { return w.count(traffic.MetricPlanFaults, "reason=open") >= 1 })
	w.setAway("v1", false)
	w.inForce(1)
	if strings.Contains(w.log.String(), "subject") {
		t.Error("the log names a subject")
	}
}

// Whoever was given a version has it until the end, whatever the plan says.
func TestALeaseOutlivesThePlan(t *testing.T) {
	w := newWorld(t, nil)
	w.plan(traffictest.Plan(1, 0))
	w.inForce(1)
	m, release, err := w.router.For("someone")
	if err != nil {
		t.Fatal(err)
	}
	w.plan(traffictest.Plan(2, 100))
	w.inForce(2)
	into := make([]model.Inference, 1)
	if err := m.Infer(t.Context(), make([]model.Window, 1), into); err != nil || into[0].Version != "v1" {
		t.Errorf("%q answered, %v", into[0].Version, err)
	}
	time.Sleep(20 * time.Millisecond)
	if w.fake("v1").closed.Load() {
		t.Fatal("v1 was let go under a request")
	}
	closing := make(chan struct{})
	go func() {
		w.stop()
		close(closing)
	}()
	select {
	case <-closing:
		t.Fatal("Close did not wait for the request")
	case <-time.After(20 * time.Millisecond):
	}
	release()
	release() // a second time does nothing
	<-closing
	if !w.fake("v1").closed.Load() {
		t.Error("v1 was not let go")
	}
}

func TestOutcomes(t *testing.T) {
	refuse := func(err error) func(context.Context, []model.Window, []model.Inference) error {
		return func(_ context.Context, _ []model.Window, into []model.Inference) error {
			into[0].Refused, into[0].Values = err, nil
			return nil
		}
	}
	tests := map[string]struct {
		infer                 func(context.Context, []model.Window, []model.Inference) error
		ok, failed, nonFinite float64
	}{
		"an answer":                   {nil, 1, 0, 0},
		"a window with too little":    {refuse(model.Refuse(model.TooLittleData, "")), 1, 0, 0},
		"a window of another shape":   {refuse(errors.New("shape")), 1, 0, 0},
		"an output that is no number": {refuse(model.Refuse(model.NotFinite, "")), 0, 1, 1},
		"another refusal":             {refuse(model.Refuse(model.Malformed, "")), 0, 1, 0},
		"a failure":                   {func(context.Context, []model.Window, []model.Inference) error { return errors.New("away") }, 0, 1, 0},
		"a timeout":                   {func(context.Context, []model.Window, []model.Inference) error { return context.DeadlineExceeded }, 0, 1, 0},
		"a caller that went": {func(ctx context.Context, _ []model.Window, _ []model.Inference) error {
			<-ctx.Done()
			return ctx.Err()
		}, 0, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.fake("v1").infer = tt.infer
			w.plan(traffictest.Plan(1, 0))
			w.inForce(1)
			m, release, err := w.router.For("someone")
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			ctx, cancel := context.WithCancel(t.Context())
			if strings.HasPrefix(name, "a caller") {
				cancel()
			}
			defer cancel()
			_ = m.Infer(ctx, make([]model.Window, 1), make([]model.Inference, 1))
			live := []string{"model=pat", "version=v1", "role=live"}
			got := []float64{w.count(traffic.MetricRequests, append(live, "outcome=ok")...), w.count(traffic.MetricRequests, append(live, "outcome=error")...),
				w.count(traffic.MetricNonFinite, "version=v1"), w.count(traffic.MetricDuration, live...)}
			if diff := cmp.Diff([]float64{tt.ok, tt.failed, tt.nonFinite, tt.ok + tt.failed}, got); diff != "" {
				t.Errorf("ok, error, not finite, durations (-want +got):\n%s", diff)
			}
		})
	}
}

func shadowed(percent int32) traffic.Plan {
	p := traffictest.Plan(1, 0)
	p.Shadow = &traffic.Shadow{Version: "v2", Percent: percent, Endpoint: "v2:8001", Digest: "sha256:2"}
	return p
}

func TestTheShadowIsComparedAndUsedByNobody(t *testing.T) {
	w := newWorld(t, nil)
	w.fake("v2").value = 1 // v1 says (1, 0), v2 says (1, 1)
	plan := shadowed(40)
	w.plan(plan)
	w.eventually("the shadow is connected to", func() bool { return strings.Contains(w.log.String(), "shadow=v2") })
	want := 0.0
	for i := range 100 {
		if plan.Shadowed(subject(i)) {
			want++
		}
	}
	if want < 25 || want > 55 {
		t.Errorf("%v of 100 subjects are copied, want about 40", want)
	}
	if got := w.answers(); got["v1"] != 100 {
		t.Errorf("answers %v", got)
	}
	copies := func() float64 { return w.count(traffic.MetricRequests, "role=shadow", "version=v2", "outcome=ok") }
	w.eventually("a distance for each copy", func() bool {
		return w.count(traffic.MetricDrift, "model=pat", "version=v2", "output=embedding") == want
	})
	if got := copies(); got != want {
		t.Errorf("%v copies, want %v", got, want)
	}
	if got := w.mean(traffic.MetricDrift); math.Abs(got-1/math.Sqrt2) > 1e-9 {
		t.Errorf("mean distance %v, want %v", got, 1/math.Sqrt2)
	}
}

// mean is a histogram's.
func (w *world) mean(name string) float64 {
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleSum() / float64(h.GetSampleCount())
		}
	}
	return math.NaN()
}

// A shadow that hangs, fails or is not there costs live requests nothing.
func TestASlowShadowIsNotWaitedFor(t *testing.T) {
	w := newWorld(t, func(o *router.Options) { o.ShadowWindows, o.ShadowTimeout = 4, 30*time.Second })
	hang := make(chan struct{})
	w.fake("v2").infer = func(ctx context.Context, _ []model.Window, _ []model.Inference) error {
		select {
		case <-hang:
			return errors.New("failed after all")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.plan(shadowed(100))
	w.inForce(1)
	w.eventually("the shadow hangs", func() bool { _ = w.answers(); return w.fake("v2").calls.Load() == 2 })
	dropped := w.count(traffic.MetricShadowDropped, "version=v2")
	began := time.Now()
	_ = w.answers()
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("a hundred requests took %v beside a shadow that hangs", d)
	}
	if n := w.count(traffic.MetricShadowDropped, "version=v2") - dropped; n != 100 {
		t.Errorf("%v of 100 copies dropped", n)
	}
	close(hang)
	w.eventually("the copies that waited are failed", func() bool { return w.count(traffic.MetricRequests, "role=shadow", "outcome=error") == 4 })
	if w.count(traffic.MetricRequests, "role=live", "outcome=error") != 0 {
		t.Error("a live request failed with the shadow")
	}
	w.stop() // and nothing waits for it
}

func TestAShadowThatIsNotThereHoldsUpNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.setAway("v2", true)
	w.plan(shadowed(100))
	w.inForce(1)
	if got := w.answers(); got["v1"] != 100 {
		t.Errorf("answers %v", got)
	}
	w.setAway("v2", false)
	w.eventually("it gets copies once it is there", func() bool { _ = w.answers(); return w.fake("v2").calls.Load() > 0 })
}

// The caller may use its room again as soon as it has the answer.
func TestACopyIsACopy(t *testing.T) {
	w := newWorld(t, nil)
	gate, seen := make(chan struct{}), make(chan float64, 1)
	w.fake("v2").infer = func(_ context.Context, windows []model.Window, _ []model.Inference) error {
		<-gate
		seen <- windows[0].Counts[0]
		return nil
	}
	w.plan(shadowed(100))
	w.inForce(1)
	w.eventually("the shadow is connected to", func() bool { return strings.Contains(w.log.String(), "shadow=v2") })
	m, release, err := w.router.For("someone")
	if err != nil {
		t.Fatal(err)
	}
	windows, into := []model.Window{{Counts: []float64{42}}}, make([]model.Inference, 1)
	if err := m.Infer(t.Context(), windows, into); err != nil {
		t.Fatal(err)
	}
	windows[0].Counts[0], into[0].Values[0][1] = 7, 1e6
	release()
	close(gate)
	if got := <-seen; got != 42 {
		t.Errorf("the shadow saw %v, which its caller wrote after the answer", got)
	}
	w.eventually("the distance", func() bool { return w.count(traffic.MetricDrift) == 1 })
	if got := w.mean(traffic.MetricDrift); got != 0 {
		t.Errorf("distance %v, want 0", got)
	}
}

func TestDistance(t *testing.T) {
	tests := map[string]struct {
		a, b []float32
		want float64
	}{
		"the same":             {[]float32{3, 4}, []float32{3, 4}, 0},
		"zeros":                {[]float32{0, 0}, []float32{0, 0}, 0},
		"nothing at all":       {nil, nil, 0},
		"one per cent more":    {[]float32{100, 0}, []float32{101, 0}, 1. / 101},
		"at a right angle":     {[]float32{1, 0}, []float32{0, 1}, math.Sqrt2},
		"the opposite":         {[]float32{1, 2}, []float32{-1, -2}, 2},
		"something for zeros":  {[]float32{0, 0}, []float32{0, 9}, 1},
		"twice as long":        {[]float32{1, 1}, []float32{2, 2}, 0.5},
		"the largest there is": {[]float32{math.MaxFloat32}, []float32{-math.MaxFloat32}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, back := router.Distance(tt.a, tt.b), router.Distance(tt.b, tt.a); math.Abs(got-tt.want) > 1e-9 || got != back {
				t.Errorf("%v there and %v back, want %v", got, back, tt.want)
			}
		})
	}
}

func TestNoMetricKnowsASubject(t *testing.T) {
	w := newWorld(t, nil)
	w.plan(shadowed(100))
	w.inForce(1)
	_ = w.answers()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{
		traffic.MetricRequests: {"model", "outcome", "role", "version"}, traffic.MetricDuration: {"model", "role", "version"},
		traffic.MetricDrift: {"model", "output", "version"}, traffic.MetricNonFinite: {"model", "version"},
		traffic.MetricShadowDropped: {"model", "version"}, traffic.MetricRevision: {"model"}, traffic.MetricPlanFaults: {"model", "reason"},
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var names []string
			for _, l := range m.GetLabel() {
				names = append(names, l.GetName())
				if strings.Contains(l.GetValue(), "subject") {
					t.Errorf("%s has a subject in %s", f.GetName(), l.GetName())
				}
			}
			if diff := cmp.Diff(known[f.GetName()], names); diff != "" {
				t.Errorf("labels of %s (-want +got):\n%s", f.GetName(), diff)
			}
		}
	}
	if strings.Contains(w.log.String(), "subject-") {
		t.Error("the log names a subject")
	}
}
