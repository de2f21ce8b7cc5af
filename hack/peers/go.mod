module github.com/clarity-loop/clarity/hack/peers

go 1.26.0

require github.com/clarity-loop/clarity v0.0.0

require (
	github.com/yalue/onnxruntime_go v1.27.0
	golang.org/x/sys v0.49.0
)

replace github.com/clarity-loop/clarity => ../..
