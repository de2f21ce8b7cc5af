package rollout

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// A GateResult is what the gates said of the candidate at its step.
type GateResult struct {
	// Evaluated says whether they were asked in this pass.
	Evaluated bool
	// Failed says why the version goes back; nil if it does not.
	Failed *pass.Reason
	// Waiting says why it does not go on; nil if it may.
	Waiting *pass.Reason
	// Down counts looks in a row that found a source down.
	Down int32
}

// An Answer is what a gate said.
type Answer struct {
	Verdict v1alpha1.Verdict
	// Value is the number compared, a decimal; empty where there is none.
	Value string
	// Message is one sentence for people.
	Message string
}

// A Need is what a step takes beside gates that pass.
type Need struct {
	Samples  int64
	Duration time.Duration
	Place    string
}

// NeedOf is what the rollout's step takes.
func NeedOf(rollout v1alpha1.Rollout, step int32) Need {
	n := Need{Place: placeOf(step, rollout.Steps)}
	switch i := int(step) - 1; {
	case step == 0 && rollout.Shadow != nil:
		n.Samples = rollout.Shadow.MinSamples
	case i >= 0 && i < len(rollout.Steps):
		n.Samples = rollout.Steps[i].MinSamples
		if d := rollout.Steps[i].MinDuration; d != nil {
			n.Duration = d.Duration
		}
	}
	return n
}

// GateStatuses puts the answers into status. A gate that was not asked keeps
// its verdict; one that was taken from the spec goes.
func GateStatuses(gates []v1alpha1.Gate, answers []*Answer, before []v1alpha1.GateStatus, since, now time.Time) []v1alpha1.GateStatus {
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

// Evidence is what a step is judged by, beside the gates' answers.
type Evidence struct {
	Need           Need
	Samples        int64
	SamplesUnknown bool // the source of samples did not tell
	Since, Now     time.Time
	Down           int32 // looks in a row before this one that found a source down
}

// EvaluateGates says whether the candidate goes back, stays or goes on. A failure
// beyond its limit decides whatever the others say; a source that is down never
// lets anyone go on.
func EvaluateGates(gates []v1alpha1.Gate, statuses []v1alpha1.GateStatus, answers []*Answer, e Evidence) GateResult {
	j := GateResult{Evaluated: true}
	var down, waits, tolerated *pass.Reason
	for i := range gates {
		if answers[i] == nil {
			continue
		}
		said := fmt.Sprintf("gate %q %s: %s", gates[i].Name, e.Need.Place, answers[i].Message)
		switch answers[i].Verdict {
		case v1alpha1.VerdictFail:
			failures := failuresOf(statuses, gates[i].Name)
			if failures > gates[i].FailureLimit {
				j.Failed = &pass.Reason{Reason: v1alpha1.ReasonGateFailed, Message: said}
				return j
			}
			tolerated = &pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: fmt.Sprintf("%s (failure %d, %d tolerated)", said, failures, gates[i].FailureLimit)}
		case v1alpha1.VerdictWait:
			waits = &pass.Reason{Reason: v1alpha1.ReasonWaitingForSamples, Message: said}
		case v1alpha1.VerdictPass:
		default: // an answer that is none of the four is no answer
			down = &pass.Reason{Reason: v1alpha1.ReasonGateSourceUnavailable, Message: said}
		}
	}
	if down == nil && e.SamplesUnknown {
		down = &pass.Reason{Reason: v1alpha1.ReasonGateSourceUnavailable, Message: "request count unavailable " + e.Need.Place}
	}
	if down != nil {
		j.Waiting, j.Down = down, e.Down+1
		return j
	}
	until := e.Since.Add(e.Need.Duration)
	switch {
	case tolerated != nil:
		j.Waiting = tolerated
	case waits != nil:
		j.Waiting = waits
	case e.Samples < e.Need.Samples:
		j.Waiting = &pass.Reason{Reason: v1alpha1.ReasonWaitingForSamples, Message: fmt.Sprintf("%d of %d requests %s", e.Samples, e.Need.Samples, e.Need.Place)}
	case e.Now.Before(until):
		j.Waiting = &pass.Reason{Reason: v1alpha1.ReasonWaitingForDuration, Message: fmt.Sprintf("until %s %s", until.UTC().Format(time.RFC3339), e.Need.Place)}
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
