// Package outcome is how a phase of a reconcile ends, and the one place where
// that becomes a controller-runtime Result.
package outcome

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Outcome is how a phase ended: Continue, Done, Waiting or Stalled. Errors
// travel beside it and mean "try again with backoff, and record nothing".
type Outcome interface{ outcome() }

// Continue hands over to the next phase.
type Continue struct{}

// Done ends the pass: nothing is left to do until something changes.
type Done struct{}

// Waiting ends the pass: something outside has to happen first.
type Waiting struct {
	// Reason and Message say what for; they are what a condition would say.
	Reason, Message string
	// After is when to look again without being told; 0 is never.
	After time.Duration
}

// Stalled ends the pass: a person has to change something.
type Stalled struct {
	// Reason and Message say what is wrong; they are what the condition says.
	Reason, Message string
	// After is when to look again without being told; 0 is never.
	After time.Duration
}

func (Continue) outcome() {}
func (Done) outcome()     {}
func (Waiting) outcome()  {}
func (Stalled) outcome()  {}

// Phase is one step of a pass over P.
type Phase[P any] func(ctx context.Context, pass P) (Outcome, error)

// Run runs the phases in order until one does not Continue or fails.
func Run[P any](ctx context.Context, pass P, phases ...Phase[P]) (Outcome, error) {
	for _, phase := range phases {
		o, err := phase(ctx, pass)
		if err != nil {
			return nil, err
		}
		if _, next := o.(Continue); !next {
			return o, nil
		}
	}
	return Done{}, nil
}

// Result says when to come back: the soonest of what the outcome asks for and
// the wakes, of which 0 and less mean never.
func Result(o Outcome, wakes ...time.Duration) reconcile.Result {
	switch o := o.(type) {
	case Waiting:
		wakes = append(wakes, o.After)
	case Stalled:
		wakes = append(wakes, o.After)
	}
	var soonest time.Duration
	for _, w := range wakes {
		if w > 0 && (soonest == 0 || w < soonest) {
			soonest = w
		}
	}
	return reconcile.Result{RequeueAfter: soonest}
}
