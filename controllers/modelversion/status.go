package modelversion

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// describe writes conditions, stage, reason and message from what the phases
// found. Conditions say what is; the stage is derived from them and the record.
func (p *modelPass) describe(m *versionPass) {
	s := &m.mv.Status
	s.ObservedGeneration = m.mv.Generation
	is := p.roleOf(m)
	p.describeTraffic(m, is)
	w := condition.NewWriter(&s.Conditions, m.mv.Generation, metav1.NewTime(p.now))
	m.describeFound(w, v1alpha1.ConditionArtifactVerified, v1alpha1.ConditionAvailable, v1alpha1.ConditionValidated)
	why := p.explain(m, is)
	if is == roleStable {
		w.True(v1alpha1.ConditionPromoted, v1alpha1.ReasonSucceeded, "")
	} else {
		promoted := why
		if is != roleEnded && rollout.IsFinal(promoted.Reason) {
			promoted.Reason = v1alpha1.ReasonProgressing // it may yet be
		}
		w.False(v1alpha1.ConditionPromoted, promoted.Reason, promoted.Message)
	}
	m.describeHealth(w, is, why)
	s.Reason, s.Message = why.Reason, condition.Bound(why.Message, condition.MaxMessage)
	stage := m.stageOf(is, why, s.Traffic.Weight, p.record.state.Step)
	if stage != s.Stage || s.Since == nil {
		s.Stage, s.Since = stage, new(metav1.NewTime(p.now))
	}
	p.describeFailure(m, is)
}

// describeFound writes what the phases found; what none looked for stays.
func (m *versionPass) describeFound(w condition.Writer, kinds ...string) {
	for _, kind := range kinds {
		found := foundCondition{kind, metav1.ConditionUnknown, pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: ""}}
		if c := conditionOf(m.before, kind); c != nil {
			found = foundCondition{kind, c.Status, pass.Reason{Reason: c.Reason, Message: c.Message}}
		}
		for _, f := range m.conditions {
			if f.kind == kind {
				found = f
			}
		}
		w.Set(kind, found.status, found.reason.Reason, found.reason.Message)
	}
}

// explain is the one reason and sentence that a person reads first.
func (p *modelPass) explain(m *versionPass, is role) pass.Reason {
	switch {
	case is == roleEnded && m.ended != nil:
		return pass.Reason{Reason: m.ended.Reason, Message: m.ended.Message}
	case is == roleEnded:
		c := conditionOf(m.before, v1alpha1.ConditionPromoted)
		return pass.Reason{Reason: c.Reason, Message: c.Message}
	case m.stalled != nil:
		return *m.stalled
	case is == roleStable && m.mv.Spec.Retire && m.waiting == nil && m.loaded > 0:
		return pass.Reason{Reason: v1alpha1.ReasonSucceeded, Message: "retires once another version is active"}
	case is == roleStable && m.waiting == nil:
		return pass.Reason{Reason: v1alpha1.ReasonSucceeded, Message: ""}
	case is == roleRetired:
		return pass.Reason{Reason: v1alpha1.ReasonRetired, Message: "retired by spec.retire"}
	case is == roleFormer && p.stable() != nil:
		return pass.Reason{Reason: v1alpha1.ReasonSuperseded, Message: fmt.Sprintf("version %q took its place", p.stable().mv.Spec.Version)}
	case is == rolePassed:
		return pass.Reason{Reason: v1alpha1.ReasonSuperseded, Message: fmt.Sprintf("version %q is newer and active", p.stable().mv.Spec.Version)}
	case m.waiting != nil:
		return *m.waiting
	case !m.mv.DeletionTimestamp.IsZero():
		return pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: "is deleted once no worker follows a plan that names it"}
	case is == roleQueued && p.candidate != nil:
		reason := v1alpha1.ReasonQueuedBehind
		if m.validated() {
			reason = v1alpha1.ReasonSuperseded
		}
		return pass.Reason{Reason: reason, Message: fmt.Sprintf("queued behind version %q", p.candidate.mv.Spec.Version)}
	case is == roleChosen && m.verified() && !m.validated():
		return pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: "its servers are ready"}
	}
	return pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: "in progress"}
}

// describeHealth writes the conditions that tools look at. A version is Ready
// where it is at rest as it should be: serving, or superseded, held or retired.
func (m *versionPass) describeHealth(w condition.Writer, is role, why pass.Reason) {
	ended := is == roleEnded
	held := is == roleChosen && why.Reason == v1alpha1.ReasonHeld && m.loaded > 0
	ready := is == roleStable && m.loaded > 0 || is == roleFormer || is == rolePassed || is == roleRetired || held
	ready = ready && m.stalled == nil
	w.If(ready, v1alpha1.ConditionReady, why.Reason, why.Message)
	w.If(!ready && !ended && m.stalled == nil, v1alpha1.ConditionReconciling, why.Reason, why.Message)
	w.If(ended || m.stalled != nil, v1alpha1.ConditionStalled, why.Reason, why.Message)
}

// stageOf derives the one word.
func (m *versionPass) stageOf(is role, why pass.Reason, weight, step int32) v1alpha1.Stage {
	status := func(kind string) metav1.ConditionStatus {
		if c := meta.FindStatusCondition(m.mv.Status.Conditions, kind); c != nil {
			return c.Status
		}
		return metav1.ConditionUnknown
	}
	validated := status(v1alpha1.ConditionValidated) == metav1.ConditionTrue
	switch {
	case is == roleEnded:
		if why := meta.FindStatusCondition(m.mv.Status.Conditions, v1alpha1.ConditionPromoted); validated || why.Reason == v1alpha1.ReasonAborted {
			return v1alpha1.StageRolledBack
		}
		return v1alpha1.StageRejected
	case is == roleRetired:
		return v1alpha1.StageRetired
	case is == roleStable:
		return v1alpha1.StageActive
	case is == roleRising && weight == 0 && step == 0:
		return v1alpha1.StageShadow
	case is == roleRising:
		return v1alpha1.StageCanary
	case validated && is == roleChosen && why.Reason == v1alpha1.ReasonProgressing:
		return v1alpha1.StageValidating // its verdict is in, its place in the plan comes next
	case validated:
		return v1alpha1.StageStandby
	case is != roleChosen:
		return v1alpha1.StagePending
	case status(v1alpha1.ConditionArtifactVerified) != metav1.ConditionTrue:
		return v1alpha1.StageVerifying
	case status(v1alpha1.ConditionAvailable) == metav1.ConditionTrue:
		return v1alpha1.StageValidating
	}
	return v1alpha1.StageStarting
}

// describeTraffic copies the version's place in the plan and the record.
func (p *modelPass) describeTraffic(m *versionPass, is role) {
	s, rec, plan := &m.mv.Status, p.record.state, p.record.plan
	held := rec.Holds(m.mv.UID)
	var weight int32
	if held {
		weight = plan.Weight(m.mv.Spec.Version)
	}
	if held || weight != s.Traffic.Weight {
		s.Traffic = v1alpha1.TrafficStatus{Weight: weight, Revision: plan.Revision}
	}
	switch is {
	case roleRising:
		ro := m.rollout()
		ro.Step, ro.StepStarted, ro.Promoted, ro.Demoted = rec.Step, new(metav1.NewTime(rec.StepStarted)), nil, nil
	case roleStable:
		ro := m.rollout()
		ro.Promoted, ro.Demoted, ro.SourceErrors = new(metav1.NewTime(rec.Stable.Promoted)), nil, 0
	case roleFormer:
		ro, place := m.rollout(), rec.FormerSlot(m.mv.UID)
		ro.Promoted, ro.Demoted = new(metav1.NewTime(place.Promoted)), new(metav1.NewTime(place.Demoted))
	}
}

// describeFailure keeps the newest failure: what ended the version, or what
// took the active one's servers.
func (p *modelPass) describeFailure(m *versionPass, is role) {
	e := m.ended
	if is == roleStable && m.broken != nil {
		if last := m.mv.Status.LastFailure; last == nil || last.Reason != m.broken.Reason || last.Pod != m.broken.Pod {
			e = m.broken
		}
	}
	if e == nil {
		return
	}
	stage := e.Stage
	if stage == "" {
		stage = v1alpha1.StagePending
	}
	m.mv.Status.LastFailure = &v1alpha1.Failure{
		Stage: stage, Reason: e.Reason, Message: condition.Bound(e.Message, condition.MaxMessage), Pod: e.Pod, ExitCode: e.ExitCode, At: metav1.NewTime(e.At),
	}
}
