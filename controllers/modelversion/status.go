package modelversion

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
)

// endsWith says whether a version that is not promoted for this reason never will be.
func endsWith(reason string) bool {
	switch reason {
	case v1alpha1.ReasonContractUnsupported, v1alpha1.ReasonDigestMismatch, v1alpha1.ReasonArtifactNotFound, v1alpha1.ReasonContractMismatch,
		v1alpha1.ReasonGoldenSetMismatch, v1alpha1.ReasonUnreadable, v1alpha1.ReasonVerificationFailed, v1alpha1.ReasonValidationIncomplete,
		v1alpha1.ReasonCrashLooping, v1alpha1.ReasonStartDeadline, v1alpha1.ReasonValidationFailed, v1alpha1.ReasonValidationTimeout,
		v1alpha1.ReasonGateFailed, v1alpha1.ReasonUnavailable, v1alpha1.ReasonAborted:
		return true
	}
	return false
}

// A role is the version's place among the others, as the record has it now.
type role int

const (
	roleQueued  role = iota // another goes first
	roleChosen              // the candidate, without traffic yet
	roleRising              // the candidate, in the plan
	roleStable              // carries the traffic
	roleFormer              // did, and may again
	rolePassed              // an older one that never did
	roleRetired             // out of service
	roleEnded               // rejected or rolled back
)

func (p *pass) roleOf(m *member) role {
	rec, uid := p.ledger.record, m.mv.UID
	switch {
	case rec.Stable.is(uid):
		return roleStable
	case m.ended != nil || m.over():
		return roleEnded
	case rec.Candidate.is(uid):
		return roleRising
	case m.mv.Spec.Retire:
		return roleRetired
	case rec.former(uid) != nil:
		return roleFormer
	case p.candidate == m:
		return roleChosen
	}
	if stable := p.stable(); stable != nil && newerFirst(stable.mv, m.mv) < 0 {
		return rolePassed
	}
	return roleQueued
}

func (p *pass) stable() *member {
	if p.ledger.record.Stable == nil {
		return nil
	}
	return p.member(p.ledger.record.Stable.UID)
}

// describe writes conditions, stage, reason and message from what the phases
// found. Conditions say what is; the stage is derived from them and the record.
func (p *pass) describe(m *member) {
	s := &m.mv.Status
	s.ObservedGeneration = m.mv.Generation
	is := p.roleOf(m)
	p.describeTraffic(m, is)
	w := condition.NewWriter(&s.Conditions, m.mv.Generation, metav1.NewTime(p.now))
	m.describeFacts(w, v1alpha1.ConditionArtifactVerified, v1alpha1.ConditionAvailable, v1alpha1.ConditionValidated)
	why := p.explain(m, is)
	if is == roleStable {
		w.True(v1alpha1.ConditionPromoted, v1alpha1.ReasonSucceeded, "")
	} else {
		promoted := why
		if is != roleEnded && endsWith(promoted.reason) {
			promoted.reason = v1alpha1.ReasonProgressing // it may yet be
		}
		w.False(v1alpha1.ConditionPromoted, promoted.reason, promoted.message)
	}
	m.describeHealth(w, is, why)
	s.Reason, s.Message = why.reason, condition.Bound(why.message, condition.MaxMessage)
	stage := m.stageOf(is, why, s.Traffic.Weight, p.ledger.record.Step)
	if stage != s.Stage || s.Since == nil {
		s.Stage, s.Since = stage, new(metav1.NewTime(p.now))
	}
	p.describeFailure(m, is)
}

// describeFacts writes what the phases found; what none looked for stays.
func (m *member) describeFacts(w condition.Writer, kinds ...string) {
	for _, kind := range kinds {
		found := finding{kind, metav1.ConditionUnknown, verdict{v1alpha1.ReasonProgressing, ""}}
		if c := conditionOf(m.before, kind); c != nil {
			found = finding{kind, c.Status, verdict{c.Reason, c.Message}}
		}
		for _, f := range m.facts {
			if f.kind == kind {
				found = f
			}
		}
		w.Set(kind, found.status, found.verdict.reason, found.verdict.message)
	}
}

// explain is the one reason and sentence that a person reads first.
func (p *pass) explain(m *member, is role) verdict {
	switch {
	case is == roleEnded && m.ended != nil:
		return verdict{m.ended.Reason, m.ended.Message}
	case is == roleEnded:
		c := conditionOf(m.before, v1alpha1.ConditionPromoted)
		return verdict{c.Reason, c.Message}
	case m.stuck != nil:
		return *m.stuck
	case is == roleStable && m.mv.Spec.Retire && m.waits == nil && m.loaded > 0:
		return verdict{v1alpha1.ReasonSucceeded, "retires once another version is active"}
	case is == roleStable && m.waits == nil:
		return verdict{v1alpha1.ReasonSucceeded, ""}
	case is == roleRetired:
		return verdict{v1alpha1.ReasonRetired, "retired by spec.retire"}
	case is == roleFormer && p.stable() != nil:
		return verdict{v1alpha1.ReasonSuperseded, fmt.Sprintf("version %q took its place", p.stable().mv.Spec.Version)}
	case is == rolePassed:
		return verdict{v1alpha1.ReasonSuperseded, fmt.Sprintf("version %q is newer and active", p.stable().mv.Spec.Version)}
	case m.waits != nil:
		return *m.waits
	case !m.mv.DeletionTimestamp.IsZero():
		return verdict{v1alpha1.ReasonProgressing, "is deleted once no worker follows a plan that names it"}
	case is == roleQueued && p.candidate != nil:
		reason := v1alpha1.ReasonQueuedBehind
		if m.validated() {
			reason = v1alpha1.ReasonSuperseded
		}
		return verdict{reason, fmt.Sprintf("version %q goes first", p.candidate.mv.Spec.Version)}
	case is == roleChosen && m.verified() && !m.validated():
		return verdict{v1alpha1.ReasonProgressing, "its servers are ready"}
	}
	return verdict{v1alpha1.ReasonProgressing, "goes on"}
}

// describeHealth writes the conditions that tools look at. A version is Ready
// where it is at rest as it should be: serving, or superseded, held or retired.
func (m *member) describeHealth(w condition.Writer, is role, why verdict) {
	ended := is == roleEnded
	held := is == roleChosen && why.reason == v1alpha1.ReasonHeld && m.loaded > 0
	ready := is == roleStable && m.loaded > 0 || is == roleFormer || is == rolePassed || is == roleRetired || held
	ready = ready && m.stuck == nil
	w.If(ready, v1alpha1.ConditionReady, why.reason, why.message)
	w.If(!ready && !ended && m.stuck == nil, v1alpha1.ConditionReconciling, why.reason, why.message)
	w.If(ended || m.stuck != nil, v1alpha1.ConditionStalled, why.reason, why.message)
}

// stageOf derives the one word.
func (m *member) stageOf(is role, why verdict, weight, step int32) v1alpha1.Stage {
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
	case validated && is == roleChosen && why.reason == v1alpha1.ReasonProgressing:
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
func (p *pass) describeTraffic(m *member, is role) {
	s, rec, plan := &m.mv.Status, p.ledger.record, p.ledger.plan
	held := rec.holds(m.mv.UID)
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
		ro, place := m.rollout(), rec.former(m.mv.UID)
		ro.Promoted, ro.Demoted = new(metav1.NewTime(place.Promoted)), new(metav1.NewTime(place.Demoted))
	}
}

// describeFailure keeps the newest failure: what ended the version, or what
// took the active one's servers.
func (p *pass) describeFailure(m *member, is role) {
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

// An event tells of a transition.
type event struct{ kind, reason, action, note string }

// events are what the write of this status tells.
func (m *member) events() []event {
	was, is := m.before.Status, m.mv.Status
	var list []event
	note := orElse(is.Message, string(is.Stage))
	switch ended := is.Stage == v1alpha1.StageRejected || is.Stage == v1alpha1.StageRolledBack; {
	case was.Stage != is.Stage && ended:
		list = append(list, event{corev1.EventTypeWarning, is.Reason, string(is.Stage), note})
	case was.Stage != is.Stage || is.Stage == v1alpha1.StageCanary && was.Traffic.Weight != is.Traffic.Weight:
		if is.Stage == v1alpha1.StageCanary || is.Stage == v1alpha1.StageActive {
			note = fmt.Sprintf("%d %% of the traffic", is.Traffic.Weight)
		}
		list = append(list, event{corev1.EventTypeNormal, string(is.Stage), "Rollout", note})
	}
	for _, c := range condition.Changed(was.Conditions, is.Conditions) {
		switch {
		case c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue && is.Stage != v1alpha1.StageRejected && is.Stage != v1alpha1.StageRolledBack:
			list = append(list, event{corev1.EventTypeWarning, c.Reason, "Stalled", orElse(c.Message, c.Type)})
		case c.Type == v1alpha1.ConditionAvailable && c.Status == metav1.ConditionFalse && is.Stage == v1alpha1.StageActive:
			list = append(list, event{corev1.EventTypeWarning, c.Reason, "Serve", orElse(c.Message, c.Type)})
		}
	}
	return list
}
