// Package model is the contract for what looks at seven days of minutes and
// says something that no formula does.
//
// A Model is one version: its Identity names the artifact by digest, the
// preprocessing it was trained with, and every output with its unit and with
// who may see it. Infer MUST apply exactly that preprocessing, and MUST stamp
// each Inference with the version's digest, so that no number is without its
// origin. The same windows MUST give the same outputs, byte for byte, on one
// machine and kernel; a window's outputs MUST NOT depend on the other windows
// of the batch beyond 1e-5.
//
// Missing minutes travel as a mask. A Model MUST NOT take them for zeros, and
// MUST return the mask it worked with, its own additions included.
//
// A Model MUST refuse rather than guess, with a *Refusal: NoWeights where there
// are none (never a random weight), DigestMismatch where the artifact is not
// the one that was asked for, UnknownPreprocessing where it does not know the
// steps, TooLittleData where a window does not carry an answer, NotFinite where
// the answer is no number. The last two are of one window and are told in that
// window's Inference; they MUST NOT cost the other windows theirs. An error of
// Infer itself is of the whole call, and then no Inference may be used. Infer
// MUST NOT return a value that is not finite.
//
// Outputs that are Internal MUST NOT leave the worker: they are for distances
// between a person's own weeks. A Preview output MUST be shown with the
// Identity's Label, or not at all.
//
// All methods may be called concurrently. The caller retries, if anyone does.
package model

import (
	"context"
	"errors"
	"fmt"
)

// A Model is one version, loaded and verified.
type Model interface {
	// Identity says which version this is.
	Identity() Identity
	// Infer fills into[i] from windows[i]; the slices are as long as each other.
	// What into held before is reused where it fits and is lost. It looks at
	// ctx now and then, and at its end returns ctx's error.
	Infer(ctx context.Context, windows []Window, into []Inference) error
}

// An Identity is what a version is.
type Identity struct {
	// Name is the version's for people, "pat-s-sim"; it identifies nothing.
	Name string `json:"name"`
	// Digest is "sha256:…" of the artifact's manifest: the identity.
	Digest string `json:"digest"`
	// Preprocessing names the steps from minutes to input, "simact-pre/1".
	Preprocessing string `json:"preprocessing"`
	// Scaling says whose spread the input was standardised by: the record's
	// own, or a cohort's, which is part of the artifact.
	Scaling Scaling `json:"scaling"`
	// Label must stand beside every output that is shown; "" where there is nothing to warn of.
	Label string `json:"label"`
	// Outputs are what Infer returns, in that order.
	Outputs []Output `json:"outputs"`
}

// A Scaling says what the input was standardised by.
type Scaling string

// The scalings.
const (
	ByRecord Scaling = "record"
	ByCohort Scaling = "cohort"
)

// An Output is one named tensor of the contract.
type Output struct {
	Name string `json:"name"`
	// Length is how many values it has.
	Length int `json:"length"`
	// Unit is UCUM, or "1", or one for each value, comma-separated.
	Unit       string     `json:"unit"`
	Visibility Visibility `json:"visibility"`
	Doc        string     `json:"doc"`
}

// A Visibility says who may see an output.
type Visibility string

// The visibilities.
const (
	Internal Visibility = "internal" // never leaves the worker
	Preview  Visibility = "preview"  // only with the label
	Public   Visibility = "public"   // has an evaluation record in the card
)

// An Inference is what a model makes of one window.
type Inference struct {
	// Refused, if not nil, is why there are no outputs for this window.
	Refused error
	// Version, Preprocessing and Scaling are the identity's; Kind is the window's.
	Version, Preprocessing string
	Scaling                Scaling
	Kind                   string
	// Values has one slice an output of the identity, in its order.
	Values [][]float32
	// Worn marks the minutes that counted as measured and worn; WornMinutes counts them.
	Worn        []bool
	WornMinutes int
}

// Value is the output of that name, or nil.
func (in *Inference) Value(id Identity, name string) []float32 {
	for i, o := range id.Outputs {
		if o.Name == name && i < len(in.Values) && in.Refused == nil {
			return in.Values[i]
		}
	}
	return nil
}

// RefuseNonFinite makes a refusal of outputs of which one is not a finite number.
func (in *Inference) RefuseNonFinite(id Identity) {
	for i, values := range in.Values {
		for _, v := range values {
			if v-v != 0 { // NaN and the infinities
				in.Refused = Refuse(NotFinite, "%s: the model overflows on this window", id.Outputs[i].Name)
				in.Values = in.Values[:0]
				return
			}
		}
	}
}

// A Reason is why a model refuses. It is an error, so that
// errors.Is(err, model.TooLittleData) asks for it.
type Reason string

// The reasons.
const (
	NoWeights            Reason = "no weights"
	DigestMismatch       Reason = "digest mismatch"
	UnknownPreprocessing Reason = "unknown preprocessing"
	TooLittleData        Reason = "too little data"
	// Malformed is an artifact that is not what its format says.
	Malformed Reason = "malformed artifact"
	// NotFinite is of one window: the model came to something that is no number.
	NotFinite Reason = "output not finite"
	// GoldenMismatch is an artifact whose own golden vectors do not come out of it.
	GoldenMismatch Reason = "golden vectors do not come out"
)

// Error is the reason in words.
func (r Reason) Error() string { return string(r) }

// A Refusal is a reason and what was found.
type Refusal struct {
	Reason Reason
	Detail string
}

// Refuse makes a refusal.
func Refuse(reason Reason, format string, args ...any) error {
	return &Refusal{reason, fmt.Sprintf(format, args...)}
}

// Error says the reason and the detail.
func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }

// Unwrap is the reason.
func (r *Refusal) Unwrap() error { return r.Reason }

// errBatch is a call that does not keep the contract.
var errBatch = errors.New("windows and inferences differ in number")

// CheckBatch is what every driver's Infer begins with.
func CheckBatch(ctx context.Context, windows []Window, into []Inference) error {
	if len(windows) != len(into) {
		return fmt.Errorf("infer %d windows into %d: %w", len(windows), len(into), errBatch)
	}
	return ctx.Err()
}
