package traffic

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/model"
)

// A Source tells what a model's plan is.
type Source interface {
	// Watch calls tell with the plan's text as it is, again whenever it may
	// have changed, and with an error where it cannot be read. It MUST go on by
	// itself after an error, and returns when ctx ends.
	Watch(ctx context.Context, tell func(text []byte, err error))
}

// An Open connects to a version of a model, and returns when it can be asked.
// done is called once nobody needs the version any more.
type Open func(ctx context.Context, model string, e traffic.Entry) (m model.Model, done func(), err error)

// Options are what a Router needs.
type Options struct {
	// Model is the model whose plans are followed; "" takes that of the first plan.
	Model  string
	Source Source
	Open   Open
	// Metrics is where the counts go.
	Metrics prometheus.Registerer
	Log     *slog.Logger
	Now     func() time.Time
	// ShadowWindows bounds the windows that wait for the shadow or are with it;
	// 0 is 256, which take 23 MB.
	ShadowWindows int
	// ShadowTimeout bounds a request to the shadow; 0 is ten seconds.
	ShadowTimeout time.Duration
}

// ErrNoPlan says that no version serves, as no plan has come yet.
var ErrNoPlan = errors.New("no plan says which version serves")

// A Router has requests answered by the versions that the plan says.
//
// A version is connected to before the plan that names it is in force, and let
// go when the last request that was given it is over; in between nothing is
// lost. Whatever comes instead of a good plan (a broken one, an empty one, one
// of another model, none because the source is down) leaves the last good plan
// in force, and so does a plan that names a version nobody can connect to, until
// it can be connected to or another plan comes.
type Router struct {
	o       Options
	metrics *metrics
	shadows *shadows
	current atomic.Pointer[table]
	first   chan struct{} // closed when a plan is in force
	told    chan told
	opened  chan *version
	known   map[traffic.Entry]*version // Run's alone
	open    sync.WaitGroup             // the versions that are not closed yet
}

// A table is a plan in force.
type table struct {
	plan    traffic.Plan
	serving []*version // as plan.Entries
	shadow  *version   // nil while it is not connected to
}

type told struct {
	text []byte
	err  error
}

// New makes a Router. It answers nothing before Run.
func New(o Options) (*Router, error) {
	o.ShadowWindows, o.ShadowTimeout = cmp.Or(o.ShadowWindows, 256), cmp.Or(o.ShadowTimeout, 10*time.Second)
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	return &Router{
		o: o, metrics: m, shadows: newShadows(o, m), first: make(chan struct{}),
		told: make(chan told), opened: make(chan *version), known: map[traffic.Entry]*version{},
	}, nil
}

// Run follows the plans until ctx ends. The plan in force then stays, for the
// requests that are still to come; Close ends it.
func (r *Router) Run(ctx context.Context) error {
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		all.Wait()
		r.shadows.stop()
	}()
	all.Go(func() {
		r.o.Source.Watch(ctx, func(text []byte, err error) {
			select {
			case r.told <- told{text, err}:
			case <-ctx.Done():
			}
		})
	})
	r.shadows.start(ctx, &all)
	var wanted *traffic.Plan
	for {
		select {
		case t := <-r.told:
			p, err := r.read(t)
			if err != nil {
				continue
			}
			wanted = &p
		case v := <-r.opened:
			v.opening = nil
			if r.known[v.entry] != v { // no plan names it any more
				v.release()
				continue
			}
		case <-ctx.Done():
			r.forget(func(v *version) bool { return v.opening != nil })
			return nil
		}
		if wanted != nil {
			r.applyPlan(ctx, &all, *wanted)
		}
	}
}

// read is the plan that was told, or why it is none.
func (r *Router) read(t told) (traffic.Plan, error) {
	model, why, err := r.o.Model, faultSource, t.err
	var p traffic.Plan
	if err == nil {
		why = faultPlan
		p, err = traffic.ParsePlan(t.text)
	}
	if current := r.current.Load(); model == "" && current != nil {
		model = current.plan.Model
	}
	switch {
	case err != nil:
	case model != "" && p.Model != model:
		err = errors.New("the plan is another model's")
	case len(p.Entries) == 0:
		err = errors.New("the plan is empty")
	}
	if err != nil {
		r.metrics.faults.WithLabelValues(model, why).Inc()
		r.o.Log.Warn(complaint(t.err != nil, r.current.Load() != nil), "model", model, "err", err)
	}
	return p, err
}

// complaint says what happens meanwhile, where what was told is no plan to follow.
func complaint(unread, following bool) string {
	switch {
	case unread && following:
		return "traffic plan unreadable, keeping current"
	case unread:
		return "no traffic plan yet, waiting for one"
	case following:
		return "plan rejected, keeping current"
	}
	return "plan rejected, waiting for another"
}

// applyPlan does what can be done towards the plan: it connects to the versions
// that the plan names, puts the plan in force when those that serve are there,
// and lets go of the versions that neither plan names.
func (r *Router) applyPlan(ctx context.Context, all *sync.WaitGroup, p traffic.Plan) {
	t := table{plan: p}
	there := true
	for _, e := range p.Entries {
		v := r.version(ctx, all, p.Model, e)
		t.serving = append(t.serving, v)
		there = there && v.opening == nil
	}
	if s := p.Shadow; s != nil {
		v := r.version(ctx, all, p.Model, s.Entry())
		if t.shadow = v; v.opening != nil {
			t.shadow = nil
		}
	}
	if there {
		r.enforce(t)
	}
	r.forget(func(v *version) bool { return !p.Names(v.entry) && !r.current.Load().names(v.entry) })
}

// enforce has requests to come follow the table.
func (r *Router) enforce(t table) {
	before := r.current.Load()
	if before != nil && before.shadow == t.shadow && before.plan.Equal(t.plan) {
		return
	}
	r.current.Store(&t)
	r.metrics.revision.WithLabelValues(t.plan.Model).Set(float64(t.plan.Revision))
	if before == nil {
		close(r.first)
	}
	var shadow string
	if t.shadow != nil {
		shadow = t.shadow.entry.Version
	}
	r.o.Log.Info("traffic plan in force", "model", t.plan.Model, "revision", t.plan.Revision, "weights", t.plan.Weights(), "shadow", shadow)
}

// forget lets go of the versions that which says.
func (r *Router) forget(which func(*version) bool) {
	for e, v := range r.known {
		if which(v) {
			delete(r.known, e)
			v.leave()
		}
	}
}

// Ready waits until a plan is in force.
func (r *Router) Ready(ctx context.Context) error {
	select {
	case <-r.first:
		return nil
	case <-ctx.Done():
		return errors.Join(ErrNoPlan, ctx.Err())
	}
}

// For returns the version that the subject's requests go to. The version stays
// what it is, whatever plan comes, and stays connected to until release is
// called.
func (r *Router) For(subject string) (m model.Model, release func(), err error) {
	for {
		t := r.current.Load()
		if t == nil {
			return nil, nil, ErrNoPlan
		}
		at := t.plan.Pick(subject)
		if at < 0 {
			return nil, nil, ErrNoPlan
		}
		v := t.serving[at]
		if !v.acquire() {
			continue // another plan came in between
		}
		l := &lease{router: r, version: v}
		if t.shadow != nil && t.plan.Shadowed(subject) {
			l.shadow = t.shadow
		}
		return l, l.release, nil
	}
}

// Close lets every version go, and returns when the requests that were given one
// are over. It is for after Run.
func (r *Router) Close() {
	r.current.Store(nil)
	r.forget(func(*version) bool { return true })
	r.open.Wait()
}

func (t *table) names(e traffic.Entry) bool { return t != nil && t.plan.Names(e) }
