package kernel

import "golang.org/x/sys/cpu"

//go:generate go run ./gen

//go:noescape
func gemmAVX512(args *Gemm)

//go:noescape
func softmaxAVX512(args *Softmax)

//go:noescape
func normAVX512(args *Norm)

//go:noescape
func divideAVX512(args *Divide)

//go:noescape
func gemmAVX2(args *Gemm)

//go:noescape
func softmaxAVX2(args *Softmax)

//go:noescape
func normAVX2(args *Norm)

//go:noescape
func divideAVX2(args *Divide)

// vector are the kernels that this processor and its operating system can run.
func vector() []*Kernel {
	var kernels []*Kernel
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		kernels = append(kernels, &Kernel{"avx512", gemmAVX512, softmaxAVX512, normAVX512, divideAVX512})
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		kernels = append(kernels, &Kernel{"avx2", gemmAVX2, softmaxAVX2, normAVX2, divideAVX2})
	}
	return kernels
}
