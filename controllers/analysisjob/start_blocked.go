package analysisjob

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// startBlocked looks for what keeps the first shard from starting and will not
// go away by itself. What it says is the reason alone: messages of pods quote
// names and command lines.
func (r *Reconciler) startBlocked(_ context.Context, p *jobPass) (outcome.Outcome, error) {
	if p.started() {
		return outcome.Continue{}, nil
	}
	for i := range p.pods {
		for _, c := range p.pods[i].Status.ContainerStatuses {
			if c.State.Waiting != nil && needsAPerson(c.State.Waiting.Reason) {
				p.startBlocked = &pass.Reason{Reason: v1alpha1.ReasonShardCannotStart, Message: fmt.Sprintf("no shard can start: pod %q says %s", p.pods[i].Name, c.State.Waiting.Reason)}
				return outcome.Continue{}, nil
			}
		}
		for _, c := range p.pods[i].Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				return outcome.Waiting{Reason: v1alpha1.ReasonUnschedulable, Message: "no node has room for a shard"}, nil
			}
		}
	}
	return outcome.Continue{}, nil
}

func needsAPerson(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return true
	}
	return false
}
