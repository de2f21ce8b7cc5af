package probe

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// A Failure is why a server will not be ready by itself.
type Failure struct {
	Reason, Message string
	Pod             string
	ExitCode        *int32
}

// IsReady says whether the kubelet says that the pod is ready.
func IsReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// StartBlocked says why a pod does not start, where that can be seen. It is a
// reason alone: messages of pods quote names and command lines.
func StartBlocked(pod *corev1.Pod) *pass.Reason {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.State.Waiting == nil {
				continue
			}
			switch why := c.State.Waiting.Reason; why {
			case "ErrImagePull", "ImagePullBackOff", "InvalidImageName":
				return &pass.Reason{Reason: v1alpha1.ReasonImagePull, Message: fmt.Sprintf("pod %q says %s", pod.Name, why)}
			case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
				return &pass.Reason{Reason: v1alpha1.ReasonUnavailable, Message: fmt.Sprintf("pod %q says %s", pod.Name, why)}
			}
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return &pass.Reason{Reason: v1alpha1.ReasonUnschedulable, Message: "no node has room for a server"}
		}
	}
	return nil
}

// crashLimit is how many restarts make a crash loop.
const crashLimit = 3

// Crashed says that a server ends again and again, or that its bundle can never do.
func Crashed(pod *corev1.Pod) *Failure {
	for _, c := range pod.Status.InitContainerStatuses {
		for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
			if c.Name == serving.FetchContainer && t != nil && t.ExitCode == worker.ExitInvalidInput {
				e := &Failure{Reason: v1alpha1.ReasonDigestMismatch, Message: "the bundle that was fetched is not the one that is named", Pod: pod.Name, ExitCode: &t.ExitCode}
				if said, err := termination.ParseResult(t.Message); err == nil && said.Reason != "" {
					e.Reason, e.Message = serving.ReasonOf(said.Reason, e.Reason), cmp.Or(said.Message, string(said.Reason))
				}
				return e
			}
		}
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.RestartCount < crashLimit || c.State.Waiting == nil || c.State.Waiting.Reason != "CrashLoopBackOff" {
				continue
			}
			e := &Failure{Reason: v1alpha1.ReasonCrashLooping, Pod: pod.Name}
			e.Message = fmt.Sprintf("container %q of pod %q ended %d times", c.Name, pod.Name, c.RestartCount)
			if t := c.LastTerminationState.Terminated; t != nil {
				e.ExitCode = &t.ExitCode
				e.Message += fmt.Sprintf(", last with exit code %d", t.ExitCode)
				if t.Reason == "OOMKilled" {
					e.Message += " (OOMKilled)"
				}
			}
			return e
		}
	}
	return nil
}
