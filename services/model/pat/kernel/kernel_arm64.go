package kernel

//go:generate go run ./gen

//go:noescape
func gemmNEON(args *Gemm)

//go:noescape
func softmaxNEON(args *Softmax)

//go:noescape
func normNEON(args *Norm)

//go:noescape
func divideNEON(args *Divide)

// vector is NEON: every 64-bit ARM has it.
func vector() []*Kernel {
	return []*Kernel{{"neon", gemmNEON, softmaxNEON, normNEON, divideNEON}}
}
