package pat

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
)

// A Tensor is a named array's content, row-major.
type Tensor struct {
	Dims []int
	Data []float32
}

// Weights are tensors by Keras' names.
type Weights map[string]Tensor

// Check refuses weights that are not exactly the encoder's of this size, with
// or without all heads; extra tensors are refused too, except the pretraining
// decoder's, which the encoder does not need.
func (w Weights) Check(c Config) error {
	if len(w) == 0 {
		return model.Refuse(model.NoWeights, "the artifact holds no tensor")
	}
	want := c.Tensors()
	if w.HasHeads() {
		want = append(want, headTensors()...)
	}
	known := map[string]bool{}
	for _, s := range want {
		known[s.Name] = true
		t, ok := w[s.Name]
		if !ok {
			return model.Refuse(model.NoWeights, "tensor %s is missing", s.Name)
		}
		if !slices.Equal(t.Dims, s.Dims) || len(t.Data) != s.Size() {
			return model.Refuse(model.Malformed, "tensor %s is %v, want %v", s.Name, t.Dims, s.Dims)
		}
		for i, v := range t.Data {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return model.Refuse(model.Malformed, "tensor %s: value %d is not a number", s.Name, i)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if !known[name] && !ofDecoder(name) {
			return model.Refuse(model.Malformed, "tensor %.80q is not one of PAT-%s", name, c.Size)
		}
	}
	return nil
}

// HasHeads says whether there is any trained head.
func (w Weights) HasHeads() bool {
	for name := range w {
		if strings.HasPrefix(name, "head_") {
			return true
		}
	}
	return false
}

func ofDecoder(name string) bool {
	return strings.HasPrefix(name, "decoder_") || name == "mask_token"
}

// Encoder is w without the pretraining decoder.
func (w Weights) Encoder() Weights {
	out := Weights{}
	for name, t := range w {
		if !ofDecoder(name) {
			out[name] = t
		}
	}
	return out
}

// Detect is the size whose tensors these are.
func (w Weights) Detect() (Config, error) {
	layers := 0
	for name := range w {
		if strings.HasPrefix(name, "encoder_layer_") && strings.HasSuffix(name, "_ff1/bias") {
			layers++
		}
	}
	for _, c := range Sizes() {
		if c.Layers == layers {
			return c, nil
		}
	}
	return Config{}, model.Refuse(model.Malformed, "%d encoder layers: PAT has 1, 2 or 4", layers)
}

// positional is the sine and cosine position of n tokens, side by side, not interleaved.
func positional(n int) []float64 {
	out := make([]float64, n*Width)
	for i := range Width / 2 {
		step := math.Exp(float64(2*i) * -math.Log(10000) / Width)
		for p := range n {
			out[p*Width+i], out[p*Width+Width/2+i] = math.Sincos(float64(p) * step)
		}
	}
	return out
}
