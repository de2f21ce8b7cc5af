package pat_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/pat/pattest"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

// small is a bundle of seeded weights, made once.
var small = func() func(t testing.TB) *bundle.Bundle {
	var made []byte
	return func(t testing.TB) *bundle.Bundle {
		t.Helper()
		if made == nil {
			c, _ := pat.SizeOf("S")
			b, err := pat.NewBundle(pattest.Weights(c, 1001), c, description())
			if err != nil {
				t.Fatal(err)
			}
			if made, err = bundle.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		b, err := bundle.Read(made, "")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}()

func description() pat.Description {
	return pat.Description{Name: "seeded", Label: "not trained", License: "Apache-2.0", Source: "a random generator",
		Card: "# Seeded weights for tests", Preprocessing: preprocess.Spec{ID: preprocess.Record}}
}

func open(t testing.TB, b *bundle.Bundle, o pat.Options) *pat.Model {
	t.Helper()
	m, err := pat.Open(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestContract(t *testing.T) {
	for _, k := range kernel.All() {
		if k.Name() == "scalar" && raceEnabled {
			continue
		}
		t.Run(k.Name(), func(t *testing.T) {
			modeltest.Run(t, func(t *testing.T) model.Model { return open(t, small(t), pat.Options{Kernel: k.Name()}) })
		})
	}
}

func TestInferAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := open(t, small(t), pat.Options{})
	windows := []model.Window{modeltest.Week(1), modeltest.Week(2), modeltest.Week(3), modeltest.Week(4), modeltest.Week(5)}
	into := make([]model.Inference, len(windows))
	if n := testing.AllocsPerRun(3, func() {
		if err := m.Infer(context.Background(), windows, into); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := map[string]struct {
		spoil func(b *bundle.Bundle)
		want  model.Reason
	}{
		"weights that were changed": {func(b *bundle.Bundle) { b.Weights[len(b.Weights)-5] ^= 0x01 }, model.GoldenMismatch},
		"a weight that is not a number": {func(b *bundle.Bundle) {
			copy(b.Weights[len(b.Weights)-4:], []byte{0, 0, 0xc0, 0x7f})
		}, model.Malformed},
		"no weights":            {func(b *bundle.Bundle) { b.Weights = []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}") }, model.NoWeights},
		"weights that are cut":  {func(b *bundle.Bundle) { b.Weights = b.Weights[:len(b.Weights)/2] }, model.Malformed},
		"another architecture":  {func(b *bundle.Bundle) { b.Contract.Architecture = "PAT-L" }, model.Malformed},
		"other outputs":         {func(b *bundle.Bundle) { b.Contract.Outputs[0].Length = 95 }, model.Malformed},
		"other golden vectors":  {func(b *bundle.Bundle) { b.Golden.Cases[0].Outputs["embedding"][0] += 0.1 }, model.GoldenMismatch},
		"unknown preprocessing": {func(b *bundle.Bundle) { b.Preprocessing.ID = "fourier/1" }, model.UnknownPreprocessing},
		"other preprocessing":   {func(b *bundle.Bundle) { b.Preprocessing.ID = preprocess.Simact }, model.GoldenMismatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := small(t)
			tt.spoil(b)
			m, err := pat.Open(context.Background(), b, pat.Options{})
			if err == nil {
				m.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := pat.Open(context.Background(), small(t), pat.Options{Kernel: "abacus"}); err == nil {
		t.Error("opened with a kernel that is not there")
	}
}

func TestWeightsThatOverflowAreRefused(t *testing.T) {
	c, _ := pat.SizeOf("S")
	w := pattest.Weights(c, 1)
	for _, name := range []string{"encoder_layer_1_attention/query/kernel", "encoder_layer_1_attention/key/kernel"} {
		for i := range w[name].Data {
			w[name].Data[i] = 3e30
		}
	}
	if _, err := pat.NewEncoder(c, w, kernel.All()[0], 1); !errors.Is(err, model.Malformed) {
		t.Errorf("error %v, want %q", err, model.Malformed)
	}
}

func TestExplainMapsAttentionToMinutes(t *testing.T) {
	m, c := open(t, small(t), pat.Options{}), pat.Sizes()[0]
	got, err := m.Explain(context.Background(), modeltest.Week(1))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != model.Minutes || slices.Min(got) != 0 || slices.Max(got) != 1 {
		t.Errorf("%d values from %v to %v, want %d from 0 to 1", len(got), slices.Min(got), slices.Max(got), model.Minutes)
	}
	for i, v := range got {
		if v != got[i/c.Patch*c.Patch] {
			t.Fatalf("minute %d has %v, its patch %v", i, v, got[i/c.Patch*c.Patch])
		}
	}
	if _, err := m.Explain(context.Background(), model.Window{Counts: make([]float64, model.Minutes)}); !errors.Is(err, model.TooLittleData) {
		t.Errorf("an empty window was explained: %v", err)
	}
}

// The published layout, as an HDF5 library wrote it, with seeded weights.
func TestFromKeras(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(reference(t), "pat/fixture_PAT-S_random_seed1001.h5"))
	if err != nil {
		t.Fatal(err)
	}
	w, c, err := pat.FromKeras(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := pattest.Weights(c, 1001)
	if len(w) != len(want) || c.Size != "S" {
		t.Fatalf("%d tensors of PAT-%s, want %d", len(w), c.Size, len(want))
	}
	for name, tensor := range want {
		if !slices.Equal(w[name].Data, tensor.Data) || !slices.Equal(w[name].Dims, tensor.Dims) {
			t.Errorf("tensor %s differs", name)
		}
	}
	for _, n := range []int{10, 2000, len(raw) / 2, len(raw) - 1} {
		if _, _, err := pat.FromKeras(raw[:n]); !errors.Is(err, model.Malformed) {
			t.Errorf("the first %d bytes: %v, want %q", n, err, model.Malformed)
		}
	}
}

// keras is a file without the encoder: tiny, and written by an HDF5 library.
func TestFromKerasRefusesOtherFiles(t *testing.T) {
	raw, err := os.ReadFile("../internal/hdf5/testdata/plain.h5")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"no encoder": raw, "empty": nil, "text": []byte(strings.Repeat("x", 200))} {
		if _, _, err := pat.FromKeras(data); !errors.Is(err, model.Malformed) {
			t.Errorf("%s: %v, want %q", name, err, model.Malformed)
		}
	}
}

func TestFromSafetensorsLeavesTheDecoderOut(t *testing.T) {
	b := small(t)
	w, c, err := pat.FromSafetensors(b.Weights)
	if err != nil || c.Size != "S" {
		t.Fatalf("PAT-%s, %v", c.Size, err)
	}
	w["mask_token"] = pat.Tensor{Dims: []int{1}, Data: []float32{float32(math.NaN())}}
	w["decoder_dense/bias"] = pat.Tensor{Dims: []int{1}, Data: []float32{1}}
	if err := w.Check(c); err != nil {
		t.Errorf("a decoder is not passed over: %v", err)
	}
	if n := len(w.Encoder()); n != len(c.Tensors()) {
		t.Errorf("%d tensors, want %d", n, len(c.Tensors()))
	}
	w["surplus"] = pat.Tensor{Dims: []int{1}, Data: []float32{1}}
	if err := w.Check(c); !errors.Is(err, model.Malformed) {
		t.Errorf("a tensor that nobody knows: %v", err)
	}
}

func FuzzFromKeras(f *testing.F) {
	for _, name := range []string{"plain.h5", "cycle.h5"} {
		raw, err := os.ReadFile("../internal/hdf5/testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if w, c, err := pat.FromKeras(data); err == nil && w.Check(c) != nil {
			t.Error("weights that do not check were returned")
		}
	})
}
