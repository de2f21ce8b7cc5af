package kernel

import "math"

// The scalar kernels are left out of race detection, as the assembly is: they
// touch only what they are given, and would take minutes under it.

//go:norace
func gemmScalar(g *Gemm) {
	for col := 0; col < g.columns(); col += Panel / 2 {
		b := g.B[col/Panel*g.BStride+col%Panel:]
		for row := range Rows {
			var acc [Panel / 2]float32
			c := g.C[row*g.LDC+col:][:Panel/2]
			switch g.Mode {
			case AddBias:
				copy(acc[:], g.Bias[col:])
			case Accumulate:
				copy(acc[:], c)
			case Rescale:
				for j, v := range c {
					acc[j] = v * g.Scale[row]
				}
			}
			for k, a := range g.A[row*g.LDA:][:g.K] {
				for j, v := range b[k*Panel:][:Panel/2] {
					acc[j] += a * v
				}
			}
			if g.ReLU != 0 {
				for j := range acc {
					acc[j] = max(acc[j], 0)
				}
			}
			copy(c, acc[:])
		}
	}
}

//go:norace
func softmaxScalar(s *Softmax) {
	for row := range Rows {
		scores := s.S[row*s.LDS:][:s.N]
		top := s.Max[row]
		for _, v := range scores {
			top = max(top, v)
		}
		corr := exp2(s.Max[row] - top)
		sum := s.Sum[row] * corr
		for i, v := range scores {
			scores[i] = exp2(v - top)
			sum += scores[i]
		}
		s.Max[row], s.Sum[row], s.Corr[row] = top, sum, corr
	}
}

// The coefficients of a minimax polynomial for 2^f, −½ ≤ f ≤ ½, least relative
// error: 1.5e-7 with the coefficients in float32.
const (
	exp0   = 1.0000000716554107
	exp1   = 0.693146967065632
	exp2nd = 0.2402211972040088
	exp3   = 0.05550713270536939
	exp4   = 0.009675541516736476
	exp5   = 0.0013276473430396765
)

// exp2 is 2^x for x ≤ 0.
//
//go:norace
func exp2(x float32) float32 {
	x = max(x, -126)
	n := float32(math.RoundToEven(float64(x)))
	f := x - n
	p := float32(exp5)
	p = p*f + exp4
	p = p*f + exp3
	p = p*f + exp2nd
	p = p*f + exp1
	p = p*f + exp0
	return math.Float32frombits(math.Float32bits(p) + uint32(int32(n))<<23)
}

//go:norace
func normScalar(n *Norm) {
	for row := 0; row < Rows*Width; row += Width {
		var z [Width]float32
		sum := float32(0)
		for i := range z {
			z[i] = n.X[row+i] + n.R[row+i]
			sum += z[i]
		}
		mean, squares := sum/Width, float32(0)
		for i := range z {
			z[i] -= mean
			squares += z[i] * z[i]
		}
		inverse := float32(1 / math.Sqrt(float64(squares/Width+epsilon)))
		for i := range z {
			n.Dst[row+i] = z[i]*inverse*n.Gamma[i] + n.Beta[i]
		}
	}
}

func divideScalar(d *Divide) {
	for row := range Rows {
		inverse := 1 / d.Sum[row]
		for i := range Width {
			d.X[row*Width+i] *= inverse
		}
	}
}
