package gate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"k8s.io/utils/clock"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Prometheus is Gates over Prometheus' HTTP API.
//
// What a result means: one number, scalar or the only element of a vector, is
// compared. No element, and for a query of the spec NaN, is too little data. More
// than one element, a string or a range is Error. An infinite number never
// passes. What Prometheus answers with a warning rests on a part of the data: it
// can fail a version and not pass one.
type Prometheus struct {
	config Config
	api    promv1.API
	clock  clock.PassiveClock

	mu    sync.Mutex
	until time.Time // Prometheus is left alone until then
	why   error     // what it did last
}

// New returns Gates that ask Prometheus, or every fault of the configuration.
func New(config Config, clock clock.PassiveClock) (*Prometheus, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("read configuration of Prometheus: %w", err)
	}
	client, err := newHTTPClient(config)
	if err != nil {
		return nil, err
	}
	c, err := api.NewClient(api.Config{Address: config.URL, Client: client})
	if err != nil {
		return nil, fmt.Errorf("make a client of Prometheus: %w", err)
	}
	return &Prometheus{config: config.WithDefaults(), api: promv1.NewAPI(c), clock: clock}, nil
}

// Samples implements Gates.
func (p *Prometheus) Samples(ctx context.Context, q Question, shadow bool) (int64, error) {
	n, err := p.count(ctx, countOf(q, shadow), q.Now)
	if err != nil {
		return 0, fmt.Errorf("count samples of version %q of model %q: %w", q.Version, q.Model, err)
	}
	return n, nil
}

// Ask implements Gates.
func (p *Prometheus) Ask(ctx context.Context, g v1alpha1.Gate, q Question, shadow bool) Answer {
	if err := Check(g); err != nil {
		return failure(err)
	}
	if g.Source.ShadowDrift != nil && !shadow {
		return Answer{Verdict: v1alpha1.VerdictPass, Message: "compared in the shadow; a step with live traffic has nothing to compare"}
	}
	window := min(max(q.Now.Sub(q.Since), p.config.MinWindow.Duration), p.config.MaxWindow.Duration)
	s, err := queryOf(g.Source, q, window, shadow)
	if err != nil {
		return failure(err)
	}
	r, err := p.ask(ctx, s.asked(p.config.MinSamples), q.Now, s.samples != "")
	if err != nil {
		return failure(err)
	}
	var a Answer
	switch {
	case !r.found && s.samples != "":
		a = p.tooFew(ctx, g, s, q, window)
	case !r.found:
		a = insufficient(g.OnInsufficientData, "the query has no result")
	case math.IsNaN(r.value) && s.samples == "":
		a = insufficient(g.OnInsufficientData, "the query's result is not a number")
	default:
		a = evaluateGate(g, s.what, r.value)
	}
	if r.partial && a.Verdict != v1alpha1.VerdictFail {
		a.Verdict, a.Message = v1alpha1.VerdictError, bound("Prometheus answered with a part of the data: "+r.warning)
	}
	return a
}

// tooFew answers for a built-in source that has no number: it looks why.
func (p *Prometheus) tooFew(ctx context.Context, g v1alpha1.Gate, s query, q Question, window time.Duration) Answer {
	if s.few {
		r, err := p.ask(ctx, s.value, q.Now, true)
		if err != nil {
			return failure(err)
		}
		if a := evaluateGate(g, s.what, r.value); r.found && a.Verdict == v1alpha1.VerdictFail {
			return a
		}
	}
	n, err := p.count(ctx, s.samples, q.Now)
	if err != nil {
		return failure(err)
	}
	if n >= p.config.MinSamples {
		return insufficient(g.OnInsufficientData, "Prometheus no longer hears from the workers")
	}
	return insufficient(g.OnInsufficientData, fmt.Sprintf("%d samples in %s, %d are needed", n, promDuration(window), p.config.MinSamples))
}

// count asks for a number of things; nothing is none.
func (p *Prometheus) count(ctx context.Context, query string, at time.Time) (int64, error) {
	r, err := p.ask(ctx, query, at, true)
	switch {
	case err != nil:
		return 0, err
	case r.partial:
		return 0, errors.New(bound("Prometheus answered with a part of the data: " + r.warning))
	case !r.found:
		return 0, nil
	case math.IsNaN(r.value) || math.IsInf(r.value, 0) || r.value < 0:
		return 0, fmt.Errorf("%s is no number of samples", short(r.value))
	}
	return int64(min(r.value, 1<<53)), nil
}

// result is one number, or none.
type result struct {
	value   float64
	found   bool
	partial bool
	warning string
}

// ask evaluates the query once. ours says that the query is one of ours, which
// Prometheus answers fast and well: when it does not, Prometheus is at fault and
// is left alone for a while. A query of the spec may be at fault itself, and must
// not hold up other models' gates.
func (p *Prometheus) ask(ctx context.Context, query string, at time.Time, ours bool) (result, error) {
	if err := p.resting(); err != nil {
		return result{}, err
	}
	within, cancel := context.WithTimeout(ctx, p.config.Timeout.Duration)
	defer cancel()
	value, warnings, _, err := p.api.Query(within, query, at, promv1.WithTimeout(p.config.Timeout.Duration))
	if err != nil {
		down, told := explain(err, p.config.Timeout.Duration)
		if ctx.Err() == nil && (down == unreachable || down == unclear && ours) {
			p.rest(told)
		}
		return result{}, told
	}
	r, err := number(value)
	if len(warnings) > 0 {
		r.partial, r.warning = true, warnings[0]
	}
	return r, err
}

// number is the one number of a reply.
func number(value model.Value) (result, error) {
	switch v := value.(type) {
	case *model.Scalar:
		return result{value: float64(v.Value), found: true}, nil
	case model.Vector:
		if len(v) == 0 {
			return result{}, nil
		}
		if len(v) > 1 {
			return result{}, fmt.Errorf("the query's result has %d series, and one number is needed: sum or aggregate them", len(v))
		}
		if v[0].Histogram != nil {
			return result{}, errors.New("the query's result is a histogram, and one number is needed")
		}
		return result{value: float64(v[0].Value), found: true}, nil
	}
	return result{}, fmt.Errorf("the query's result is a %s, and one number is needed", value.Type())
}

func (p *Prometheus) resting() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clock.Now().Before(p.until) {
		return p.why
	}
	return nil
}

func (p *Prometheus) rest(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.why = p.clock.Now().Add(p.config.RetryAfter.Duration), why
}

// countOf asks for the requests answered since the step began.
func countOf(q Question, shadow bool) string {
	return "sum(" + gained(selector(traffic.MetricRequests, q, is("role", roleOf(shadow))), promDuration(q.Now.Sub(q.Since))) + ")"
}
