package modelversion

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving/probe"
)

// probe asks the servers whether this very model is ready, and finds out why
// where none is.
func (r *Reconciler) probe(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	for _, m := range p.versions {
		s := &m.mv.Status.Serving
		*s = v1alpha1.ServingStatus{Selector: s.Selector}
		if m.deployment != nil {
			s.Replicas = replicasOf(m.deployment)
			s.Selector = metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: serving.Selector(m.mv)})
			s.Summary = fmt.Sprintf("0/%d", s.Replicas)
		}
		if m.want != wantWarm && m.want != wantHeld || m.deployment == nil {
			m.rest()
			continue
		}
		m.loaded = r.count(ctx, p, m, false)
		for i := range m.servers {
			if probe.IsReady(&m.servers[i]) && m.servers[i].DeletionTimestamp.IsZero() {
				s.Ready++
			}
		}
		s.Loaded, s.Endpoint = m.loaded, serving.Endpoint(m.mv)
		s.Summary = fmt.Sprintf("%d/%d", s.Loaded, s.Replicas)
		if m.loaded > 0 {
			m.setCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "")
			continue
		}
		r.explain(p, m)
	}
	return outcome.Continue{}, nil
}

// rest is the availability of a version whose servers are not meant to run. What
// ended it stays.
func (m *versionPass) rest() {
	if c := conditionOf(m.before, v1alpha1.ConditionAvailable); c != nil && c.Status == metav1.ConditionFalse && (m.over() || m.ended != nil) {
		return
	}
	if m.want == wantWarm && m.stalled == nil {
		m.setCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "its servers are being made")
		return
	}
	m.setCondition(v1alpha1.ConditionAvailable, metav1.ConditionUnknown, v1alpha1.ReasonScaledToZero, "")
}

// explain says why no server is ready, and whether one still may be.
func (r *Reconciler) explain(p *modelPass, m *versionPass) {
	why := pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: "no server is ready yet"}
	if isTrue(m.before, v1alpha1.ConditionAvailable) || m.wasAvailable() {
		why = pass.Reason{Reason: v1alpha1.ReasonUnavailable, Message: "no server says that it is ready"}
	}
	for i := range m.servers {
		pod := &m.servers[i]
		if !pod.DeletionTimestamp.IsZero() {
			continue
		}
		if e := probe.Crashed(pod); e != nil && m.broken == nil {
			m.broken = &rollout.Outcome{Reason: e.Reason, Message: e.Message, Pod: e.Pod, ExitCode: e.ExitCode}
			why = pass.Reason{Reason: e.Reason, Message: e.Message}
		}
		if blocked := probe.StartBlocked(pod); blocked != nil && m.broken == nil {
			why = *blocked
		}
	}
	if since := m.unavailableSince(p.now); m.broken == nil {
		limit := serving.DefaultStartTimeout
		if class, ok := r.config.ServingClasses[m.mv.Spec.Serving.Class]; ok {
			limit = class.StartTimeout.Duration
		}
		if left := since.Add(limit).Sub(p.now); left <= 0 {
			m.broken = &rollout.Outcome{Reason: v1alpha1.ReasonStartDeadline, Message: fmt.Sprintf("not ready within %v: %s", limit, why.Message)}
		} else {
			p.WakeIn(left)
		}
	}
	if m.broken != nil {
		m.broken.UID, m.broken.Version, m.broken.Stage, m.broken.At = m.mv.UID, m.mv.Spec.Version, m.before.Status.Stage, p.now
	}
	m.setCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, why.Reason, why.Message)
	m.wait(why.Reason, why.Message)
	if m.want == wantWarm {
		p.WakeIn(r.config.ProbeInterval.Duration)
	}
}

// wasAvailable says whether it is known that it was available since it was started.
func (m *versionPass) wasAvailable() bool {
	c := conditionOf(m.before, v1alpha1.ConditionAvailable)
	return c != nil && c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonUnavailable
}

// unavailableSince is when the version began to be waited for.
func (m *versionPass) unavailableSince(now time.Time) time.Time {
	if c := conditionOf(m.before, v1alpha1.ConditionAvailable); c != nil && c.Status == metav1.ConditionFalse {
		return c.LastTransitionTime.Time
	}
	return now
}

// count asks the version's servers, all of them or those that did not say so a moment
// ago, and returns how many say that the model is ready. Whether one did not answer that
// may yet is noted.
func (r *Reconciler) count(ctx context.Context, p *modelPass, m *versionPass, all bool) int32 {
	ready, unanswered := r.prober.Count(ctx, probe.Question{
		Model: m.mv.Spec.Model, Servers: m.servers, Available: isTrue(m.before, v1alpha1.ConditionAvailable), All: all, Now: p.now,
	})
	if m.unanswered = unanswered; unanswered {
		p.WakeIn(r.config.ProbeInterval.Duration)
	}
	return ready
}
