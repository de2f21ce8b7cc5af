package main

import (
	"fmt"
	"math"
	"strings"
)

// An isa is what differs between AVX-512 and AVX2.
type isa struct {
	name  string // function suffix
	reg   string // "Z" or "Y"
	lanes int    // float32s a register
	// groups are the rows whose accumulators fit into the registers at once,
	// vecs the registers of columns beside each other.
	groups []int
	vecs   int
}

var (
	avx512 = isa{"AVX512", "Z", 16, []int{14}, 2}
	avx2   = isa{"AVX2", "Y", 8, []int{5, 5, 4}, 2}
)

func amd64() string {
	a := &asm{}
	a.header("")
	for i, c := range coefficients {
		a.data(fmt.Sprintf("exp%d", len(coefficients)-1-i), math.Float32bits(c))
	}
	a.data("least", math.Float32bits(-126))
	a.data("one", math.Float32bits(1))
	a.data("width", math.Float32bits(96))
	a.data("epsilon", math.Float32bits(1e-6))
	for _, s := range []isa{avx512, avx2} {
		a.gemm(s)
		a.softmax(s)
		a.norm(s)
		a.divide(s)
	}
	return a.String()
}

// v is vector register n.
func (s isa) v(n int) string { return fmt.Sprintf("%s%d", s.reg, n) }

// row addresses the given row of a strip: base in base, rows 9 and up from
// base9, stride in R9, and 3, 5 and 7 times the stride in R10, R11 and R12.
func row(i, disp int, base, base9 string) string {
	if i >= 9 {
		base, i = base9, i-9
	}
	index := []string{"", "(R9*1)", "(R9*2)", "(R10*1)", "(R9*4)", "(R11*1)", "(R10*2)", "(R12*1)", "(R9*8)"}[i]
	d := ""
	if disp != 0 {
		d = fmt.Sprint(disp)
	}
	return fmt.Sprintf("%s(%s)%s", d, base, index)
}

// strides fills R10, R11, R12 from R9.
func (a *asm) strides() {
	a.o("LEAQ (R9)(R9*2), R10")
	a.o("LEAQ (R9)(R9*4), R11")
	a.o("LEAQ (R10)(R9*4), R12")
}

// gemm: for each block of columns that the registers hold, for each group of
// rows: initialise, run over K, store.
//
//	DI arguments · R8 C · AX B of the block · BX byte offset of its columns · 0(SP) blocks left
func (a *asm) gemm(s isa) {
	a.text("gemm"+s.name, 16)
	a.o("MOVQ args+0(FP), DI")
	a.o("MOVQ Gemm_LDA(DI), R9")
	a.o("SHLQ $2, R9")
	a.strides()
	a.o("MOVQ Gemm_C(DI), R8")
	a.o("MOVQ Gemm_B(DI), AX")
	a.o("XORQ BX, BX")
	a.o("MOVQ Gemm_Panels(DI), CX")
	a.o("MOVQ CX, 0(SP)")
	next, tail, done := "panel"+s.name, "tail"+s.name, "done"+s.name
	a.at(next)
	a.o("CMPQ 0(SP), $0")
	a.o("JEQ %s", tail)
	bytes := s.vecs * s.lanes * 4
	for half := 0; half < 128/bytes; half++ {
		a.block(s, s.vecs, half*bytes)
		a.o("ADDQ $%d, BX", bytes)
	}
	a.o("MOVQ Gemm_BStride(DI), CX")
	a.o("LEAQ (AX)(CX*4), AX")
	a.o("DECQ 0(SP)")
	a.o("JMP %s", next)
	a.at(tail)
	a.o("CMPQ Gemm_Half(DI), $0")
	a.o("JEQ %s", done)
	a.block(s, 16/s.lanes, 0)
	a.at(done)
	a.o("VZEROUPPER")
	a.o("RET")
}

// block is all rows of vecs registers of columns, boff bytes into the panel.
func (a *asm) block(s isa, vecs, boff int) {
	first := 0
	for _, rows := range s.groups {
		a.tile(s, first, rows, vecs, boff)
		first += rows
	}
}

func (a *asm) tile(s isa, first, rows, vecs, boff int) {
	acc := func(r, j int) string { return s.v(r*vecs + j) }
	size := s.lanes * 4
	b, t := rows*vecs, rows*vecs+vecs
	temp := []string{s.v(t), s.v(t)}
	if t+1 < len("0123456789abcdef")*s.lanes/8 {
		temp[1] = s.v(t + 1)
	}
	a.cRow(first)
	a.initialise(s, first, rows, vecs, acc)
	// A's rows of this group.
	a.o("MOVQ Gemm_A(DI), SI")
	for i := first; i > 0; i -= 8 {
		if i >= 5 {
			a.o("ADDQ R11, SI")
			i += 3
			continue
		}
		for ; i > 0; i-- {
			a.o("ADDQ R9, SI")
		}
	}
	if rows > 9 {
		a.o("LEAQ (SI)(R9*8), R13")
		a.o("ADDQ R9, R13")
	}
	a.o("LEAQ %d(AX), DX", boff)
	step := func(k int) {
		for j := 0; j < vecs; j++ {
			a.o("VMOVUPS %d(DX), %s", k*128+j*size, s.v(b+j))
		}
		for r := 0; r < rows; r++ {
			a.o("VBROADCASTSS %s, %s", row(r, k*4, "SI", "R13"), temp[r%2])
			for j := 0; j < vecs; j++ {
				a.o("VFMADD231PS %s, %s, %s", s.v(b+j), temp[r%2], acc(r, j))
			}
		}
	}
	advance := func(k int) {
		a.o("ADDQ $%d, SI", 4*k)
		if rows > 9 {
			a.o("ADDQ $%d, R13", 4*k)
		}
		a.o("ADDQ $%d, DX", 128*k)
	}
	loop, rest, end := a.label("loop"), a.label("rest"), a.label("end")
	a.o("MOVQ Gemm_K(DI), CX")
	a.o("SUBQ $4, CX")
	a.o("JLT %s", rest)
	a.at(loop)
	for k := 0; k < 4; k++ {
		step(k)
	}
	advance(4)
	a.o("SUBQ $4, CX")
	a.o("JGE %s", loop)
	a.at(rest)
	a.o("ADDQ $4, CX")
	a.o("JEQ %s", end)
	single := a.label("single")
	a.at(single)
	step(0)
	advance(1)
	a.o("DECQ CX")
	a.o("JNE %s", single)
	a.at(end)
	a.store(s, first, rows, vecs, acc, s.v(b))
}

// cRow points SI at C's first row of the group and this block's columns, and CX at its stride.
func (a *asm) cRow(first int) {
	a.o("MOVQ Gemm_LDC(DI), CX")
	a.o("SHLQ $2, CX")
	a.o("LEAQ (R8)(BX*1), SI")
	for range first {
		a.o("ADDQ CX, SI")
	}
}

func (a *asm) initialise(s isa, first, rows, vecs int, acc func(r, j int) string) {
	size := s.lanes * 4
	bias, add, scale, ready := a.label("bias"), a.label("add"), a.label("scale"), a.label("ready")
	a.o("MOVQ Gemm_Mode(DI), R13")
	a.o("CMPQ R13, $1")
	a.o("JEQ %s", bias)
	a.o("CMPQ R13, $2")
	a.o("JEQ %s", add)
	a.o("CMPQ R13, $3")
	a.o("JEQ %s", scale)
	each := func(do func(r, j int)) {
		for r := 0; r < rows; r++ {
			for j := 0; j < vecs; j++ {
				do(r, j)
			}
		}
	}
	each(func(r, j int) {
		x := acc(r, j)
		a.o("VXORPS %s, %s, %s", x, x, x)
	})
	a.o("JMP %s", ready)
	a.at(bias)
	a.o("MOVQ Gemm_Bias(DI), R13")
	each(func(r, j int) {
		if r == 0 {
			a.o("VMOVUPS %d(R13)(BX*1), %s", j*size, acc(r, j))
			return
		}
		a.o("VMOVAPS %s, %s", acc(0, j), acc(r, j))
	})
	a.o("JMP %s", ready)
	a.at(add)
	each(func(r, j int) {
		a.o("VMOVUPS %d(SI), %s", j*size, acc(r, j))
		if j == vecs-1 && r < rows-1 {
			a.o("ADDQ CX, SI")
		}
	})
	a.o("JMP %s", ready)
	a.at(scale)
	a.o("MOVQ Gemm_Scale(DI), R13")
	t := s.v(rows * vecs)
	each(func(r, j int) {
		if j == 0 {
			a.o("VBROADCASTSS %d(R13), %s", 4*(first+r), t)
		}
		a.o("VMULPS %d(SI), %s, %s", j*size, t, acc(r, j))
		if j == vecs-1 && r < rows-1 {
			a.o("ADDQ CX, SI")
		}
	})
	a.at(ready)
}

func (a *asm) store(s isa, first, rows, vecs int, acc func(r, j int) string, zero string) {
	size := s.lanes * 4
	plain := a.label("store")
	a.o("CMPQ Gemm_ReLU(DI), $0")
	a.o("JEQ %s", plain)
	a.o("VXORPS %s, %s, %s", zero, zero, zero)
	for r := 0; r < rows; r++ {
		for j := 0; j < vecs; j++ {
			a.o("VMAXPS %s, %s, %s", acc(r, j), zero, acc(r, j))
		}
	}
	a.at(plain)
	a.cRow(first)
	for r := 0; r < rows; r++ {
		for j := 0; j < vecs; j++ {
			a.o("VMOVUPS %s, %d(SI)", acc(r, j), j*size)
		}
		if r < rows-1 {
			a.o("ADDQ CX, SI")
		}
	}
}

// exp2 replaces register x, which is ≤ 0, by 2^x; n, f and p are scratch. The
// coefficients stand in registers first, first+1, … highest power first, and
// for AVX2 the least exponent after them.
func (a *asm) exp2(s isa, x, n, p, first int) {
	X, N, P := s.v(x), s.v(n), s.v(p)
	if s.lanes == 16 {
		a.o("VRNDSCALEPS $8, %s, %s", X, N)
	} else {
		a.o("VMAXPS %s, %s, %s", s.v(first+6), X, X)
		a.o("VROUNDPS $0, %s, %s", X, N)
	}
	a.o("VSUBPS %s, %s, %s", N, X, X)
	a.o("VMOVAPS %s, %s", s.v(first), P)
	for c := 1; c < 6; c++ {
		a.o("VFMADD213PS %s, %s, %s", s.v(first+c), X, P)
	}
	if s.lanes == 16 {
		a.o("VSCALEFPS %s, %s, %s", N, P, X)
		return
	}
	a.o("VCVTPS2DQ %s, %s", N, N)
	a.o("VPSLLD $23, %s, %s", N, N)
	a.o("VPADDD %s, %s, %s", N, P, X)
}

// fold leaves the result of op over all lanes of register r in every lane of its low X register.
func (a *asm) fold(s isa, op string, r, t int) {
	if s.lanes == 16 {
		a.o("VEXTRACTF64X4 $1, Z%d, Y%d", r, t)
		a.o("%s Y%d, Y%d, Y%d", op, t, r, r)
	}
	a.o("VEXTRACTF128 $1, Y%d, X%d", r, t)
	a.o("%s X%d, X%d, X%d", op, t, r, r)
	a.o("VPERMILPS $0x4e, X%d, X%d", r, t)
	a.o("%s X%d, X%d, X%d", op, t, r, r)
	a.o("VPERMILPS $0xb1, X%d, X%d", r, t)
	a.o("%s X%d, X%d, X%d", op, t, r, r)
}

// softmax: SI row · R8 Max · R9 Sum · R10 Corr · CX row count · R11 row stride · R12 bytes a row.
func (a *asm) softmax(s isa) {
	const c = 0 // coefficients in registers 0–5, the least exponent in 6
	a.text("softmax"+s.name, 0)
	a.o("MOVQ args+0(FP), DI")
	a.o("MOVQ Softmax_S(DI), SI")
	a.o("MOVQ Softmax_Max(DI), R8")
	a.o("MOVQ Softmax_Sum(DI), R9")
	a.o("MOVQ Softmax_Corr(DI), R10")
	a.o("MOVQ Softmax_LDS(DI), R11")
	a.o("SHLQ $2, R11")
	a.o("MOVQ Softmax_N(DI), R12")
	a.o("SHLQ $2, R12")
	for i := 0; i < 6; i++ {
		a.o("VBROADCASTSS ·exp%d<>(SB), %s", 5-i, s.v(c+i))
	}
	a.o("VBROADCASTSS ·least<>(SB), %s", s.v(6))
	a.o("MOVQ $14, CX")
	size := s.lanes * 4
	rowLoop, top, exps := "row"+s.name, "top"+s.name, "exps"+s.name
	a.at(rowLoop)
	a.o("VBROADCASTSS (R8), %s", s.v(7)) // the old maximum
	a.o("VMOVAPS %s, %s", s.v(7), s.v(8))
	a.o("VMOVAPS %s, %s", s.v(7), s.v(9))
	a.o("XORQ DX, DX")
	step := 64 // bytes a turn: 16 scores
	a.at(top)
	for j := 0; j < step/size; j++ {
		a.o("VMAXPS %d(SI)(DX*1), %s, %s", j*size, s.v(8+j%2), s.v(8+j%2))
	}
	a.o("ADDQ $%d, DX", step)
	a.o("CMPQ DX, R12")
	a.o("JLT %s", top)
	a.o("VMAXPS %s, %s, %s", s.v(8), s.v(9), s.v(8))
	a.fold(s, "VMAXPS", 8, 9)
	a.o("VMOVSS X8, (R8)")
	a.o("VBROADCASTSS X8, %s", s.v(8)) // the new maximum
	a.o("VSUBPS %s, %s, %s", s.v(8), s.v(7), s.v(7))
	a.exp2(s, 7, 10, 11, c) // the correction
	a.o("VMOVSS X7, (R10)")
	a.o("VXORPS %s, %s, %s", s.v(9), s.v(9), s.v(9)) // the sum
	a.o("XORQ DX, DX")
	a.at(exps)
	for j := 0; j < step/size; j++ {
		x := 12
		if j%2 == 1 {
			x = 15
		}
		a.o("VMOVUPS %d(SI)(DX*1), %s", j*size, s.v(x))
		a.o("VSUBPS %s, %s, %s", s.v(8), s.v(x), s.v(x))
		if j%2 == 0 {
			a.exp2(s, x, 13, 14, c)
		} else {
			a.exp2(s, x, 10, 11, c)
		}
		a.o("VMOVUPS %s, %d(SI)(DX*1)", s.v(x), j*size)
		a.o("VADDPS %s, %s, %s", s.v(x), s.v(9), s.v(9))
	}
	a.o("ADDQ $%d, DX", step)
	a.o("CMPQ DX, R12")
	a.o("JLT %s", exps)
	a.fold(s, "VADDPS", 9, 10)
	a.o("VMOVSS (R9), X10")
	a.o("VFMADD231SS X7, X10, X9")
	a.o("VMOVSS X9, (R9)")
	a.o("ADDQ R11, SI")
	a.o("ADDQ $4, R8")
	a.o("ADDQ $4, R9")
	a.o("ADDQ $4, R10")
	a.o("DECQ CX")
	a.o("JNE %s", rowLoop)
	a.o("VZEROUPPER")
	a.o("RET")
}

// norm keeps a row in registers: 6 of AVX-512, 12 of AVX2.
func (a *asm) norm(s isa) {
	n, size := 96/s.lanes, s.lanes*4
	t1, t2, t3 := n, n+1, n+2
	a.text("norm"+s.name, 0)
	a.o("MOVQ args+0(FP), DI")
	for i, f := range strings.Fields("Dst X R Gamma Beta") {
		a.o("MOVQ Norm_%s(DI), %s", f, []string{"R8", "SI", "R9", "R10", "R11"}[i])
	}
	a.o("MOVQ $14, CX")
	loop := "norm" + s.name + "row"
	a.at(loop)
	a.o("VXORPS %s, %s, %s", s.v(t1), s.v(t1), s.v(t1))
	for i := 0; i < n; i++ {
		a.o("VMOVUPS %d(SI), %s", i*size, s.v(i))
		a.o("VADDPS %d(R9), %s, %s", i*size, s.v(i), s.v(i))
		a.o("VADDPS %s, %s, %s", s.v(i), s.v(t1), s.v(t1))
	}
	a.fold(s, "VADDPS", t1, t2)
	a.o("VDIVSS ·width<>(SB), X%d, X%d", t1, t1)
	a.o("VBROADCASTSS X%d, %s", t1, s.v(t1))
	a.o("VXORPS %s, %s, %s", s.v(t2), s.v(t2), s.v(t2))
	for i := 0; i < n; i++ {
		a.o("VSUBPS %s, %s, %s", s.v(t1), s.v(i), s.v(i))
		a.o("VFMADD231PS %s, %s, %s", s.v(i), s.v(i), s.v(t2))
	}
	a.fold(s, "VADDPS", t2, t3)
	a.o("VDIVSS ·width<>(SB), X%d, X%d", t2, t2)
	a.o("VADDSS ·epsilon<>(SB), X%d, X%d", t2, t2)
	a.o("VSQRTSS X%d, X%d, X%d", t2, t2, t2)
	a.o("VMOVSS ·one<>(SB), X%d", t1)
	a.o("VDIVSS X%d, X%d, X%d", t2, t1, t1)
	a.o("VBROADCASTSS X%d, %s", t1, s.v(t1))
	for i := 0; i < n; i++ {
		a.o("VMULPS %s, %s, %s", s.v(t1), s.v(i), s.v(i))
		a.o("VMOVUPS %d(R11), %s", i*size, s.v(t2))
		a.o("VFMADD132PS %d(R10), %s, %s", i*size, s.v(t2), s.v(i))
		a.o("VMOVUPS %s, %d(R8)", s.v(i), i*size)
	}
	for _, r := range []string{"SI", "R8", "R9"} {
		a.o("ADDQ $384, %s", r)
	}
	a.o("DECQ CX")
	a.o("JNE %s", loop)
	a.o("VZEROUPPER")
	a.o("RET")
}

func (a *asm) divide(s isa) {
	size := s.lanes * 4
	a.text("divide"+s.name, 0)
	a.o("MOVQ args+0(FP), DI")
	a.o("MOVQ Divide_X(DI), SI")
	a.o("MOVQ Divide_Sum(DI), R8")
	a.o("MOVQ $14, CX")
	loop := "divide" + s.name + "row"
	a.at(loop)
	a.o("VMOVSS ·one<>(SB), X0")
	a.o("VDIVSS (R8), X0, X0")
	a.o("VBROADCASTSS X0, %s", s.v(0))
	for i := 0; i < 96/s.lanes; i++ {
		a.o("VMULPS %d(SI), %s, %s", i*size, s.v(0), s.v(1))
		a.o("VMOVUPS %s, %d(SI)", s.v(1), i*size)
	}
	a.o("ADDQ $384, SI")
	a.o("ADDQ $4, R8")
	a.o("DECQ CX")
	a.o("JNE %s", loop)
	a.o("VZEROUPPER")
	a.o("RET")
}
