// Package artifacttest is the suite that every artifact.Source passes.
package artifacttest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

// A World is a place that a Source opens.
type World struct {
	Scheme string
	Source artifact.Source
	// Put keeps the content and returns where it is.
	Put func(t *testing.T, kind artifact.Kind, content []byte) (uri string)
	// Nowhere are URIs at which there is nothing.
	Nowhere []string
	// Illegal are URIs that cannot be.
	Illegal []string
}

// Sample is a bundle of one golden case, with a card of that text.
func Sample(t testing.TB, card string) (raw []byte, digest string) {
	t.Helper()
	g := bundle.SimulatedWeek(2)
	g.Name, g.Outputs = "one", map[string][]float64{"embedding": {1, 2, 3}}
	b := &bundle.Bundle{
		Contract: bundle.Contract{Name: "sample", Architecture: "PAT-S", Input: bundle.Input{Name: "activity", Unit: "1"},
			Outputs: []model.Output{{Name: "embedding", Length: 3, Unit: "1", Visibility: model.Internal, Doc: "three numbers"}}},
		Weights: bytes.Repeat([]byte("weights "), 1<<15), Preprocessing: preprocess.Spec{ID: preprocess.Cohort, Mean: []float64{1}, SD: []float64{2}},
		Golden: bundle.NewGolden(g), Card: card,
	}
	raw, err := bundle.Write(b)
	if err != nil {
		t.Fatal(err)
	}
	return raw, b.Digest
}

// Run holds the source to the contract.
func Run(t *testing.T, w World) {
	t.Run("bundles", func(t *testing.T) { bundles(t, w) })
	t.Run("files", func(t *testing.T) { files(t, w) })
	t.Run("nothing there", func(t *testing.T) {
		for _, uri := range w.Nowhere {
			if err := fetchFile(t, w, uri, bundle.DigestOf(nil), 100); !errors.Is(err, artifact.ErrNotFound) {
				t.Errorf("a file at %s: %v", uri, err)
			}
			if err := fetchBundle(t, w, uri, bundle.DigestOf(nil)); !errors.Is(err, artifact.ErrNotFound) {
				t.Errorf("a bundle at %s: %v", uri, err)
			}
		}
	})
	t.Run("no URI of the scheme", func(t *testing.T) {
		for _, uri := range w.Illegal {
			if err := fetchFile(t, w, uri, bundle.DigestOf(nil), 100); !errors.Is(err, artifact.ErrURI) {
				t.Errorf("%q: %v", uri, err)
			}
		}
	})
	t.Run("a caller that gives up", func(t *testing.T) {
		raw, digest := Sample(t, "# Given up")
		uri := w.Put(t, artifact.Bundle, raw)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		dir := t.TempDir()
		if err := fetcher(w).Bundle(ctx, uri, digest, filepath.Join(dir, "x")); err == nil && w.Scheme != "file" {
			t.Error("fetched all the same")
		} else if err != nil {
			leavesNothing(t, dir)
		}
	})
}

func bundles(t *testing.T, w World) {
	raw, digest := Sample(t, "# One")
	other, otherDigest := Sample(t, "# Another")
	uri := w.Put(t, artifact.Bundle, raw)
	dir := t.TempDir()
	path := filepath.Join(dir, "model.tar")
	for range 2 { // the second replaces the first
		if err := fetcher(w).Bundle(t.Context(), uri, digest, path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%d bytes, %v; want the %d that were put", len(got), err, len(raw))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf("mode %v, %v; want read-only", info.Mode(), err)
	}
	if _, err := bundle.Open(path, digest); err != nil {
		t.Error(err)
	}
	if err := fetchBundle(t, w, uri, otherDigest); !errors.Is(err, artifact.ErrDigest) {
		t.Errorf("another digest: %v", err)
	}
	if err := fetchBundle(t, w, w.Put(t, artifact.Bundle, other), digest); !errors.Is(err, artifact.ErrDigest) {
		t.Errorf("another bundle: %v", err)
	}
	if err := fetchBundle(t, w, uri, "sha256:short"); !errors.Is(err, artifact.ErrURI) || !strings.HasPrefix(err.Error(), `artifact: "sha256:short" is not a digest`) {
		t.Errorf("no digest: %v", err)
	}
}

func files(t *testing.T, w World) {
	content := bytes.Repeat([]byte("golden "), 10_000)
	digest, size := bundle.DigestOf(content), int64(len(content))
	uri := w.Put(t, artifact.File, content)
	path := filepath.Join(t.TempDir(), "golden.json")
	if err := fetcher(w).File(t.Context(), uri, digest, size, path); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v; want the %d that were put", len(got), err, len(content))
	}
	if err := fetchFile(t, w, uri, digest, size-1); !errors.Is(err, artifact.ErrMalformed) {
		t.Errorf("one byte too many: %v", err)
	}
	// A registry names a blob by its digest: another digest is not there.
	if err := fetchFile(t, w, uri, bundle.DigestOf([]byte("other")), size); !errors.Is(err, artifact.ErrDigest) && !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("another digest: %v", err)
	}
}

func fetcher(w World) *artifact.Fetcher {
	return artifact.New(map[string]artifact.Source{w.Scheme: w.Source})
}

// fetchBundle fetches what must fail, and sees that nothing is left of it.
func fetchBundle(t *testing.T, w World, uri, digest string) error {
	t.Helper()
	dir := t.TempDir()
	err := fetcher(w).Bundle(t.Context(), uri, digest, filepath.Join(dir, "x"))
	leavesNothing(t, dir)
	return err
}

func fetchFile(t *testing.T, w World, uri, digest string, limit int64) error {
	t.Helper()
	dir := t.TempDir()
	err := fetcher(w).File(t.Context(), uri, digest, limit, filepath.Join(dir, "x"))
	leavesNothing(t, dir)
	return err
}

func leavesNothing(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
