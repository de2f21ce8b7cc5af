// Package pattest makes weights and weeks for tests and benchmarks of PAT:
// seeded, portable, and good for nothing else. Only tests import it.
package pattest

import (
	"math"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/pat"
)

// SplitMix64 is Steele, Lea and Flood's generator (OOPSLA 2014).
type SplitMix64 uint64

// Uniform is a number from −1 to 1, 1 exclusive.
//
//go:norace
func (s *SplitMix64) Uniform() float64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float64(z>>11)*(1.0/(1<<53))*2 - 1
}

// Weights are Glorot-uniform kernels, biases of 0.02·U and gammas of 1+0.1·U,
// in the order of the size's tensors, rounded to float32.
func Weights(c pat.Config, seed uint64) pat.Weights {
	r, w := SplitMix64(seed), pat.Weights{}
	for _, s := range c.Tensors() {
		t := pat.Tensor{Dims: s.Dims, Data: make([]float32, s.Size())}
		kind := s.Name[strings.LastIndexByte(s.Name, '/')+1:]
		in, out := fan(s)
		for i := range t.Data {
			u := r.Uniform()
			switch kind {
			case "kernel":
				u *= math.Sqrt(6 / float64(in+out))
			case "gamma":
				u = 1 + 0.1*u
			default:
				u *= 0.02
			}
			t.Data[i] = float32(u)
		}
		w[s.Name] = t
	}
	return w
}

func fan(s pat.Shape) (in, out int) {
	d := s.Dims
	switch {
	case len(d) == 1:
		return 0, 0
	case strings.Contains(s.Name, "attention_output"):
		return d[0] * d[1], d[len(d)-1]
	case len(d) == 3:
		return d[0], d[1] * d[2]
	}
	return d[0], d[1]
}

// Week is a closed-form week that looks standardised.
func Week() []float64 {
	z := make([]float64, model.Minutes)
	for i := range z {
		m := float64(i)
		z[i] = 1.1*math.Sin(2*math.Pi*(m-480)/1440) + 0.5*math.Sin(2*math.Pi*m/97) + 0.3*math.Cos(2*math.Pi*m/10080*3)
	}
	return z
}

// Noise is a week of uniform noise of unit variance.
func Noise(seed uint64) []float64 {
	r := SplitMix64(seed)
	z := make([]float64, model.Minutes)
	for i := range z {
		z[i] = r.Uniform() * math.Sqrt(3)
	}
	return z
}

// Float32 rounds.
func Float32(z []float64) []float32 {
	out := make([]float32, len(z))
	for i, v := range z {
		out[i] = float32(v)
	}
	return out
}
