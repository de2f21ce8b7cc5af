package testenv

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// An Exit is how a pod's one container ends.
type Exit struct {
	Code    int32
	Reason  string // OOMKilled, …
	Message string // the termination message
	// Preempted says that the node took the pod, not the program itself.
	Preempted bool
}

// Finish moves a pod to its end, as a node would, after ten seconds of work. Where it
// failed they are over now: until then, the Job controller would make no other, and its
// clock is the real one.
func Finish(ctx context.Context, live client.Client, pod *corev1.Pod, now time.Time, end Exit) error {
	start := metav1.NewTime(now.Truncate(time.Second))
	if end.Code != 0 {
		start = metav1.NewTime(start.Add(-10 * time.Second))
	}
	pod.Status.StartTime = &start
	pod.Status.Phase = corev1.PodSucceeded
	if end.Code != 0 {
		pod.Status.Phase = corev1.PodFailed
	}
	if end.Preempted {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler"})
	}
	container := pod.Spec.Containers[0]
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: container.Name, Image: container.Image,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: end.Code, Reason: end.Reason, Message: end.Message, StartedAt: start, FinishedAt: metav1.NewTime(start.Add(10 * time.Second)),
		}},
	}}
	return client.IgnoreNotFound(live.Status().Update(ctx, pod))
}
