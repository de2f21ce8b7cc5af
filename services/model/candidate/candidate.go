// Package candidate is what is done to a model version before it serves
// anybody: its bundle and golden vectors are fetched and held to what was
// declared (Verify), the bundle is laid out for the server (Install), and the
// server is asked for the golden vectors (Validate).
//
// Each ends well, or with a Failure: a word and a sentence for whoever declared
// the version. A failure that is Final stays, whoever tries again.
package candidate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// A Failure is why a version may not go on. It is an error.
type Failure struct {
	Reason termination.Reason
	// Final says that trying again cannot help.
	Final bool
	// Cause says it in a sentence.
	Cause error
}

// Error is the sentence.
func (f *Failure) Error() string { return f.Cause.Error() }

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.Cause }

func final(reason termination.Reason, err error) error { return &Failure{reason, true, err} }

// A Fetcher writes artifacts to files; see artifact.Fetcher.
type Fetcher interface {
	Bundle(ctx context.Context, uri, digest, path string) error
	File(ctx context.Context, uri, digest string, limit int64, path string) error
}

// Fetch reads a bundle by way of a file in the folder given, which is removed.
func Fetch(ctx context.Context, from Fetcher, a worker.Artifact, folder string) (b *bundle.Bundle, err error) {
	path := filepath.Join(folder, "bundle.tar")
	defer func() { err = errors.Join(err, gone(path)) }()
	if err := from.Bundle(ctx, a.URI, a.Digest, path); err != nil {
		return nil, failureOf(err, termination.DigestMismatch)
	}
	b, err = bundle.Open(path, a.Digest)
	if err != nil {
		return nil, failureOf(fmt.Errorf("read %s: %w", a.URI, err), termination.DigestMismatch)
	}
	return b, nil
}

// FetchGolden reads a set of golden vectors for the bundle, in the same way.
func FetchGolden(ctx context.Context, from Fetcher, a worker.Artifact, b *bundle.Bundle, folder string) (g bundle.Golden, err error) {
	path := filepath.Join(folder, "golden.json")
	defer func() { err = errors.Join(err, gone(path)) }()
	if err := from.File(ctx, a.URI, a.Digest, bundle.MaxGolden, path); err != nil {
		return g, failureOf(err, termination.GoldenSetMismatch)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return g, err
	}
	if g, err = bundle.ReadGolden(raw, b.Contract.Outputs); err != nil {
		return g, final(termination.GoldenSetMismatch, fmt.Errorf("read %s: %w", a.URI, err))
	}
	return g, nil
}

// failureOf says what a failed fetch means; other is the word for another digest.
func failureOf(err error, other termination.Reason) error {
	var refused *model.Refusal
	switch {
	case errors.Is(err, artifact.ErrNotFound):
		return &Failure{termination.ArtifactNotFound, false, err}
	case errors.Is(err, artifact.ErrDigest), errors.Is(err, model.DigestMismatch):
		return final(other, err)
	case errors.Is(err, artifact.ErrMalformed), errors.Is(err, artifact.ErrURI), errors.As(err, &refused):
		return final(termination.Unreadable, err)
	}
	return &Failure{termination.Unreadable, false, err}
}

func gone(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Verify fetches bundle and golden set, and holds the bundle to the contract
// that was declared for it.
func Verify(ctx context.Context, from Fetcher, model, golden worker.Artifact, declared Contract, folder string) error {
	b, err := Fetch(ctx, from, model, folder)
	if err != nil {
		return err
	}
	if _, err := FetchGolden(ctx, from, golden, b, folder); err != nil {
		return err
	}
	return declared.Compare(b)
}
