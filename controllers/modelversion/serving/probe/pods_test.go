package probe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// podOf has this status.
func podOf(status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod-1"}, Status: status}
}

func condition(kind corev1.PodConditionType, is corev1.ConditionStatus, reason string) corev1.PodCondition {
	return corev1.PodCondition{Type: kind, Status: is, Reason: reason, Message: "node gke-secret says so"}
}

func TestWhatTheKubeletSaysOfReady(t *testing.T) {
	tests := map[string]struct {
		conditions []corev1.PodCondition
		want       bool
	}{
		"nothing":          {nil, false},
		"something else":   {[]corev1.PodCondition{condition(corev1.ContainersReady, corev1.ConditionTrue, "")}, false},
		"yes":              {[]corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, ""), condition(corev1.PodReady, corev1.ConditionTrue, "")}, true},
		"no":               {[]corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionFalse, ""), condition(corev1.PodScheduled, corev1.ConditionTrue, "")}, false},
		"it is not known":  {[]corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionUnknown, "")}, false},
		"no, and it stays": {[]corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionFalse, ""), condition(corev1.PodReady, corev1.ConditionTrue, "")}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsReady(podOf(corev1.PodStatus{Conditions: tt.conditions})); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func waiting(reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "triton", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "registry.example/secret"}}}
}

// Never the cluster's own message: it quotes names and command lines.
func TestWhyAPodDoesNotStart(t *testing.T) {
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	image := func(why string) *pass.Reason {
		return &pass.Reason{Reason: v1alpha1.ReasonImagePull, Message: `pod "pod-1" says ` + why}
	}
	container := func(why string) *pass.Reason {
		return &pass.Reason{Reason: v1alpha1.ReasonUnavailable, Message: `pod "pod-1" says ` + why}
	}
	tests := map[string]struct {
		status corev1.PodStatus
		want   *pass.Reason
	}{
		"it starts":              {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{running}, ContainerStatuses: []corev1.ContainerStatus{waiting("PodInitializing")}}, nil},
		"no image":               {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("ErrImagePull")}}, image("ErrImagePull")},
		"no image, again":        {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{running, waiting("ImagePullBackOff")}}, image("ImagePullBackOff")},
		"an image that is none":  {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{waiting("InvalidImageName")}}, image("InvalidImageName")},
		"no configuration":       {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("CreateContainerConfigError")}}, container("CreateContainerConfigError")},
		"no container":           {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("CreateContainerError")}}, container("CreateContainerError")},
		"no program":             {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("RunContainerError")}}, container("RunContainerError")},
		"no room":                {corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable)}}, &pass.Reason{Reason: v1alpha1.ReasonUnschedulable, Message: "no node has room for a server"}},
		"held back by a gate":    {corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonSchedulingGated)}}, nil},
		"it has a node":          {corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionTrue, corev1.PodReasonUnschedulable)}}, nil},
		"another condition says": {corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionFalse, corev1.PodReasonUnschedulable)}}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, StartBlocked(podOf(tt.status))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatEndsAServerForGood(t *testing.T) {
	exit := func(code int32, reason, message string) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}
	}
	fetched := func(now, last *corev1.ContainerStateTerminated) corev1.PodStatus {
		return corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: serving.FetchContainer,
			State: corev1.ContainerState{Terminated: now}, LastTerminationState: corev1.ContainerState{Terminated: last}}}}
	}
	loops := func(restarts int32, why string, last *corev1.ContainerStateTerminated) corev1.ContainerStatus {
		c := waiting(why)
		c.RestartCount, c.LastTerminationState.Terminated = restarts, last
		return c
	}
	served := func(c ...corev1.ContainerStatus) corev1.PodStatus { return corev1.PodStatus{ContainerStatuses: c} }
	failure := func(reason, message string, code int32) *Failure {
		return &Failure{Reason: reason, Message: message, Pod: "pod-1", ExitCode: &code}
	}
	const another = "the bundle that was fetched is not the one that is named"
	const looped = `container "triton" of pod "pod-1" ended 3 times`
	tests := map[string]struct {
		status corev1.PodStatus
		want   *Failure
	}{
		"nothing":                           {corev1.PodStatus{}, nil},
		"the bundle is there":               {fetched(exit(0, "Completed", `{"verified":true}`), nil), nil},
		"it is fetched again":               {fetched(exit(worker.ExitRetry, "Error", ""), nil), nil},
		"another bundle":                    {fetched(exit(worker.ExitInvalidInput, "Error", ""), nil), failure(v1alpha1.ReasonDigestMismatch, another, worker.ExitInvalidInput)},
		"another bundle, before":            {fetched(nil, exit(worker.ExitInvalidInput, "Error", "")), failure(v1alpha1.ReasonDigestMismatch, another, worker.ExitInvalidInput)},
		"no bundle, says the worker":        {fetched(exit(worker.ExitInvalidInput, "Error", `{"reason":"ArtifactNotFound","message":"it is not there"}`), nil), failure(v1alpha1.ReasonArtifactNotFound, "it is not there", worker.ExitInvalidInput)},
		"a reason and no more":              {fetched(exit(worker.ExitInvalidInput, "Error", `{"reason":"Unreadable"}`), nil), failure(v1alpha1.ReasonUnreadable, "Unreadable", worker.ExitInvalidInput)},
		"a reason of another version":       {fetched(exit(worker.ExitInvalidInput, "Error", `{"reason":"Bored","message":"of it"}`), nil), failure(v1alpha1.ReasonDigestMismatch, "of it", worker.ExitInvalidInput)},
		"a message and no reason":           {fetched(exit(worker.ExitInvalidInput, "Error", `{"message":"of nothing"}`), nil), failure(v1alpha1.ReasonDigestMismatch, another, worker.ExitInvalidInput)},
		"last words that cannot be read":    {fetched(exit(worker.ExitInvalidInput, "Error", `{`), nil), failure(v1alpha1.ReasonDigestMismatch, another, worker.ExitInvalidInput)},
		"another init container's code":     {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "mesh", State: corev1.ContainerState{Terminated: exit(worker.ExitInvalidInput, "Error", "")}}}}, nil},
		"a server that ended so":            {served(corev1.ContainerStatus{Name: serving.FetchContainer, State: corev1.ContainerState{Terminated: exit(worker.ExitInvalidInput, "Error", "")}}), nil},
		"twice is no loop":                  {served(loops(2, "CrashLoopBackOff", exit(1, "Error", ""))), nil},
		"a loop":                            {served(loops(3, "CrashLoopBackOff", exit(1, "Error", "secret"))), failure(v1alpha1.ReasonCrashLooping, looped+", last with exit code 1", 1)},
		"a loop for want of memory":         {served(loops(3, "CrashLoopBackOff", exit(137, "OOMKilled", ""))), failure(v1alpha1.ReasonCrashLooping, looped+", last with exit code 137 (OOMKilled)", 137)},
		"a loop of which no more is known":  {served(loops(3, "CrashLoopBackOff", nil)), &Failure{Reason: v1alpha1.ReasonCrashLooping, Message: looped, Pod: "pod-1"}},
		"many restarts, and it runs":        {served(corev1.ContainerStatus{RestartCount: 9}), nil},
		"many restarts, and it is pulled":   {served(loops(9, "ImagePullBackOff", nil)), nil},
		"the second container's loop":       {served(loops(0, "", nil), loops(3, "CrashLoopBackOff", nil)), &Failure{Reason: v1alpha1.ReasonCrashLooping, Message: looped, Pod: "pod-1"}},
		"an init container's loop of its 1": {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{loops(3, "CrashLoopBackOff", exit(1, "Error", ""))}}, failure(v1alpha1.ReasonCrashLooping, looped+", last with exit code 1", 1)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Crashed(podOf(tt.status))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
