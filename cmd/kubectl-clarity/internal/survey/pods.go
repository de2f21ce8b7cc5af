package survey

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Stand is how a pod stands, in words.
type Stand struct {
	Pod   *corev1.Pod
	State string // Pending, Running, Succeeded, Failed, Terminating
	Ready string // ready/all containers
	// Reason says why it is not well; "" where it is. It is one of the cluster's words.
	Reason string
	// Message adds to the reason where it cannot quote a command line; "" elsewhere.
	Message string
	Since   time.Time
}

// StandOf reads how a pod stands.
//
// Messages of containers are left out: they quote command lines, and a shard's
// holds a subject's pseudonym. What the scheduler says is about nodes alone.
func StandOf(pod *corev1.Pod) Stand {
	s := Stand{Pod: pod, State: string(pod.Status.Phase), Reason: pod.Status.Reason, Since: pod.CreationTimestamp.Time}
	if s.State == "" {
		s.State = string(corev1.PodPending)
	}
	var ready int
	for _, c := range pod.Status.ContainerStatuses {
		if c.Ready {
			ready++
		}
	}
	s.Ready = fmt.Sprintf("%d/%d", ready, len(pod.Spec.Containers))
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			s.Reason, s.Message, s.Since = c.Reason, c.Message, since(c.LastTransitionTime, s.Since)
		}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if reason := reasonOf(c); reason != "" && (s.Reason == "" || s.Reason == containerCreating) {
			s.Reason = reason
			if restarts := c.RestartCount; restarts > 0 {
				s.Message = fmt.Sprintf("container %s restarted %d times", c.Name, restarts)
			}
			if last := c.LastTerminationState.Terminated; last != nil {
				s.Message += fmt.Sprintf(", last exit code %d", last.ExitCode)
			}
		}
	}
	if !pod.DeletionTimestamp.IsZero() {
		s.State = "Terminating"
	}
	return s
}

const containerCreating = "ContainerCreating"

// reasonOf says why a container is not well; "" where it runs or has succeeded.
func reasonOf(c corev1.ContainerStatus) string {
	switch {
	case c.State.Waiting != nil:
		return c.State.Waiting.Reason
	case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
		if reason := c.State.Terminated.Reason; reason != "" && reason != "Error" {
			return reason
		}
		return ExitReason(c.State.Terminated.ExitCode)
	}
	return ""
}

// ExitReason is the reason of a container that ended with the code and said no other.
func ExitReason(code int32) string { return fmt.Sprintf("ExitCode%d", code) }

func since(t metav1.Time, other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t.Time
}

// starting says whether the reason is a step of every healthy start.
func starting(reason string) bool {
	return reason == containerCreating || reason == "PodInitializing" || reason == ""
}

// Troubled returns how those pods stand that are not well, those that wait first, the oldest first.
func Troubled(pods []corev1.Pod) []Stand {
	var troubled []Stand
	for i := range pods {
		if s := StandOf(&pods[i]); !starting(s.Reason) && s.State != string(corev1.PodSucceeded) {
			troubled = append(troubled, s)
		}
	}
	slices.SortStableFunc(troubled, func(a, b Stand) int {
		if fa, fb := a.State == string(corev1.PodFailed), b.State == string(corev1.PodFailed); fa != fb {
			if fa {
				return 1
			}
			return -1
		}
		return a.Since.Compare(b.Since)
	})
	return troubled
}

// EventTime is when an event happened last.
func EventTime(e corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
