package main

import (
	"fmt"
	"math"
	"strings"
)

// w writes an instruction that Go's assembler has no name for.
func (a *asm) w(comment string, code uint32) { a.o("WORD $0x%08x // %s", code, comment) }

// three writes a vector instruction of three float registers.
func (a *asm) three(name string, base uint32, d, n, m int) {
	a.w(fmt.Sprintf("%s V%d.4S, V%d.4S, V%d.4S", name, d, n, m), base|uint32(m)<<16|uint32(n)<<5|uint32(d))
}

func (a *asm) fadd(d, n, m int)  { a.three("FADD", 0x4e20d400, d, n, m) }
func (a *asm) fsub(d, n, m int)  { a.three("FSUB", 0x4ea0d400, d, n, m) }
func (a *asm) fmul(d, n, m int)  { a.three("FMUL", 0x6e20dc00, d, n, m) }
func (a *asm) fdiv(d, n, m int)  { a.three("FDIV", 0x6e20fc00, d, n, m) }
func (a *asm) fmax(d, n, m int)  { a.three("FMAX", 0x4e20f400, d, n, m) }
func (a *asm) faddp(d, n, m int) { a.three("FADDP", 0x6e20d400, d, n, m) }
func (a *asm) iadd(d, n, m int)  { a.three("ADD", 0x4ea08400, d, n, m) }

// two writes a vector instruction of two registers.
func (a *asm) two(name string, base uint32, d, n int) {
	a.w(fmt.Sprintf("%s V%d, V%d", name, d, n), base|uint32(n)<<5|uint32(d))
}

// fmla is d += n·m; lane takes one lane of m.
func (a *asm) fmla(d, n, m int) { a.o("VFMLA V%d.S4, V%d.S4, V%d.S4", m, n, d) }

func (a *asm) lane(d, n, m, k int) {
	a.w(fmt.Sprintf("FMLA V%d.4S, V%d.4S, V%d.S[%d]", d, n, m, k),
		0x4f801000|uint32(k&1)<<21|uint32(k>>1)<<11|uint32(m)<<16|uint32(n)<<5|uint32(d))
}

func (a *asm) zero(v int)      { a.o("VEOR V%d.B16, V%d.B16, V%d.B16", v, v, v) }
func (a *asm) move(to, of int) { a.o("VMOV V%d.B16, V%d.B16", of, to) }

// every loads a constant into all lanes.
func (a *asm) every(name string, v int) {
	a.o("MOVD $·%s<>(SB), R15", name)
	a.o("VLD1R (R15), [V%d.S4]", v)
}

// list is n registers from v on.
func list(v, n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("V%d.S4", v+i))
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func arm64() string {
	a := &asm{}
	a.header("")
	for i, c := range coefficients {
		a.data(fmt.Sprintf("exp%d", len(coefficients)-1-i), math.Float32bits(c))
	}
	a.data("least", math.Float32bits(-126))
	a.data("one", math.Float32bits(1))
	a.data("width", math.Float32bits(96))
	a.data("epsilon", math.Float32bits(1e-6))
	a.gemmNEON()
	a.softmaxNEON()
	a.normNEON()
	a.divideNEON()
	return a.String()
}

// gemmNEON: R0 arguments · R1 LDA · R14 LDC, bytes · R2 C · R3 B of the panel ·
// R4 byte offset of the columns · R5 panels left · R6–R10 rows of A · R11 B · R12 K · R13 row of C.
func (a *asm) gemmNEON() {
	a.text("gemmNEON", 0)
	a.o("MOVD args+0(FP), R0")
	a.o("MOVD Gemm_LDA(R0), R1")
	a.o("LSL $2, R1, R1")
	a.o("MOVD Gemm_LDC(R0), R14")
	a.o("LSL $2, R14, R14")
	a.o("MOVD Gemm_C(R0), R2")
	a.o("MOVD Gemm_B(R0), R3")
	a.o("MOVD $0, R4")
	a.o("MOVD Gemm_Panels(R0), R5")
	a.at("panel")
	a.o("CBZ R5, tail")
	for half := range 2 {
		a.blockNEON(half * 64)
		a.o("ADD $64, R4, R4")
	}
	a.o("MOVD Gemm_BStride(R0), R15")
	a.o("ADD R15<<2, R3, R3")
	a.o("SUB $1, R5, R5")
	a.o("B panel")
	a.at("tail")
	a.o("MOVD Gemm_Half(R0), R15")
	a.o("CBZ R15, done")
	a.blockNEON(0)
	a.at("done")
	a.o("RET")
}

func (a *asm) blockNEON(boff int) {
	first := 0
	for _, rows := range []int{5, 5, 4} {
		a.tileNEON(first, rows, boff)
		first += rows
	}
}

// tileNEON keeps rows × 16 sums in V0–V19; V20–V23 are a row of B, V24–V28 are A.
func (a *asm) tileNEON(first, rows, boff int) {
	acc := func(r, j int) int { return 4*r + j }
	a.rowNEON(first)
	a.initialiseNEON(first, rows)
	a.o("MOVD Gemm_A(R0), R6")
	a.o("MOVD $%d, R15", first)
	a.o("MUL R1, R15, R15")
	a.o("ADD R15, R6, R6")
	for r := 1; r < rows; r++ {
		a.o("ADD R1, R%d, R%d", 5+r, 6+r)
	}
	a.o("ADD $%d, R3, R11", boff)
	a.o("MOVD Gemm_K(R0), R12")
	loop, rest, single, end := a.label("loop"), a.label("rest"), a.label("single"), a.label("end")
	a.at(loop)
	a.o("SUBS $4, R12, R12")
	a.o("BLT %s", rest)
	for r := range rows {
		a.o("VLD1.P 16(R%d), [V%d.S4]", 6+r, 24+r)
	}
	for k := range 4 {
		a.o("VLD1 (R11), %s", list(20, 4))
		a.o("ADD $128, R11, R11")
		for r := range rows {
			for j := range 4 {
				a.lane(acc(r, j), 20+j, 24+r, k)
			}
		}
	}
	a.o("B %s", loop)
	a.at(rest)
	a.o("ADDS $4, R12, R12")
	a.o("BEQ %s", end)
	a.at(single)
	a.o("VLD1 (R11), %s", list(20, 4))
	a.o("ADD $128, R11, R11")
	for r := range rows {
		a.o("VLD1R (R%d), [V24.S4]", 6+r)
		a.o("ADD $4, R%d, R%d", 6+r, 6+r)
		for j := range 4 {
			a.fmla(acc(r, j), 20+j, 24)
		}
	}
	a.o("SUBS $1, R12, R12")
	a.o("BNE %s", single)
	a.at(end)
	plain := a.label("store")
	a.o("MOVD Gemm_ReLU(R0), R15")
	a.o("CBZ R15, %s", plain)
	a.zero(24)
	for i := range 4 * rows {
		a.fmax(i, i, 24)
	}
	a.at(plain)
	a.rowNEON(first)
	for r := range rows {
		a.o("VST1 %s, (R13)", list(acc(r, 0), 4))
		a.o("ADD R14, R13, R13")
	}
}

// rowNEON points R13 at C's row and this block's columns.
func (a *asm) rowNEON(first int) {
	a.o("MOVD $%d, R15", first)
	a.o("MUL R14, R15, R15")
	a.o("ADD R2, R15, R13")
	a.o("ADD R4, R13, R13")
}

func (a *asm) initialiseNEON(first, rows int) {
	bias, add, scale, ready := a.label("bias"), a.label("add"), a.label("scale"), a.label("ready")
	a.o("MOVD Gemm_Mode(R0), R15")
	for i, label := range []string{bias, add, scale} {
		a.o("CMP $%d, R15", i+1)
		a.o("BEQ %s", label)
	}
	for i := range 4 * rows {
		a.zero(i)
	}
	a.o("B %s", ready)
	a.at(bias)
	a.o("MOVD Gemm_Bias(R0), R16")
	a.o("ADD R4, R16, R16")
	a.o("VLD1 (R16), %s", list(0, 4))
	for i := 4; i < 4*rows; i++ {
		a.move(i, i%4)
	}
	a.o("B %s", ready)
	a.at(add)
	for r := range rows {
		a.o("VLD1 (R13), %s", list(4*r, 4))
		a.o("ADD R14, R13, R13")
	}
	a.o("B %s", ready)
	a.at(scale)
	a.o("MOVD Gemm_Scale(R0), R16")
	a.o("ADD $%d, R16, R16", 4*first)
	for r := range rows {
		a.o("VLD1R (R16), [V24.S4]")
		a.o("ADD $4, R16, R16")
		a.o("VLD1 (R13), %s", list(4*r, 4))
		a.o("ADD R14, R13, R13")
		for j := range 4 {
			a.fmul(4*r+j, 4*r+j, 24)
		}
	}
	a.at(ready)
}

// exp2NEON replaces x ≤ 0 by 2^x, with scratch n, p, q; the coefficients are in
// V16–V21, the least exponent in V22.
func (a *asm) exp2NEON(x, n, p, q int) {
	a.fmax(x, x, 22)
	a.two("FRINTN", 0x4e218800, n, x)
	a.fsub(x, x, n)
	a.move(p, 16)
	for c := 17; c < 22; c++ {
		a.move(q, c)
		a.fmla(q, p, x)
		p, q = q, p
	}
	a.two("FCVTNS", 0x4e21a800, n, n)
	a.two("SHL #23", 0x4f375400, n, n)
	a.iadd(x, p, n)
}

// softmaxNEON: R6 row · R7 Max · R8 Sum · R9 Corr · R10 rows left · R1 stride · R2 N · R11, R12 within the row.
func (a *asm) softmaxNEON() {
	a.text("softmaxNEON", 0)
	a.o("MOVD args+0(FP), R0")
	for i, f := range []string{"S", "Max", "Sum", "Corr"} {
		a.o("MOVD Softmax_%s(R0), R%d", f, 6+i)
	}
	a.o("MOVD Softmax_LDS(R0), R1")
	a.o("LSL $2, R1, R1")
	a.o("MOVD Softmax_N(R0), R2")
	for i := range 6 {
		a.every(fmt.Sprintf("exp%d", 5-i), 16+i)
	}
	a.every("least", 22)
	a.o("MOVD $14, R10")
	a.at("row")
	a.o("VLD1R (R7), [V0.S4]")
	a.move(1, 0)
	a.o("MOVD R6, R11")
	a.o("MOVD R2, R12")
	a.at("top")
	a.o("VLD1.P 64(R11), %s", list(2, 4))
	for j := range 4 {
		a.fmax(1, 1, 2+j)
	}
	a.o("SUBS $16, R12, R12")
	a.o("BNE top")
	a.two("FMAXV", 0x6e30f800, 1, 1)
	a.two("DUP S[0]", 0x4e040400, 1, 1)
	a.o("FMOVS F1, (R7)")
	a.fsub(0, 0, 1)
	a.exp2NEON(0, 7, 8, 9)
	a.o("FMOVS F0, (R9)")
	a.zero(6)
	a.o("MOVD R6, R11")
	a.o("MOVD R2, R12")
	a.at("exps")
	a.o("VLD1 (R11), %s", list(2, 4))
	for j := range 4 {
		a.fsub(2+j, 2+j, 1)
		a.exp2NEON(2+j, 7, 8, 9)
		a.fadd(6, 6, 2+j)
	}
	a.o("VST1.P %s, 64(R11)", list(2, 4))
	a.o("SUBS $16, R12, R12")
	a.o("BNE exps")
	a.faddp(6, 6, 6)
	a.faddp(6, 6, 6)
	a.o("FMOVS (R8), F10")
	a.o("FMULS F0, F10, F10")
	a.o("FADDS F6, F10, F10")
	a.o("FMOVS F10, (R8)")
	a.o("ADD R1, R6, R6")
	for r := 7; r <= 9; r++ {
		a.o("ADD $4, R%d, R%d", r, r)
	}
	a.o("SUBS $1, R10, R10")
	a.o("BNE row")
	a.o("RET")
}

// normNEON keeps a row in V0–V23.
func (a *asm) normNEON() {
	a.text("normNEON", 0)
	a.o("MOVD args+0(FP), R0")
	for i, f := range []string{"Dst", "X", "R"} {
		a.o("MOVD Norm_%s(R0), R%d", f, 5+i)
	}
	a.every("width", 29)
	a.every("epsilon", 30)
	a.every("one", 31)
	a.o("MOVD $14, R10")
	a.at("norm")
	a.o("MOVD Norm_Gamma(R0), R8")
	a.o("MOVD Norm_Beta(R0), R9")
	a.zero(24)
	for i := range 24 {
		a.o("VLD1.P 16(R6), [V%d.S4]", i)
		a.o("VLD1.P 16(R7), [V25.S4]")
		a.fadd(i, i, 25)
		a.fadd(24, 24, i)
	}
	a.faddp(24, 24, 24)
	a.faddp(24, 24, 24)
	a.fdiv(24, 24, 29)
	a.zero(27)
	for i := range 24 {
		a.fsub(i, i, 24)
		a.fmla(27, i, i)
	}
	a.faddp(27, 27, 27)
	a.faddp(27, 27, 27)
	a.fdiv(27, 27, 29)
	a.fadd(27, 27, 30)
	a.two("FSQRT", 0x6ea1f800, 27, 27)
	a.fdiv(27, 31, 27)
	for i := range 24 {
		a.fmul(i, i, 27)
		a.o("VLD1.P 16(R8), [V25.S4]")
		a.o("VLD1.P 16(R9), [V28.S4]")
		a.fmla(28, i, 25)
		a.o("VST1.P [V28.S4], 16(R5)")
	}
	a.o("SUBS $1, R10, R10")
	a.o("BNE norm")
	a.o("RET")
}

func (a *asm) divideNEON() {
	a.text("divideNEON", 0)
	a.o("MOVD args+0(FP), R0")
	a.o("MOVD Divide_X(R0), R6")
	a.o("MOVD Divide_Sum(R0), R7")
	a.every("one", 31)
	a.o("MOVD $14, R10")
	a.at("divide")
	a.o("VLD1R (R7), [V0.S4]")
	a.o("ADD $4, R7, R7")
	a.fdiv(0, 31, 0)
	for range 6 {
		a.o("VLD1 (R6), %s", list(1, 4))
		for j := range 4 {
			a.fmul(1+j, 1+j, 0)
		}
		a.o("VST1.P %s, 64(R6)", list(1, 4))
	}
	a.o("SUBS $1, R10, R10")
	a.o("BNE divide")
	a.o("RET")
}
