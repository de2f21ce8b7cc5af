// Package kernel is the arithmetic of the PAT encoder on strips of Rows rows:
// matrix products against packed panels, one step of an online softmax, layer
// normalisation. There is one set of functions for each instruction set and a
// scalar one that every machine has; all compute the same thing.
//
// Matrices are row-major float32. The right-hand side of a product is packed:
// Panel columns side by side, one row after the other, panel after panel.
package kernel

import (
	"fmt"
	"slices"
)

// Rows and Panel are the shape that every kernel works in: strips of Rows rows
// against panels of Panel columns.
const (
	Rows  = 14
	Panel = 32
	Width = 96 // of a layer-normalised row
)

// A Mode says what a product is added to.
type Mode int

// The modes of Gemm.
const (
	Overwrite  Mode = iota // C = A·B
	AddBias                // C = A·B + Bias, the same for each row
	Accumulate             // C = A·B + C
	Rescale                // C = A·B + Scale[row]·C
)

// A Gemm is a product of a strip with packed panels.
type Gemm struct {
	C []float32 // Rows × columns, LDC apart
	A []float32 // Rows × K, LDA apart
	B []float32 // panels of K × Panel, BStride apart
	// Bias has a value a column; Scale one a row.
	Bias, Scale          []float32
	LDC, LDA, K, BStride int
	// Panels is how many whole panels there are; Half adds 16 columns of one more.
	Panels, Half int
	Mode         Mode
	// ReLU, if not 0, replaces negative results by 0.
	ReLU int
}

func (g *Gemm) columns() int { return g.Panels*Panel + g.Half*Panel/2 }

// check keeps the vector kernels inside their slices.
func (g *Gemm) check() {
	cols, last := g.columns(), g.Panels-1+g.Half
	if cols <= 0 || g.K <= 0 || g.Half>>1 != 0 || g.LDC < cols || g.LDA < 0 || g.BStride < g.K*Panel {
		panic("kernel: malformed product")
	}
	_ = g.C[(Rows-1)*g.LDC+cols-1]
	_ = g.A[(Rows-1)*g.LDA+g.K-1]
	_ = g.B[last*g.BStride+g.K*Panel-1]
	switch g.Mode {
	case AddBias:
		_ = g.Bias[cols-1]
	case Rescale:
		_ = g.Scale[Rows-1]
	}
}

// A Softmax is one step of an online softmax over a strip of scores, which are
// already in units of log2.
type Softmax struct {
	// S holds N scores a row, LDS apart; they become 2^(score−Max).
	S []float32
	// Max and Sum are the running maximum and sum of each row; start them with
	// NoMax and 0. Corr receives what earlier sums must be multiplied by.
	Max, Sum, Corr []float32
	LDS, N         int
}

// NoMax is the maximum of a row that has not begun.
const NoMax = float32(-1e30)

func (s *Softmax) check() {
	if s.N <= 0 || s.N%16 != 0 || s.LDS < s.N {
		panic("kernel: malformed softmax")
	}
	_ = s.S[(Rows-1)*s.LDS+s.N-1]
	_, _, _ = s.Max[Rows-1], s.Sum[Rows-1], s.Corr[Rows-1]
}

// A Norm is a residual sum and its layer normalisation: Dst = norm(X+R)·Gamma+Beta,
// Rows rows of Width values without gaps.
type Norm struct {
	Dst, X, R, Gamma, Beta []float32
}

// epsilon is Keras' in the published model.
const epsilon = 1e-6

func (n *Norm) check() {
	_, _, _ = n.Dst[Rows*Width-1], n.X[Rows*Width-1], n.R[Rows*Width-1]
	_, _ = n.Gamma[Width-1], n.Beta[Width-1]
}

// A Divide divides each of Rows rows of Width values by its Sum.
type Divide struct {
	X, Sum []float32
}

func (d *Divide) check() { _, _ = d.X[Rows*Width-1], d.Sum[Rows-1] }

// A Kernel is one implementation.
type Kernel struct {
	name    string
	gemm    func(*Gemm)
	softmax func(*Softmax)
	norm    func(*Norm)
	divide  func(*Divide)
}

// Name is "avx512", "avx2", "neon" or "scalar".
func (k *Kernel) Name() string { return k.name }

// Gemm multiplies.
func (k *Kernel) Gemm(g *Gemm) { g.check(); k.gemm(g) }

// Softmax takes one step.
func (k *Kernel) Softmax(s *Softmax) { s.check(); k.softmax(s) }

// Norm adds and normalises.
func (k *Kernel) Norm(n *Norm) { n.check(); k.norm(n) }

// Divide divides.
func (k *Kernel) Divide(d *Divide) { d.check(); k.divide(d) }

// All are the kernels that this machine can run, the fastest first; the last is the scalar one.
func All() []*Kernel {
	return append(vector(), &Kernel{"scalar", gemmScalar, softmaxScalar, normScalar, divideScalar})
}

// Choose is the named kernel, or the fastest for "".
func Choose(name string) (*Kernel, error) {
	all := All()
	if name == "" {
		return all[0], nil
	}
	if i := slices.IndexFunc(all, func(k *Kernel) bool { return k.name == name }); i >= 0 {
		return all[i], nil
	}
	return nil, fmt.Errorf("choose kernel %q: this machine has no such kernel", name)
}
