package pat_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/pat/pattest"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

// withHeads are seeded weights that have trained heads' tensors besides.
func withHeads(c pat.Config, seed uint64) pat.Weights {
	w, r := pattest.Weights(c, seed), pattest.SplitMix64(seed)
	for name, dims := range map[string][]int{"head_sleep/kernel": {96, 1}, "head_sleep/bias": {1}, "head_week_1/kernel": {96, 128},
		"head_week_1/bias": {128}, "head_week_2/kernel": {128, 5}, "head_week_2/bias": {5}} {
		s := pat.Shape{Name: name, Dims: dims}
		t := pat.Tensor{Dims: dims, Data: make([]float32, s.Size())}
		for i := range t.Data {
			t.Data[i] = float32(r.Uniform() * 0.2)
		}
		w[name] = t
	}
	return w
}

func pythonWithONNX(t *testing.T) string {
	t.Helper()
	python := os.Getenv("CLARITY_ONNX_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import onnx, onnxruntime").Run(); err != nil {
		t.Skip("no Python with onnx and onnxruntime: set CLARITY_ONNX_PYTHON to one to run exported models")
	}
	return python
}

// onnxruntime runs the model on standardised weeks in a Python that has it.
func onnxruntime(t *testing.T, onnx []byte, z []float32) map[string][]float64 {
	t.Helper()
	python, dir := pythonWithONNX(t), t.TempDir()
	var raw []byte
	for _, v := range z {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	for name, data := range map[string][]byte{"model.onnx": onnx, "z.f32": raw} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.Command(python, "-c", `
import json, numpy, onnx, onnxruntime
onnx.checker.check_model(onnx.load("model.onnx"), full_check=True)
s = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
names = [o.name for o in s.get_outputs()]
out = s.run(names, {"activity": numpy.fromfile("z.f32", "<f4").reshape(-1, 10080)})
print(json.dumps({n: o.astype(float).ravel().tolist() for n, o in zip(names, out)}))`)
	run.Dir = dir
	run.Stderr = os.Stderr
	text, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	var out map[string][]float64
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestONNXRuntimeAgrees(t *testing.T) {
	pythonWithONNX(t)
	for _, c := range pat.Sizes()[:2] {
		d := description()
		d.Preprocessing = preprocess.Spec{ID: preprocess.Simact}
		made, err := pat.NewBundle(withHeads(c, 5), c, d)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := bundle.Write(made)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Read(raw, made.Digest)
		if err != nil {
			t.Fatal(err)
		}
		onnx, err := pat.ONNX(b)
		if err != nil {
			t.Fatal(err)
		}
		windows := []model.Window{b.Golden.Cases[0].Window(), b.Golden.Cases[1].Window()}
		var z []float32
		for _, w := range windows {
			one := make([]float32, model.Minutes)
			if _, err := b.Preprocessing.Apply(w, preprocess.NewScratch(), one); err != nil {
				t.Fatal(err)
			}
			z = append(z, one...)
		}
		want := onnxruntime(t, onnx, z)
		m, into := open(t, b, pat.Options{}), make([]model.Inference, 2)
		if err := m.Infer(context.Background(), windows, into); err != nil {
			t.Fatal(err)
		}
		for i, o := range m.Identity().Outputs {
			got := append(append([]float32(nil), into[0].Values[i]...), into[1].Values[i]...)
			if d := distance(got, want[o.Name]); d > 1e-5 {
				t.Errorf("PAT-%s: %s is %g from ONNX Runtime's", c.Size, o.Name, d)
			}
		}
	}
}

// Without ONNX Runtime at least the size is known: it holds every weight.
func TestONNXHoldsTheWeights(t *testing.T) {
	b := small(t)
	onnx, err := pat.ONNX(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(onnx) < len(b.Weights) || len(onnx) > len(b.Weights)+560*96*4+20_000 {
		t.Errorf("%d bytes for %d of weights and a table of positions", len(onnx), len(b.Weights))
	}
}
