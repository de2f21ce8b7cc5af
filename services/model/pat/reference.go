package pat

import (
	"fmt"
	"math"
)

// A Reference is the forward pass as the paper writes it, in float64, one step
// after the other: slow, and easy to check.
type Reference struct {
	config  Config
	weights map[string][]float64
}

// NewReference makes the plain forward pass of checked weights.
func NewReference(c Config, w Weights) (*Reference, error) {
	if err := w.Check(c); err != nil {
		return nil, err
	}
	r := &Reference{c, map[string][]float64{}}
	for name, t := range w {
		wide := make([]float64, len(t.Data))
		for i, v := range t.Data {
			wide[i] = float64(v)
		}
		r.weights[name] = wide
	}
	return r, nil
}

// Tokens encodes a week of standardised minutes, and returns what the last
// layer attends to: for each token the attention it receives from all tokens,
// averaged over the heads. rowError is the largest deviation of an attention
// row's sum from 1.
func (r *Reference) Tokens(z []float64) (tokens, attention []float64, rowError float64) {
	n := r.config.Tokens()
	h := r.affine(z[:n*r.config.Patch], n, "dense")
	for i, p := range positional(n) {
		h[i] += p
	}
	for i := 1; i <= r.config.Layers; i++ {
		layer := fmt.Sprintf("encoder_layer_%d_", i)
		var worst float64
		attention, worst = make([]float64, n), 0
		out := r.attend(h, n, layer+"attention/", attention, &worst)
		rowError = max(rowError, worst)
		y := r.norm(add(h, out), layer+"norm1")
		f := r.affine(y, n, layer+"ff1")
		for j := range f {
			f[j] = max(f[j], 0)
		}
		h = r.norm(add(y, r.affine(f, n, layer+"ff2")), layer+"norm2")
	}
	return h, attention, rowError
}

func add(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

// affine is x·kernel + bias, x of n rows.
//
//go:norace
func (r *Reference) affine(x []float64, n int, name string) []float64 {
	kernel, bias := r.weights[name+"/kernel"], r.weights[name+"/bias"]
	in, wide := len(x)/n, len(bias)
	out := make([]float64, n*wide)
	for row := range n {
		o := out[row*wide:][:wide]
		copy(o, bias)
		for i, v := range x[row*in:][:in] {
			for j, k := range kernel[i*wide:][:wide] {
				o[j] += v * k
			}
		}
	}
	return out
}

// attend is left out of race detection like affine: it works on values of its own, for seconds.
//
//go:norace
func (r *Reference) attend(h []float64, n int, name string, received []float64, worst *float64) []float64 {
	wide := r.config.Heads * Width
	q, k, v := r.affine(h, n, name+"query"), r.affine(h, n, name+"key"), r.affine(h, n, name+"value")
	mixed, p := make([]float64, n*wide), make([]float64, n)
	for head := range r.config.Heads {
		for row := range n {
			at := func(x []float64, i int) []float64 { return x[i*wide+head*Width:][:Width] }
			query, top, total := at(q, row), math.Inf(-1), 0.0
			for i := range p {
				s := 0.0
				for j, key := range at(k, i) {
					s += query[j] * key
				}
				p[i] = s / math.Sqrt(Width)
				top = max(top, p[i])
			}
			for i := range p {
				p[i] = math.Exp(p[i] - top)
				total += p[i]
			}
			sum, out := 0.0, at(mixed, row)
			for i := range p {
				p[i] /= total
				sum += p[i]
				received[i] += p[i] / float64(r.config.Heads)
				for j, value := range at(v, i) {
					out[j] += p[i] * value
				}
			}
			*worst = max(*worst, math.Abs(sum-1))
		}
	}
	return r.affine(mixed, n, name+"attention_output")
}

func (r *Reference) norm(x []float64, name string) []float64 {
	gamma, beta := r.weights[name+"/gamma"], r.weights[name+"/beta"]
	for row := 0; row < len(x); row += Width {
		z, mean, squares := x[row:row+Width], 0.0, 0.0
		for _, v := range z {
			mean += v / Width
		}
		for _, v := range z {
			squares += (v - mean) * (v - mean) / Width
		}
		for i, v := range z {
			z[i] = (v-mean)/math.Sqrt(squares+1e-6)*gamma[i] + beta[i]
		}
	}
	return x
}

// Pooled is the mean of tokens.
func Pooled(tokens []float64) []float64 {
	out := make([]float64, Width)
	n := float64(len(tokens) / Width)
	for i, v := range tokens {
		out[i%Width] += v / n
	}
	return out
}

// Sleep is the sleep head on each token: the estimated fraction of its minutes asleep.
func (r *Reference) Sleep(tokens []float64) []float64 {
	out := r.affine(tokens, len(tokens)/Width, "head_sleep")
	for i, v := range out {
		out[i] = 1 / (1 + math.Exp(-v))
	}
	return out
}

// Week is the week head on the embedding.
func (r *Reference) Week(embedding []float64) []float64 {
	mid := r.affine(embedding, 1, "head_week_1")
	for i := range mid {
		mid[i] = max(mid[i], 0)
	}
	return r.affine(mid, 1, "head_week_2")
}
