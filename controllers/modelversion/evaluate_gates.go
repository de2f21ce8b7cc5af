package modelversion

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// evaluateGates asks the gates of the recorded candidate, at most once an interval.
// When they were asked last, and how often they failed in a row, stands in
// status: a restart neither forgets a failure nor counts it twice.
func (r *Reconciler) evaluateGates(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	c := p.candidate
	if c == nil || !p.record.state.IsCandidate(c.mv.UID) || !c.available() || c.mv.Spec.Rollout.Strategy != v1alpha1.StrategyCanary {
		return outcome.Continue{}, nil
	}
	rec := p.record.state
	if last := lastLook(c.before, rec); p.now.Before(last.Add(r.config.EvaluationInterval.Duration)) {
		p.WakeIn(last.Add(r.config.EvaluationInterval.Duration).Sub(p.now))
		p.gates = rollout.GateResult{Waiting: saidBefore(c.before, rec), Down: downBefore(c.before, rec)}
		r.tellDown(c, p.gates)
		return outcome.Continue{}, nil
	}
	q := gate.Question{Model: p.model, Version: c.mv.Spec.Version, Since: rec.StepStarted, Now: p.now}
	if rec.Stable != nil {
		q.Baseline = rec.Stable.Version
	}
	need := rollout.NeedOf(c.mv.Spec.Rollout, rec.Step)
	answers := r.ask(ctx, c.mv.Spec.Rollout.Gates, q, rec.Step == 0)
	samples, err := int64(0), error(nil)
	if need.Samples > 0 {
		samples, err = r.Gates.Samples(ctx, q, rec.Step == 0)
	}
	status := &c.mv.Status
	status.Gates = rollout.GateStatuses(c.mv.Spec.Rollout.Gates, answers, c.before.Status.Gates, rec.StepStarted, p.now)
	p.answers = append(p.answers, answersOf(c.mv.Spec.Rollout.Gates, answers)...)
	p.gates = rollout.EvaluateGates(c.mv.Spec.Rollout.Gates, status.Gates, answers, rollout.Evidence{
		Need: need, Samples: samples, SamplesUnknown: err != nil, Since: rec.StepStarted, Now: p.now, Down: downBefore(c.before, rec),
	})
	rollout := c.rollout()
	rollout.Evaluated, rollout.Samples, rollout.SourceErrors = new(metav1.NewTime(p.now)), samples, p.gates.Down
	r.tellDown(c, p.gates)
	p.WakeIn(r.config.EvaluationInterval.Duration)
	return outcome.Continue{}, nil
}

// tellDown says that a person should look at the gates' source, once it was down so often.
func (r *Reconciler) tellDown(m *versionPass, j rollout.GateResult) {
	if j.Down >= r.config.ErrorLimit && j.Waiting != nil {
		m.stall(v1alpha1.ReasonGateSourceUnavailable, j.Waiting.Message)
	}
}

// downBefore is how often in a row, at this step, a source was down.
func downBefore(mv *v1alpha1.ModelVersion, rec rollout.State) int32 {
	if !lastLook(mv, rec).After(rec.StepStarted) {
		return 0
	}
	return mv.Status.Rollout.SourceErrors
}

// lastLook is when the gates were asked last at this step; its beginning if they were not.
func lastLook(mv *v1alpha1.ModelVersion, rec rollout.State) time.Time {
	if ro := mv.Status.Rollout; ro != nil && ro.Evaluated != nil && ro.Evaluated.After(rec.StepStarted) {
		return ro.Evaluated.Time
	}
	return rec.StepStarted
}

// saidBefore is what the last look at this step said; nil where there was none.
func saidBefore(mv *v1alpha1.ModelVersion, rec rollout.State) *pass.Reason {
	c := conditionOf(mv, v1alpha1.ConditionPromoted)
	if !lastLook(mv, rec).After(rec.StepStarted) || c == nil || c.Status != metav1.ConditionFalse {
		return nil
	}
	switch c.Reason {
	case v1alpha1.ReasonWaitingForSamples, v1alpha1.ReasonWaitingForDuration, v1alpha1.ReasonGateSourceUnavailable, v1alpha1.ReasonProgressing:
		return &pass.Reason{Reason: c.Reason, Message: c.Message}
	}
	return nil
}

// ask asks all gates at once: each bounds its own time. Drift is compared in
// the shadow alone; elsewhere its gate is left out.
func (r *Reconciler) ask(ctx context.Context, gates []v1alpha1.Gate, q gate.Question, shadow bool) []*rollout.Answer {
	answers := make([]*rollout.Answer, len(gates))
	var asking sync.WaitGroup
	for i := range gates {
		if gates[i].Source.ShadowDrift != nil && !shadow {
			continue
		}
		asking.Go(func() {
			answer := rollout.Answer(r.Gates.Ask(ctx, gates[i], q, shadow))
			answers[i] = &answer
		})
	}
	asking.Wait()
	return answers
}

// gateAnswer is a verdict that the observers hear of once it is on record.
type gateAnswer struct {
	kind    string
	verdict v1alpha1.Verdict
}

func answersOf(gates []v1alpha1.Gate, answers []*rollout.Answer) []gateAnswer {
	var list []gateAnswer
	for i := range gates {
		if answers[i] != nil {
			list = append(list, gateAnswer{kindOf(gates[i].Source), answers[i].Verdict})
		}
	}
	return list
}

func kindOf(s v1alpha1.GateSource) string {
	switch {
	case s.Prometheus != nil:
		return "Prometheus"
	case s.Latency != nil:
		return "Latency"
	case s.ErrorRate != nil:
		return "ErrorRate"
	case s.ShadowDrift != nil:
		return "ShadowDrift"
	}
	return "NaN"
}
