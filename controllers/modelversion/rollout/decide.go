// Package rollout decides what becomes of a model's versions: which is to be the
// stable one, how far the candidate has come, and what traffic plan follows.
//
// It is pure. What is known goes in as values (Input), what should be comes out as
// values (Decision): no client, no clock, no network. The reconciler reads and writes
// around it; what it decides and why is one State, kept beside the plan in one object.
package rollout

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// A Decision is what plan and state should be, and what versions wait for.
type Decision struct {
	Plan     traffic.Plan
	State    State
	Waiting  map[types.UID]pass.Reason
	Outcomes []Outcome
}

// Decide says what plan and state should be. It looks at nothing else.
func Decide(s Input) Decision {
	d := Decision{Plan: s.Plan, State: s.State.clone(), Waiting: map[types.UID]pass.Reason{}}
	candidate, stable := s.Candidate(), s.at(s.State.Stable)
	d.withdraw(&s, candidate)
	for i := range s.Versions { // what ends without having had any traffic
		switch v := &s.Versions[i]; {
		case v.Ended || v.Deleting || s.State.Holds(v.UID):
		case v.Rollout.Abort:
			d.Outcomes = append(d.Outcomes, aborted(v, s.Now))
		case v == candidate && v.hopeless():
			d.Outcomes = append(d.Outcomes, *v.Broken)
		}
	}
	if s.leaves(stable, candidate) {
		d.handOver(&s, stable, candidate)
	} else if candidate != nil {
		d.advance(&s, candidate)
	}
	d.State.prune(func(uid types.UID) bool { return s.Version(uid) != nil })
	d.render(&s)
	return d
}

func aborted(v *VersionState, now time.Time) Outcome {
	return Outcome{UID: v.UID, Version: v.Version, Stage: v.Stage, Reason: v1alpha1.ReasonAborted, Message: "aborted by spec.rollout.abort", At: now}
}

// end takes a version that is in the plan out for good: the reason stands in the same write.
func (d *Decision) end(e Outcome) {
	d.State.Ended = append(d.State.Ended, e)
	d.Outcomes = append(d.Outcomes, e)
}

// withdraw takes the recorded candidate out of the plan where it may not stay.
func (d *Decision) withdraw(s *Input, candidate *VersionState) {
	if s.State.Candidate == nil {
		return
	}
	v := s.at(s.State.Candidate)
	switch {
	case v == nil || v.Deleting || v.Ended:
	case v.Rollout.Abort:
		d.end(aborted(v, s.Now))
	case v != candidate: // retired, superseded, or not to be served any more
	case !v.Available:
		e := Outcome{Reason: v1alpha1.ReasonUnavailable, Message: "no replica says that it is ready"}
		if v.Broken != nil {
			e = *v.Broken
		}
		e.UID, e.Version, e.Stage, e.At = v.UID, v.Version, v.Stage, s.Now
		d.end(e)
	case s.Gates.Failed != nil:
		d.end(Outcome{UID: v.UID, Version: v.Version, Stage: v.Stage, At: s.Now, Reason: s.Gates.Failed.Reason, Message: s.Gates.Failed.Message})
	case v.Rollout.Strategy == v1alpha1.StrategyHold:
	default:
		return
	}
	d.State.Candidate, d.State.Step, d.State.StepStarted = nil, 0, time.Time{}
}

// handOver gives the traffic to the successor, if there is one, and keeps the stable
// version serving until it can take it.
func (d *Decision) handOver(s *Input, stable, candidate *VersionState) {
	if candidate != nil && d.ended(candidate.UID) {
		candidate = nil
	}
	if stable == nil {
		d.State.Stable = nil
	}
	next := s.successor(stable, candidate)
	if next == nil {
		d.vacate(s, stable)
		return
	}
	if block := s.blocks(next); block != nil {
		if next == candidate {
			d.Waiting[next.UID] = *block
		}
		if stable != nil {
			d.Waiting[stable.UID] = pass.Reason{Reason: v1alpha1.ReasonHandingOver, Message: fmt.Sprintf("serves until version %q can: %s", next.Version, block.Message)}
		}
		return
	}
	d.vacate(s, stable)
	d.install(next, s.Now)
	d.State.Candidate, d.State.Step, d.State.StepStarted = nil, 0, time.Time{}
}

// ended says whether this decision ended the version.
func (d *Decision) ended(uid types.UID) bool {
	return slices.ContainsFunc(d.Outcomes, func(e Outcome) bool { return e.UID == uid })
}

// vacate empties the stable version's place.
func (d *Decision) vacate(s *Input, stable *VersionState) {
	if stable != nil && stable.Rollout.Abort && !stable.Ended && !stable.Deleting {
		d.end(aborted(stable, s.Now))
	}
	d.State.Stable = nil
}

// install makes the version the stable one.
func (d *Decision) install(v *VersionState, now time.Time) {
	d.State.Former = slices.DeleteFunc(d.State.Former, func(f traffic.Slot) bool { return of(&f, v.UID) })
	d.State.Stable = &traffic.Slot{Version: v.Version, UID: string(v.UID), Promoted: now}
}

// advance moves the candidate along its way, one step at most.
func (d *Decision) advance(s *Input, v *VersionState) {
	if d.ended(v.UID) {
		return
	}
	block, started := s.blocks(v), s.State.IsCandidate(v.UID)
	if block != nil {
		d.Waiting[v.UID] = *block
		return
	}
	steps := v.Rollout.Steps
	switch {
	case v.Rollout.Paused:
		d.Waiting[v.UID] = pass.Reason{Reason: v1alpha1.ReasonPaused, Message: fmt.Sprintf("paused by spec.rollout.paused %s", placeOf(s.State.Step, steps))}
		return
	case v.Rollout.Strategy == v1alpha1.StrategyImmediate:
		d.promote(s, v)
		return
	case !started && v.Rollout.Shadow != nil:
		d.enter(v, 0, s.Now)
		return
	case !started:
		d.enterOrPromote(s, v, 1)
		return
	case s.Gates.Waiting != nil:
		d.Waiting[v.UID] = *s.Gates.Waiting
		return
	case !s.Gates.Evaluated:
		d.Waiting[v.UID] = pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: "being observed " + placeOf(s.State.Step, steps)}
		return
	}
	d.enterOrPromote(s, v, s.State.Step+1)
}

// placeOf words where on its way a version is.
func placeOf(step int32, steps []v1alpha1.Step) string {
	if i := int(step) - 1; i >= 0 && i < len(steps) {
		return fmt.Sprintf("at step %d of %d, %d %% of the traffic", step, len(steps), steps[i].Weight)
	}
	if step == 0 {
		return "in the shadow"
	}
	return "after its last step"
}

func (d *Decision) enter(v *VersionState, step int32, now time.Time) {
	d.State.Candidate = &traffic.Slot{Version: v.Version, UID: string(v.UID)}
	d.State.Step, d.State.StepStarted = step, now
	steps := v.Rollout.Steps
	d.Waiting[v.UID] = pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: "being observed " + placeOf(step, steps)}
}

func (d *Decision) enterOrPromote(s *Input, v *VersionState, step int32) {
	if int(step) <= len(v.Rollout.Steps) {
		d.enter(v, step, s.Now)
		return
	}
	d.promote(s, v)
}

// promote gives the candidate all of the traffic. The stable version becomes
// the last known good.
func (d *Decision) promote(s *Input, v *VersionState) {
	before := d.State.Stable
	d.install(v, s.Now)
	if before != nil {
		place := *before
		place.Demoted = s.Now
		d.State.Former = append([]traffic.Slot{place}, d.State.Former...)
	}
	d.State.Candidate, d.State.Step, d.State.StepStarted = nil, 0, time.Time{}
}
