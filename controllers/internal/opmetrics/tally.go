package opmetrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// maxEntries bounds the versions of one plan that have series of their own: a
// plan has two, and three for as long as a rollout is handed over.
const maxEntries = 4

// tally is the gauges of one scrape.
type tally struct {
	models names
	values map[string]map[string]float64 // by metric, by its labels' values, joined
	order  []Metric
}

const joined = "\x00"

func newTally() *tally { return &tally{values: map[string]map[string]float64{}} }

func (t *tally) of(m Metric) map[string]float64 {
	values, ok := t.values[m.Name]
	if !ok {
		values = map[string]float64{}
		t.values[m.Name] = values
		t.order = append(t.order, m)
	}
	return values
}

func (t *tally) add(m Metric, n float64, labels ...string) {
	t.of(m)[strings.Join(labels, joined)] += n
}

func (t *tally) set(m Metric, n float64, labels ...string) {
	t.of(m)[strings.Join(labels, joined)] = n
}

func (t *tally) tell(to chan<- prometheus.Metric) {
	for _, m := range t.order {
		desc := m.desc()
		for labels, n := range t.values[m.Name] {
			var values []string
			if len(m.Labels) > 0 {
				values = strings.Split(labels, joined)
			}
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, n, values...)
		}
	}
}

// name decides which models have series of their own: the first in the order of
// their names, so that it is the same ones in every scrape.
func (t *tally) name(found []v1alpha1.ModelVersion, plans []corev1.ConfigMap) {
	all := map[string]bool{}
	for i := range found {
		all[found[i].Spec.Model] = true
	}
	for i := range plans {
		all[plans[i].Labels[label.Model]] = true
	}
	for _, model := range slices.Sorted(maps.Keys(all)) {
		t.models.of(model)
	}
}

// plan counts one traffic plan and keeps it by its model. Models beyond the
// bound are counted as none: the sum of their plans means nothing.
func (t *tally) plan(held *corev1.ConfigMap, plans map[string]traffic.Plan) {
	p, err := traffic.ParsePlan([]byte(held.Data[traffic.PlanKey]))
	if err != nil {
		if model := t.models.of(held.Labels[label.Model]); model != otherModel && model != "" {
			t.set(planEntries, -1, model)
		}
		return
	}
	plans[p.Model] = p
	if t.models.of(p.Model) == otherModel {
		return
	}
	t.set(planEntries, float64(len(p.Entries)), p.Model)
	t.set(planRevision, float64(p.Revision), p.Model)
	for _, e := range p.Entries[:min(len(p.Entries), maxEntries)] {
		t.set(planWeight, float64(e.Weight)/traffic.Total, p.Model, e.Version)
	}
}

func (t *tally) modelVersion(mv *v1alpha1.ModelVersion, plans map[string]traffic.Plan) {
	model := t.models.of(mv.Spec.Model)
	stage := cmp.Or(mv.Status.Stage, v1alpha1.StagePending)
	t.add(versions, 1, model, oneOf(stage, stages()))
	if reason, yes := stalled(mv.Status.Conditions); yes {
		t.add(versionsStalled, 1, model, oneOf(reason, versionReasons()))
	}
	if f := mv.Status.LastFailure; stage == v1alpha1.StageRolledBack && f != nil {
		reason := oneOf(f.Reason, versionReasons())
		last := t.of(rolledBack)[strings.Join([]string{model, reason}, joined)]
		t.set(rolledBack, max(last, float64(f.At.Unix())), model, reason)
	}
	entries := plans[mv.Spec.Model].Entries
	at := slices.IndexFunc(entries, func(e traffic.Entry) bool { return e.Version == mv.Spec.Version })
	if model != otherModel && at >= 0 && at < maxEntries {
		t.set(replicasWanted, float64(mv.Status.Serving.Replicas), model, mv.Spec.Version)
		t.set(replicasLoaded, float64(mv.Status.Serving.Loaded), model, mv.Spec.Version)
	}
}

// startJobs makes the series of jobs, which are there at zero, too.
func (t *tally) startJobs() {
	for _, state := range states() {
		t.set(jobs, 0, state)
	}
	for _, state := range shardStates() {
		t.set(shards, 0, state)
	}
}

func (t *tally) analysisJob(job *v1alpha1.AnalysisJob) {
	state := cmp.Or(job.Status.State, v1alpha1.StatePending)
	t.add(jobs, 1, oneOf(state, states()))
	if reason, yes := stalled(job.Status.Conditions); yes {
		t.add(jobsStalled, 1, oneOf(reason, jobReasons()))
	}
	switch state {
	case v1alpha1.StateSucceeded, v1alpha1.StateFailed, v1alpha1.StateCancelled:
		return
	case v1alpha1.StatePending, v1alpha1.StateQueued, v1alpha1.StateRunning, v1alpha1.StateSuspended:
	}
	s := job.Status.Shards
	waiting := job.Spec.Shards - s.Active - s.Succeeded - s.Failed
	for i, n := range []int32{waiting, s.Active, s.Succeeded, s.Failed} {
		t.add(shards, float64(max(n, 0)), shardStates()[i])
	}
}

func stalled(conditions []metav1.Condition) (reason string, yes bool) {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)
	if c == nil || c.Status != metav1.ConditionTrue {
		return "", false
	}
	return c.Reason, true
}
