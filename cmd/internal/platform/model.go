package platform

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/preview"
	"github.com/clarity-loop/clarity/services/model/triton"
)

// PreviewModel is the reference of the built-in model.
const PreviewModel = "preview"

// LoadBundle reads the bundle that ref names: "preview", or a file's path,
// with "@sha256:…" behind it where the digest must be that one.
func LoadBundle(ref string) (*bundle.Bundle, error) {
	if ref == PreviewModel {
		return bundle.Read(preview.Bundle(), preview.Digest)
	}
	path, digest, _ := strings.Cut(ref, "@sha256:")
	if digest != "" {
		digest = "sha256:" + digest
	}
	return bundle.Open(path, digest)
}

// OpenModel opens the model that ref names (see LoadBundle). For "" and "none"
// there is no model: it is nil, and so is the error. Whoever opened it calls done.
func OpenModel(ctx context.Context, ref string) (m model.Model, done func(), err error) {
	if ref == "" || ref == "none" {
		return nil, func() {}, nil
	}
	b, err := LoadBundle(ref)
	if err != nil {
		return nil, nil, fmt.Errorf("open model %s: %w", ref, err)
	}
	m, done, err = OpenBundle(ctx, b)
	if err != nil {
		return nil, nil, fmt.Errorf("open model %s: %w", ref, err)
	}
	return m, done, nil
}

// OpenBundle opens a bundle's model on this machine's processor.
func OpenBundle(ctx context.Context, b *bundle.Bundle) (m model.Model, done func(), err error) {
	p, err := pat.Open(ctx, b, pat.Options{})
	if err != nil {
		return nil, nil, err
	}
	return p, p.Close, nil
}

// ImportModel makes a bundle of weights: Keras HDF5, or safetensors.
func ImportModel(weights []byte, d pat.Description) (raw []byte, b *bundle.Bundle, err error) {
	read := pat.FromSafetensors
	if bytes.HasPrefix(weights, []byte("\x89HDF")) {
		read = pat.FromKeras
	}
	w, c, err := read(weights)
	if err != nil {
		return nil, nil, err
	}
	if b, err = pat.NewBundle(w, c, d); err != nil {
		return nil, nil, err
	}
	raw, err = bundle.Write(b)
	return raw, b, err
}

// VerifyModel runs the bundle's golden vectors on every kernel of this machine
// and returns the kernels' names.
func VerifyModel(ctx context.Context, b *bundle.Bundle) ([]string, error) {
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
