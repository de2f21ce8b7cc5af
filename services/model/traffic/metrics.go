package traffic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/model"
)

// The values of labels.
const (
	roleLive    = "live"
	roleShadow  = "shadow"
	faultSource = "source"
	faultPlan   = "plan"
	faultOpen   = "open"
)

// metrics are the Router's. No label is of a person.
type metrics struct {
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	drift     *prometheus.HistogramVec
	nonFinite *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	revision  *prometheus.GaugeVec
	faults    *prometheus.CounterVec
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: traffic.MetricRequests,
			Help: "Requests to a model's versions. A window with too little data is no error; a refusal, a timeout and a failure are."},
			[]string{"model", "version", "role", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: traffic.MetricDuration, Help: "Time of a request to a model's version.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"model", "version", "role"}),
		drift: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: traffic.MetricDrift,
			Help:    "Distance between the live and the shadow version's output of one window: 0 is the same, 2 the opposite.",
			Buckets: []float64{1e-6, 1e-5, 1e-4, 1e-3, .003, .01, .02, .05, .1, .2, .3, .5, .7, 1, 1.5, 2}}, []string{"model", "version", "output"}),
		nonFinite: prometheus.NewCounterVec(prometheus.CounterOpts{Name: traffic.MetricNonFinite,
			Help: "Windows for which a version came to something that is no number."}, []string{"model", "version"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: traffic.MetricShadowDropped,
			Help: "Requests that were not copied to the shadow, as too many waited for it."}, []string{"model", "version"}),
		revision: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: traffic.MetricRevision, Help: "Revision of the traffic plan in force."}, []string{"model"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{Name: traffic.MetricPlanFaults,
			Help: "What kept a traffic plan from being followed: its source, the plan itself, or a version that cannot be connected to."}, []string{"model", "reason"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.drift, m.nonFinite, m.dropped, m.revision, m.faults} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of model traffic: %w", err)
		}
	}
	return m, nil
}

// An observer counts the requests to one version in one role.
type observer struct {
	model                 string
	ok, failed, nonFinite prometheus.Counter
	duration              prometheus.Observer
}

func (m *metrics) observer(name, version, role string) observer {
	return observer{model: name,
		ok: m.requests.WithLabelValues(name, version, role, "ok"), failed: m.requests.WithLabelValues(name, version, role, "error"),
		nonFinite: m.nonFinite.WithLabelValues(name, version), duration: m.duration.WithLabelValues(name, version, role),
	}
}

// record counts one request. What its caller gave up is nobody's outcome.
func (o observer) record(ctx context.Context, took time.Duration, err error, into []model.Inference) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	failed := err != nil
	for i := range into {
		if err != nil {
			break
		}
		// What is no *Refusal is a window that its caller made badly.
		var refusal *model.Refusal
		if errors.As(into[i].Refused, &refusal) && refusal.Reason != model.TooLittleData {
			failed = true
			if refusal.Reason == model.NotFinite {
				o.nonFinite.Inc()
			}
		}
	}
	o.duration.Observe(took.Seconds())
	if failed {
		o.failed.Inc()
		return
	}
	o.ok.Inc()
}
