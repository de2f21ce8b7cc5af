// Package candidate is what is done to a model version before it serves
// anybody: its bundle and golden vectors are fetched and held to what was
// declared (Verify), the bundle is laid out for the server (Install), and the
// server is asked for the golden vectors (Validate).
//
// Each ends with a verdict: a word and a sentence for whoever declared the
// version. A verdict that is Final cannot change, whoever tries again.
package candidate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// A Reason says in a word why a version may not go on.
type Reason string

// The reasons.
const (
	// DigestMismatch: what is there is not what was declared, or not what is served.
	DigestMismatch Reason = "DigestMismatch"
	// ArtifactNotFound: there is nothing at the URI, or not yet.
	ArtifactNotFound Reason = "ArtifactNotFound"
	// ContractMismatch: the bundle's contract is not the declared one.
	ContractMismatch Reason = "ContractMismatch"
	// GoldenSetMismatch: the golden set is another file than declared, or another model's.
	GoldenSetMismatch Reason = "GoldenSetMismatch"
	// Unreadable: it cannot be fetched, or is not what its format says.
	Unreadable Reason = "Unreadable"
	// ValidationFailed: the server's outputs are not the golden ones.
	ValidationFailed Reason = "ValidationFailed"
	// ValidationTimeout: the server did not answer in time.
	ValidationTimeout Reason = "ValidationTimeout"
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{DigestMismatch, ArtifactNotFound, ContractMismatch, GoldenSetMismatch, Unreadable, ValidationFailed, ValidationTimeout}
}

// A Verdict is why a version may not go on. It is an error.
type Verdict struct {
	Reason Reason
	// Final says that trying again cannot help.
	Final bool
	// Cause says it in a sentence.
	Cause error
}

// Error is the sentence.
func (v *Verdict) Error() string { return v.Cause.Error() }

// Unwrap is the cause.
func (v *Verdict) Unwrap() error { return v.Cause }

func final(reason Reason, err error) error { return &Verdict{reason, true, err} }

// An Artifact is a file by place and content.
type Artifact struct{ URI, Digest string }

// A Fetcher writes artifacts to files; see artifact.Fetcher.
type Fetcher interface {
	Bundle(ctx context.Context, uri, digest, path string) error
	File(ctx context.Context, uri, digest string, limit int64, path string) error
}

// Fetch reads a bundle by way of a file in the folder given, which is removed.
func Fetch(ctx context.Context, from Fetcher, a Artifact, folder string) (b *bundle.Bundle, err error) {
	path := filepath.Join(folder, "bundle.tar")
	defer func() { err = errors.Join(err, gone(path)) }()
	if err := from.Bundle(ctx, a.URI, a.Digest, path); err != nil {
		return nil, verdictOf(err, DigestMismatch)
	}
	b, err = bundle.Open(path, a.Digest)
	if err != nil {
		return nil, verdictOf(fmt.Errorf("read %s: %w", a.URI, err), DigestMismatch)
	}
	return b, nil
}

// FetchGolden reads a set of golden vectors for the bundle, in the same way.
func FetchGolden(ctx context.Context, from Fetcher, a Artifact, b *bundle.Bundle, folder string) (g bundle.Golden, err error) {
	path := filepath.Join(folder, "golden.json")
	defer func() { err = errors.Join(err, gone(path)) }()
	if err := from.File(ctx, a.URI, a.Digest, bundle.MaxGolden, path); err != nil {
		return g, verdictOf(err, GoldenSetMismatch)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return g, err
	}
	if g, err = bundle.ReadGolden(raw, b.Contract.Outputs); err != nil {
		return g, final(GoldenSetMismatch, fmt.Errorf("read %s: %w", a.URI, err))
	}
	return g, nil
}

// verdictOf says what a failed fetch means; other is the word for another digest.
func verdictOf(err error, other Reason) error {
	var refused *model.Refusal
	switch {
	case errors.Is(err, artifact.ErrNotFound):
		return &Verdict{ArtifactNotFound, false, err}
	case errors.Is(err, artifact.ErrDigest), errors.Is(err, model.DigestMismatch):
		return final(other, err)
	case errors.Is(err, artifact.ErrMalformed), errors.Is(err, artifact.ErrURI), errors.As(err, &refused):
		return final(Unreadable, err)
	}
	return &Verdict{Unreadable, false, err}
}

func gone(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Verify fetches bundle and golden set, and holds the bundle to the contract
// that was declared for it.
func Verify(ctx context.Context, from Fetcher, model, golden Artifact, declared Contract, folder string) error {
	b, err := Fetch(ctx, from, model, folder)
	if err != nil {
		return err
	}
	if _, err := FetchGolden(ctx, from, golden, b, folder); err != nil {
		return err
	}
	return declared.Compare(b)
}
