package modelversion

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
)

// A judgement is what the gates said of the candidate at its step.
type judgement struct {
	// asked says whether they were asked in this pass.
	asked bool
	// failed says why the version goes back; nil if it does not.
	failed *verdict
	// holds says why it does not go on; nil if it may.
	holds *verdict
	// down counts looks in a row that found a source down.
	down int32
}

// weigh asks the gates of the recorded candidate, at most once an interval.
// When they were asked last, and how often they failed in a row, stands in
// status: a restart neither forgets a failure nor counts it twice.
func (r *Reconciler) weigh(ctx context.Context, p *pass) (outcome.Outcome, error) {
	c := p.candidate
	if c == nil || !p.ledger.record.Candidate.is(c.mv.UID) || !c.available() || c.mv.Spec.Rollout.Strategy != v1alpha1.StrategyCanary {
		return outcome.Continue{}, nil
	}
	rec := p.ledger.record
	if last := lastLook(c.before, rec); p.now.Before(last.Add(r.config.EvaluationInterval.Duration)) {
		p.wakeIn(last.Add(r.config.EvaluationInterval.Duration).Sub(p.now))
		p.gates = judgement{holds: saidBefore(c.before, rec), down: downBefore(c.before, rec)}
		r.tellDown(c, p.gates)
		return outcome.Continue{}, nil
	}
	q := gate.Question{Model: p.model, Version: c.mv.Spec.Version, Since: rec.StepStarted, Now: p.now}
	if rec.Stable != nil {
		q.Baseline = rec.Stable.Version
	}
	need := needOf(c.mv.Spec.Rollout, rec.Step)
	answers := r.ask(ctx, c.mv.Spec.Rollout.Gates, q, rec.Step == 0)
	samples, err := int64(0), error(nil)
	if need.samples > 0 {
		samples, err = r.Gates.Samples(ctx, q, rec.Step == 0)
	}
	status := &c.mv.Status
	status.Gates = gateStatuses(c.mv.Spec.Rollout.Gates, answers, c.before.Status.Gates, rec.StepStarted, p.now)
	p.told = append(p.told, verdictsOf(c.mv.Spec.Rollout.Gates, answers)...)
	p.gates = judge(c.mv.Spec.Rollout.Gates, status.Gates, answers, evidence{
		need: need, samples: samples, unknown: err != nil, since: rec.StepStarted, now: p.now, down: downBefore(c.before, rec),
	})
	rollout := c.rollout()
	rollout.Evaluated, rollout.Samples, rollout.SourceErrors = new(metav1.NewTime(p.now)), samples, p.gates.down
	r.tellDown(c, p.gates)
	p.wakeIn(r.config.EvaluationInterval.Duration)
	return outcome.Continue{}, nil
}

// tellDown says that a person should look at the gates' source, once it was down so often.
func (r *Reconciler) tellDown(m *member, j judgement) {
	if j.down >= r.config.ErrorLimit && j.holds != nil {
		m.stick(v1alpha1.ReasonGateSourceUnavailable, j.holds.message)
	}
}

// downBefore is how often in a row, at this step, a source was down.
func downBefore(mv *v1alpha1.ModelVersion, rec record) int32 {
	if !lastLook(mv, rec).After(rec.StepStarted) {
		return 0
	}
	return mv.Status.Rollout.SourceErrors
}

// lastLook is when the gates were asked last at this step; its beginning if they were not.
func lastLook(mv *v1alpha1.ModelVersion, rec record) time.Time {
	if ro := mv.Status.Rollout; ro != nil && ro.Evaluated != nil && ro.Evaluated.After(rec.StepStarted) {
		return ro.Evaluated.Time
	}
	return rec.StepStarted
}

// saidBefore is what the last look at this step said; nil where there was none.
func saidBefore(mv *v1alpha1.ModelVersion, rec record) *verdict {
	c := conditionOf(mv, v1alpha1.ConditionPromoted)
	if !lastLook(mv, rec).After(rec.StepStarted) || c == nil || c.Status != metav1.ConditionFalse {
		return nil
	}
	switch c.Reason {
	case v1alpha1.ReasonWaitingForSamples, v1alpha1.ReasonWaitingForDuration, v1alpha1.ReasonGateSourceUnavailable, v1alpha1.ReasonProgressing:
		return &verdict{c.Reason, c.Message}
	}
	return nil
}

// A need is what a step takes beside gates that pass.
type need struct {
	samples  int64
	duration time.Duration
	place    string
}

func needOf(rollout v1alpha1.Rollout, step int32) need {
	n := need{place: placeOf(step, rollout.Steps)}
	switch i := int(step) - 1; {
	case step == 0 && rollout.Shadow != nil:
		n.samples = rollout.Shadow.MinSamples
	case i >= 0 && i < len(rollout.Steps):
		n.samples = rollout.Steps[i].MinSamples
		if d := rollout.Steps[i].MinDuration; d != nil {
			n.duration = d.Duration
		}
	}
	return n
}

// ask asks all gates at once: each bounds its own time. Drift is compared in
// the shadow alone; elsewhere its gate is left out.
func (r *Reconciler) ask(ctx context.Context, gates []v1alpha1.Gate, q gate.Question, shadow bool) []*gate.Answer {
	answers := make([]*gate.Answer, len(gates))
	var asking sync.WaitGroup
	for i := range gates {
		if gates[i].Source.ShadowDrift != nil && !shadow {
			continue
		}
		asking.Go(func() {
			answer := r.Gates.Ask(ctx, gates[i], q, shadow)
			answers[i] = &answer
		})
	}
	asking.Wait()
	return answers
}

// gateStatuses puts the answers into status. A gate that was not asked keeps
// its verdict; one that was taken from the spec goes.
func gateStatuses(gates []v1alpha1.Gate, answers []*gate.Answer, before []v1alpha1.GateStatus, since, now time.Time) []v1alpha1.GateStatus {
	var list []v1alpha1.GateStatus
	for i := range gates {
		var old *v1alpha1.GateStatus
		for j := range before {
			if before[j].Name == gates[i].Name {
				old = &before[j]
			}
		}
		answer := answers[i]
		if answer == nil {
			if old != nil {
				list = append(list, *old)
			}
			continue
		}
		s := v1alpha1.GateStatus{Name: gates[i].Name, Verdict: answer.Verdict, Value: condition.Bound(answer.Value, 24), At: metav1.NewTime(now)}
		if old != nil && !old.At.Time.Before(since) {
			s.Failures = old.Failures
		}
		switch answer.Verdict {
		case v1alpha1.VerdictFail:
			s.Failures++
		case v1alpha1.VerdictPass:
			s.Failures = 0
		}
		list = append(list, s)
	}
	return list
}

// evidence is what a step is judged by, beside the gates' answers.
type evidence struct {
	need       need
	samples    int64
	unknown    bool // the source of samples did not tell
	since, now time.Time
	down       int32 // looks in a row before this one that found a source down
}

// judge says whether the candidate goes back, stays or goes on. A failure
// beyond its limit decides whatever the others say; a source that is down never
// lets anyone go on.
func judge(gates []v1alpha1.Gate, statuses []v1alpha1.GateStatus, answers []*gate.Answer, e evidence) judgement {
	j := judgement{asked: true}
	var down, waits, tolerated *verdict
	for i := range gates {
		if answers[i] == nil {
			continue
		}
		said := fmt.Sprintf("gate %q %s: %s", gates[i].Name, e.need.place, answers[i].Message)
		switch answers[i].Verdict {
		case v1alpha1.VerdictFail:
			failures := failuresOf(statuses, gates[i].Name)
			if failures > gates[i].FailureLimit {
				j.failed = &verdict{v1alpha1.ReasonGateFailed, said}
				return j
			}
			tolerated = &verdict{v1alpha1.ReasonProgressing, fmt.Sprintf("%s (failure %d, %d tolerated)", said, failures, gates[i].FailureLimit)}
		case v1alpha1.VerdictWait:
			waits = &verdict{v1alpha1.ReasonWaitingForSamples, said}
		case v1alpha1.VerdictPass:
		default: // an answer that is none of the four is no answer
			down = &verdict{v1alpha1.ReasonGateSourceUnavailable, said}
		}
	}
	if down == nil && e.unknown {
		down = &verdict{v1alpha1.ReasonGateSourceUnavailable, "how many requests it answered is not to be had " + e.need.place}
	}
	if down != nil {
		j.holds, j.down = down, e.down+1
		return j
	}
	until := e.since.Add(e.need.duration)
	switch {
	case tolerated != nil:
		j.holds = tolerated
	case waits != nil:
		j.holds = waits
	case e.samples < e.need.samples:
		j.holds = &verdict{v1alpha1.ReasonWaitingForSamples, fmt.Sprintf("%d of %d requests %s", e.samples, e.need.samples, e.need.place)}
	case e.now.Before(until):
		j.holds = &verdict{v1alpha1.ReasonWaitingForDuration, fmt.Sprintf("until %s %s", until.UTC().Format(time.RFC3339), e.need.place)}
	}
	return j
}

func failuresOf(statuses []v1alpha1.GateStatus, name string) int32 {
	for i := range statuses {
		if statuses[i].Name == name {
			return statuses[i].Failures
		}
	}
	return 0
}

// told is a verdict that the observers hear of once it is on record.
type told struct {
	kind    string
	verdict v1alpha1.Verdict
}

func verdictsOf(gates []v1alpha1.Gate, answers []*gate.Answer) []told {
	var list []told
	for i := range gates {
		if answers[i] != nil {
			list = append(list, told{kindOf(gates[i].Source), answers[i].Verdict})
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
