package modelversion

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// A Probe asks one server whether the model is ready.
type Probe interface {
	// Ready says whether the pod's Triton serves the model. An error is a
	// server that did not answer, which is as good as no to a version that has
	// yet to be available, and to one that is only if it goes on.
	Ready(ctx context.Context, pod *corev1.Pod, model string) (bool, error)
}
