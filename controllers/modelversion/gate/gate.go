// Package gate answers whether a candidate may take the next step.
//
// A gate is one number and a bound. The number comes from a source that can be
// late, down or wrong, so an answer has four verdicts and not two: Pass and Fail
// are about the version, Wait says that too little is known, and Error that the
// source did not tell. Error and Wait never move a rollout forward. See
// docs/adr/0013-gates.md.
package gate

import (
	"context"
	"time"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// A Question is about one step of one rollout.
type Question struct {
	// Model is asked about, and Version is its candidate.
	Model, Version string
	// Baseline is the version the candidate is to replace.
	Baseline string
	// Since is when the step began; what was measured before it does not count.
	Since time.Time
	// Now is the moment that is asked about.
	Now time.Time
}

// An Answer is what a gate found.
type Answer struct {
	Verdict v1alpha1.Verdict
	// Value is the number compared, a decimal of at most 24 bytes; empty where there is none.
	Value string
	// Message is one sentence for people.
	Message string
}

// Gates answers the questions of rollouts. An implementation is safe for
// concurrent use, and bounds the time of every call by itself.
type Gates interface {
	// Samples is how many requests the candidate has answered in this step:
	// copies of requests if shadow, else those whose replies were used. An error
	// means that the source did not tell, never that there are none.
	Samples(ctx context.Context, q Question, shadow bool) (int64, error)
	// Ask compares the gate's number with its bound. What goes wrong is the
	// verdict Error; there is no other error.
	Ask(ctx context.Context, g v1alpha1.Gate, q Question, shadow bool) Answer
}
