package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func noise(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32()*2 - 1
	}
	return x
}

func far(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tolerance*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// product is the definition, in float64.
func product(g Gemm) []float32 {
	out := append([]float32(nil), g.C...)
	for r := range Rows {
		for c := range g.columns() {
			sum := 0.0
			switch g.Mode {
			case AddBias:
				sum = float64(g.Bias[c])
			case Accumulate:
				sum = float64(g.C[r*g.LDC+c])
			case Rescale:
				sum = float64(g.C[r*g.LDC+c]) * float64(g.Scale[r])
			}
			for k := range g.K {
				sum += float64(g.A[r*g.LDA+k]) * float64(g.B[c/Panel*g.BStride+k*Panel+c%Panel])
			}
			if g.ReLU != 0 {
				sum = max(sum, 0)
			}
			out[r*g.LDC+c] = float32(sum)
		}
	}
	return out
}

func TestEachKernelMultiplies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range All() {
		for _, depth := range []int{1, 3, 4, 9, 18, 80, 96, 160, 256} {
			for _, shape := range [][2]int{{1, 0}, {0, 1}, {3, 0}, {2, 1}, {5, 0}} {
				for mode := Overwrite; mode <= Rescale; mode++ {
					g := Gemm{K: depth, LDA: depth + 5, LDC: 171, BStride: depth*Panel + 32, Panels: shape[0], Half: shape[1],
						Mode: mode, ReLU: depth % 2}
					g.A, g.B = noise(r, Rows*g.LDA), noise(r, 6*g.BStride)
					g.C, g.Bias, g.Scale = noise(r, Rows*g.LDC), noise(r, g.columns()), noise(r, Rows)
					want := product(g)
					k.Gemm(&g)
					far(t, fmt.Sprintf("%s, K %d, %v panels, mode %d", k.Name(), depth, shape, mode), g.C, want, 1e-5)
				}
			}
		}
	}
}

func TestEachKernelTakesSoftmaxSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const lds = 176
	for _, k := range All() {
		top, sum, corr := make([]float32, Rows), make([]float32, Rows), make([]float32, Rows)
		var all [Rows][]float64
		for i := range top {
			top[i] = NoMax
		}
		for _, n := range []int{160, 16, 80, 176} {
			s := Softmax{S: noise(r, Rows*lds), Max: top, Sum: sum, Corr: corr, LDS: lds, N: n}
			for i := range s.S {
				s.S[i] *= float32(40 + n)
			}
			before := append([]float32(nil), top...)
			for i := range all {
				for _, v := range s.S[i*lds:][:n] {
					all[i] = append(all[i], float64(v))
				}
			}
			raw := append([]float32(nil), s.S...)
			k.Softmax(&s)
			for i := range all {
				m, total := math.Inf(-1), 0.0
				for _, v := range all[i] {
					m = max(m, v)
				}
				for _, v := range all[i] {
					total += math.Exp2(v - m)
				}
				far(t, k.Name()+" maximum", top[i:i+1], []float32{float32(m)}, 0)
				far(t, k.Name()+" sum", sum[i:i+1], []float32{float32(total)}, 1e-6)
				far(t, k.Name()+" correction", corr[i:i+1], []float32{float32(math.Exp2(float64(before[i]) - m))}, 1e-6)
				for j, v := range raw[i*lds:][:n] {
					far(t, k.Name()+" exponential", s.S[i*lds+j:][:1], []float32{float32(math.Exp2(float64(v) - m))}, 1e-6)
				}
				far(t, k.Name()+" beyond the row", s.S[i*lds+n:(i+1)*lds], raw[i*lds+n:(i+1)*lds], 0)
			}
		}
	}
}

func TestEachKernelNormalisesAndDivides(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	scalar, err := Choose("scalar")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range All() {
		n := Norm{Dst: make([]float32, Rows*Width), X: noise(r, Rows*Width), R: noise(r, Rows*Width), Gamma: noise(r, Width), Beta: noise(r, Width)}
		want := n
		want.Dst = make([]float32, Rows*Width)
		for row := range Rows {
			mean, squares := 0.0, 0.0
			for i := range Width {
				mean += float64(n.X[row*Width+i]+n.R[row*Width+i]) / Width
			}
			for i := range Width {
				squares += math.Pow(float64(n.X[row*Width+i]+n.R[row*Width+i])-mean, 2) / Width
			}
			for i := range Width {
				z := (float64(n.X[row*Width+i]+n.R[row*Width+i]) - mean) / math.Sqrt(squares+epsilon)
				want.Dst[row*Width+i] = float32(z*float64(n.Gamma[i]) + float64(n.Beta[i]))
			}
		}
		k.Norm(&n)
		far(t, k.Name()+" norm", n.Dst, want.Dst, 1e-5)

		d := Divide{X: noise(r, Rows*Width), Sum: noise(r, Rows)}
		byScalar := Divide{X: append([]float32(nil), d.X...), Sum: d.Sum}
		scalar.Divide(&byScalar)
		k.Divide(&d)
		far(t, k.Name()+" divide", d.X, byScalar.X, 1e-6)
	}
}

// A slice that is too short is a fault of the caller's, never a write outside it.
func TestShortSlicesPanic(t *testing.T) {
	good := func() Gemm {
		return Gemm{C: make([]float32, Rows*32), A: make([]float32, Rows*8), B: make([]float32, 8*Panel), LDC: 32, LDA: 8, K: 8, BStride: 8 * Panel, Panels: 1}
	}
	tests := map[string]func(g *Gemm){
		"C one short":                 func(g *Gemm) { g.C = g.C[1:] },
		"A one short":                 func(g *Gemm) { g.A = g.A[1:] },
		"B one short":                 func(g *Gemm) { g.B = g.B[1:] },
		"no columns":                  func(g *Gemm) { g.Panels = 0 },
		"negative depth":              func(g *Gemm) { g.K = -1 },
		"bias missing":                func(g *Gemm) { g.Mode = AddBias },
		"scale missing":               func(g *Gemm) { g.Mode = Rescale },
		"rows of C overlap":           func(g *Gemm) { g.LDC = 16 },
		"a half panel beyond B's end": func(g *Gemm) { g.Half = 1; g.LDC = 48; g.C = make([]float32, Rows*48) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			g := good()
			spoil(&g)
			All()[0].Gemm(&g)
		})
	}
}

func TestChoose(t *testing.T) {
	if _, err := Choose("abacus"); err == nil {
		t.Error("chose a kernel that is not there")
	}
	k, err := Choose("")
	if err != nil || k.Name() != All()[0].Name() {
		t.Errorf("the default is %v, %v; want the fastest", k.Name(), err)
	}
}

func BenchmarkGemm(b *testing.B) {
	for _, k := range All() {
		for _, depth := range []int{96, 160} {
			panels := 160 / Panel
			if depth == 160 {
				panels = 3
			}
			r := rand.New(rand.NewPCG(1, 2))
			g := Gemm{K: depth, LDA: depth, LDC: 160, BStride: depth * Panel, Panels: panels}
			g.A, g.B, g.C = noise(r, Rows*g.LDA), noise(r, panels*g.BStride), noise(r, Rows*g.LDC)
			b.Run(fmt.Sprintf("%s/K%d", k.Name(), depth), func(b *testing.B) {
				for b.Loop() {
					k.Gemm(&g)
				}
				b.ReportMetric(float64(2*Rows*depth*panels*Panel)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}

func BenchmarkSoftmax(b *testing.B) {
	for _, k := range All() {
		s := Softmax{S: noise(rand.New(rand.NewPCG(1, 2)), Rows*160), Max: make([]float32, Rows), Sum: make([]float32, Rows), Corr: make([]float32, Rows), LDS: 160, N: 160}
		b.Run(k.Name(), func(b *testing.B) {
			for b.Loop() {
				k.Softmax(&s)
			}
		})
	}
}
