package opmetrics

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Transitions counts what the controllers tell of: it is an Observer of both.
// Every series but those of models is there from the start, at zero, so that
// the first of anything is seen to rise.
type Transitions struct {
	stages, verdicts, rollbacks, jobs *prometheus.CounterVec
	inStage                           *prometheus.HistogramVec
	creation, start                   prometheus.Histogram
	models                            names
}

// NewTransitions returns Transitions whose metrics are registered.
func NewTransitions(r prometheus.Registerer) (*Transitions, error) {
	t := &Transitions{
		stages:    counter(stageTransitions),
		verdicts:  counter(gateVerdicts),
		rollbacks: counter(rollbacks),
		jobs:      counter(jobTransitions),
		inStage: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: stageDuration.Name, Help: stageDuration.Help,
			Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400, 604800}}, stageDuration.Labels),
		creation: prometheus.NewHistogram(prometheus.HistogramOpts{Name: jobCreation.Name, Help: jobCreation.Help,
			Buckets: []float64{1, 2, 5, 10, 30, 60, 300, 1800, 7200}}),
		start: prometheus.NewHistogram(prometheus.HistogramOpts{Name: jobStart.Name, Help: jobStart.Help,
			Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400}}),
	}
	for _, c := range []prometheus.Collector{t.stages, t.verdicts, t.rollbacks, t.jobs, t.inStage, t.creation, t.start} {
		if err := register(r, c); err != nil {
			return nil, err
		}
	}
	for _, stage := range stages() {
		t.stages.WithLabelValues(stage)
		t.inStage.WithLabelValues(stage)
	}
	for _, state := range states() {
		t.jobs.WithLabelValues(state)
	}
	for _, source := range sources() {
		for _, verdict := range verdicts() {
			t.verdicts.WithLabelValues(source, verdict)
		}
	}
	return t, nil
}

// Register makes the operator's metrics: State over the manager's cache, and
// the Transitions that the controllers are to tell. In a process that has
// several managers, a test's, the newest is the one that is scraped.
func Register(r prometheus.Registerer, cached cache.Cache, namespace, version string) (*Transitions, error) {
	if err := register(r, NewState(cached, namespace, version)); err != nil {
		return nil, err
	}
	return NewTransitions(r)
}

func register(r prometheus.Registerer, c prometheus.Collector) error {
	err := r.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		r.Unregister(already.ExistingCollector)
		err = r.Register(c)
	}
	if err != nil {
		return fmt.Errorf("register the operator's metrics: %w", err)
	}
	return nil
}

func counter(m Metric) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

// Stage tells that a version of a model left a stage after so long. A version
// that is seen for the first time comes from none.
func (t *Transitions) Stage(_ string, from, to v1alpha1.Stage, took time.Duration) {
	t.stages.WithLabelValues(oneOf(to, stages())).Inc()
	if from != "" {
		t.inStage.WithLabelValues(oneOf(from, stages())).Observe(max(took, 0).Seconds())
	}
}

// Verdict tells what a gate said.
func (t *Transitions) Verdict(kind string, verdict v1alpha1.Verdict) {
	t.verdicts.WithLabelValues(oneOf(kind, sources()), oneOf(verdict, verdicts())).Inc()
}

// RolledBack tells that a version lost its traffic, or the chance of any.
func (t *Transitions) RolledBack(model, reason string) {
	t.rollbacks.WithLabelValues(t.models.of(model), oneOf(reason, versionReasons())).Inc()
}

// State tells that an analysis job came to a state.
func (t *Transitions) State(_, to v1alpha1.State) {
	t.jobs.WithLabelValues(oneOf(to, states())).Inc()
}

// JobCreated tells that an analysis job has its Job, so long after its own creation.
func (t *Transitions) JobCreated(after time.Duration) { t.creation.Observe(max(after, 0).Seconds()) }

// FirstShard tells that the first shard of an analysis job started, so long after the job's creation.
func (t *Transitions) FirstShard(after time.Duration) { t.start.Observe(max(after, 0).Seconds()) }

// names gives the first MaxModels names to themselves; the zero value is ready.
type names struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (n *names) of(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen == nil {
		n.seen = map[string]bool{}
	}
	if !n.seen[name] {
		if len(n.seen) >= MaxModels {
			return otherModel
		}
		n.seen[name] = true
	}
	return name
}
