//go:build !amd64 && !arm64

package kernel

func vector() []*Kernel { return nil }
