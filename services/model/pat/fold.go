package pat

import (
	"fmt"
	"math"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
)

// A layer is one encoder layer, folded and packed.
//
// A head's score of token i for token j is (hᵢQ+q)·(hⱼK+k)/√96. What does not
// depend on j falls out of the softmax, and the rest is (hᵢ·QKᵀ + q·Kᵀ)·hⱼ: so
// one matrix takes the place of two, and every head's keys are the tokens
// themselves. Likewise the values: Σⱼpᵢⱼ(hⱼV+v)·O = (Σⱼpᵢⱼhⱼ)·VO + v·O, since
// attention sums to 1. The folded products are made once, in float64.
type layer struct {
	// score is QKᵀ and scoreBias qKᵀ for each head, in units of log2 by √96.
	score     [][]float32
	scoreBias [][]float32
	// value is VO for each head; outBias takes all heads' v·O with it.
	value   [][]float32
	outBias []float32

	ff1, ff1Bias, ff2, ff2Bias []float32
	gamma1, beta1              []float32
	gamma2, beta2              []float32
}

func foldLayer(w Weights, c Config, i int) (*layer, error) {
	name := fmt.Sprintf("encoder_layer_%d_", i)
	get := func(n string) []float32 { return w[name+n].Data }
	l := &layer{
		ff1: pack(get("ff1/kernel"), Width, hidden), ff1Bias: get("ff1/bias"),
		ff2: pack(get("ff2/kernel"), hidden, Width), ff2Bias: get("ff2/bias"),
		gamma1: get("norm1/gamma"), beta1: get("norm1/beta"),
		gamma2: get("norm2/gamma"), beta2: get("norm2/beta"),
	}
	out := widen(get("attention/attention_output/bias"))
	for head := range c.Heads {
		a := func(part string) ([]float64, []float64) {
			return headOf(get("attention/"+part+"/kernel"), c.Heads, head),
				widen(get("attention/" + part + "/bias")[head*Width:][:Width])
		}
		query, queryBias := a("query")
		key, _ := a("key")
		value, valueBias := a("value")
		o := widen(get("attention/attention_output/kernel")[head*Width*Width:][:Width*Width])
		scale := math.Log2E / math.Sqrt(Width)
		l.score = append(l.score, pack(narrow(times(query, transpose(key), Width), scale), Width, Width))
		l.scoreBias = append(l.scoreBias, narrow(times(queryBias, transpose(key), 1), scale))
		l.value = append(l.value, pack(narrow(times(value, o, Width), 1), Width, Width))
		for j, v := range times(valueBias, o, 1) {
			out[j] += v
		}
	}
	l.outBias = narrow(out, 1)
	return l, l.finite(name)
}

// finite refuses weights that overflow when folded.
func (l *layer) finite(name string) error {
	parts := append(append(append([][]float32{l.outBias}, l.score...), l.scoreBias...), l.value...)
	for _, part := range parts {
		for _, v := range part {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return model.Refuse(model.Malformed, "%sattention: the products of its weights overflow", name)
			}
		}
	}
	return nil
}

// headOf is one head's 96×96 of a (96, heads, 96) kernel.
func headOf(kernel []float32, heads, head int) []float64 {
	out := make([]float64, Width*Width)
	for i := range Width {
		for j := range Width {
			out[i*Width+j] = float64(kernel[(i*heads+head)*Width+j])
		}
	}
	return out
}

// times multiplies a, of rows rows, with the 96×96 matrix b. It is left out of
// race detection: it touches values of its own, millions of times.
//
//go:norace
func times(a, b []float64, rows int) []float64 {
	out := make([]float64, rows*Width)
	for r := range rows {
		o := out[r*Width:][:Width]
		for k, v := range a[r*Width:][:Width] {
			for j, w := range b[k*Width:][:Width] {
				o[j] += v * w
			}
		}
	}
	return out
}

func transpose(a []float64) []float64 {
	out := make([]float64, len(a))
	for i := range Width {
		for j := range Width {
			out[j*Width+i] = a[i*Width+j]
		}
	}
	return out
}

func widen(a []float32) []float64 {
	out := make([]float64, len(a))
	for i, v := range a {
		out[i] = float64(v)
	}
	return out
}

func narrow(a []float64, scale float64) []float32 {
	out := make([]float32, len(a))
	for i, v := range a {
		out[i] = float32(v * scale)
	}
	return out
}

// pack lays a rows×columns matrix out in panels.
func pack(a []float32, rows, columns int) []float32 {
	out := make([]float32, rows*columns)
	for p := range columns / kernel.Panel {
		for r := range rows {
			copy(out[(p*rows+r)*kernel.Panel:][:kernel.Panel], a[r*columns+p*kernel.Panel:])
		}
	}
	return out
}
