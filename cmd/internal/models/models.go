// Package models opens what a worker asks about a week: a bundle's model on this
// machine's processor, one behind a server, or the versions of a traffic plan;
// and it has the tools with which bundles are made and checked. It is the only
// place that knows the kinds of models that there are.
package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/preview"
	"github.com/clarity-loop/clarity/services/model/triton"
)

// Preview is the reference of the built-in model.
const Preview = "preview"

// Load reads the bundle that ref names: "preview", or a file's path,
// with "@sha256:…" behind it where the digest must be that one.
func Load(ref string) (*bundle.Bundle, error) {
	path, digest, _ := strings.Cut(ref, "@sha256:")
	if digest != "" {
		digest = "sha256:" + digest
	}
	if path == Preview {
		return bundle.Read(preview.Bundle(), cmp.Or(digest, preview.Digest))
	}
	if err := find(path); err != nil {
		return nil, err
	}
	return bundle.Open(path, digest)
}

// Raw is the bytes of the bundle that ref names, as Load reads it: its file.
func Raw(ref string) ([]byte, error) {
	if ref == Preview {
		return preview.Bundle(), nil
	}
	path, _, _ := strings.Cut(ref, "@sha256:")
	return os.ReadFile(path)
}

// Find says whether what Single would open is there, and looks like a bundle. It
// opens nothing.
func Find(ref string) error {
	path, _, _ := strings.Cut(ref, "@sha256:")
	if path == "" || path == "none" || path == Preview {
		return nil
	}
	if err := find(path); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return nil
}

// find says whether there is a file that looks like a bundle.
func find(path string) error {
	head, err := headOf(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("there is no bundle at %s: a model is none, %s or a bundle's file", path, Preview)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not read %s", path)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%s is a directory, not a bundle's file", path)
	case err != nil:
		return fmt.Errorf("look for the bundle: %w", err)
	}
	switch kind := kindOf(head); kind {
	case kindTar:
		return nil
	case kindHDF5, kindSafetensors:
		return fmt.Errorf("%s is weights (%s), not a bundle: `clarity model import` makes one of them", path, kind)
	case "":
		return fmt.Errorf("%s is not a bundle, which is a tar file that `clarity model import` writes", path)
	default:
		return fmt.Errorf("%s is %s, not a bundle, which is a tar file that `clarity model import` writes", path, kind)
	}
}

// Open opens a bundle's model on this machine's processor.
func Open(ctx context.Context, b *bundle.Bundle) (m model.Model, done func(), err error) {
	p, err := pat.Open(ctx, b, pat.Options{})
	if err != nil {
		return nil, nil, err
	}
	return p, p.Close, nil
}

// A Description is what a bundle says of its weights.
type Description = pat.Description

// ErrNoLabel says that a Description lacks the label that these weights need.
var ErrNoLabel = errors.New("an output of these weights is a preview, which must not be shown without a label")

// Import makes a bundle of weights: Keras HDF5, or safetensors.
func Import(weights []byte, d Description) (raw []byte, b *bundle.Bundle, err error) {
	var read func([]byte) (pat.Weights, pat.Config, error)
	switch kind := kindOf(weights[:min(len(weights), headSize)]); kind {
	case kindHDF5:
		read = pat.FromKeras
	case kindSafetensors:
		read = pat.FromSafetensors
	case "":
		return nil, nil, errors.New("it is neither Keras HDF5 nor safetensors, which are what weights are imported from")
	default:
		return nil, nil, fmt.Errorf("it is %s: weights are imported from Keras HDF5 or safetensors", kind)
	}
	w, c, err := read(weights)
	switch {
	case err != nil:
		return nil, nil, err
	case w.HasHeads() && d.Label == "":
		return nil, nil, ErrNoLabel
	}
	if b, err = pat.NewBundle(w, c, d); err != nil {
		return nil, nil, err
	}
	raw, err = bundle.Write(b)
	return raw, b, err
}

// Verify runs the bundle's golden vectors on every kernel of this machine
// and returns the kernels' names.
func Verify(ctx context.Context, b *bundle.Bundle) ([]string, error) {
	var names []string
	for _, k := range kernel.All() {
		m, err := pat.Open(ctx, b, pat.Options{Kernel: k.Name()})
		if err != nil {
			return names, fmt.Errorf("kernel %s: %w", k.Name(), err)
		}
		m.Close()
		names = append(names, k.Name())
	}
	return names, nil
}

// A TritonServing says how Triton is to serve a bundle.
type TritonServing struct {
	// Model is the model's name in Triton; "" is the bundle's own.
	Model string
	// MaxBatch bounds a batch of windows; 0 takes the usual bound.
	MaxBatch int
	GPU      bool
}

// TritonRepository is a Triton model repository of the bundle: files by path.
func TritonRepository(b *bundle.Bundle, serving TritonServing) (map[string][]byte, error) {
	onnx, err := pat.ONNX(b)
	if err != nil {
		return nil, err
	}
	s := triton.DefaultServing()
	s.Model, s.GPU = serving.Model, serving.GPU
	s.MaxBatch = cmp.Or(serving.MaxBatch, s.MaxBatch)
	return triton.Repository(b, onnx, s), nil
}
