// Package node plays the machines under the operator's pods. KWOK schedules
// nothing and runs nothing: it says that a pod runs and where. What the pod's
// program then does, this package does in its place: it ends the pods of Jobs
// as a script says, and runs a server on the address of each serving pod.
package node

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarity-loop/clarity/api/label"
)

// managed selects what the operator makes.
const managed = label.ManagedBy + "=" + label.Manager

// End is how the program of a Job's pod ended.
type End struct {
	ExitCode int32
	// Message is what it wrote as its termination message.
	Message string
	// Reason is the runtime's, such as OOMKilled; by default what the exit code means.
	Reason string
	// Disrupted says that the pod was preempted or its node went away.
	Disrupted bool
}

// Nodes plays every node at once.
type Nodes struct {
	Client    kubernetes.Interface
	Namespace string
	// Job plays the program of a Job's pod and returns when it ends. When ctx is over the pod is being deleted.
	Job func(ctx context.Context, pod *corev1.Pod) End
	// Server plays the program of a serving pod, on the pod's own address, until
	// ctx is over. To return before that is to crash; it is started again, as a
	// kubelet does, sooner than a kubelet does.
	Server func(ctx context.Context, pod *corev1.Pod) error

	mu      sync.Mutex
	running map[types.UID]context.CancelFunc
	work    sync.WaitGroup
}

// Run plays until ctx is over and everything it started has ended.
func (n *Nodes) Run(ctx context.Context) error {
	n.running = map[types.UID]context.CancelFunc{}
	factory := informers.NewSharedInformerFactoryWithOptions(n.Client, 0, informers.WithNamespace(n.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = managed }))
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { n.see(ctx, o) },
		UpdateFunc: func(_, o any) { n.see(ctx, o) },
		DeleteFunc: n.forget,
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	n.work.Wait()
	return nil
}

// see starts the program of a pod that runs, once, and stops that of one that is
// deleted: after its preStop hook, as a kubelet does. Then the object goes.
func (n *Nodes) see(ctx context.Context, o any) {
	pod, ok := o.(*corev1.Pod)
	if !ok || pod.Labels[label.Component] == "" || pod.Spec.NodeName == "" {
		return
	}
	runs := pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != ""
	n.mu.Lock()
	defer n.mu.Unlock()
	stop, started := n.running[pod.UID]
	switch {
	case !started && runs && ctx.Err() == nil:
		life, stop := context.WithCancel(ctx)
		n.running[pod.UID] = stop
		n.work.Go(func() { n.play(ctx, life, pod.DeepCopy()) })
		if pod.DeletionTimestamp != nil {
			stop()
		}
	case started && pod.DeletionTimestamp != nil:
		time.AfterFunc(sleepOf(pod), stop)
	case pod.DeletionTimestamp != nil: // it never ran, or has ended
		n.work.Go(func() { n.remove(ctx, pod) })
	}
}

// play runs the pod's program to its end, and removes the pod if it is deleted.
func (n *Nodes) play(ctx, life context.Context, pod *corev1.Pod) {
	if pod.Labels[label.Component] == label.Server {
		n.runServer(ctx, life, pod)
	} else {
		n.write(ctx, pod, ended(pod, n.Job(life, pod), time.Now()))
	}
	if life.Err() != nil {
		n.remove(ctx, pod)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.running, pod.UID)
}

// remove does what a kubelet does last: the object goes, as soon as no finalizer holds it.
func (n *Nodes) remove(ctx context.Context, pod *corev1.Pod) {
	err := n.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	_ = err // it is gone, or another's; what is left is deleted again when it is seen again
}

// forget stops the program of a pod whose object is gone, by force.
func (n *Nodes) forget(o any) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if stop, started := n.running[pod.UID]; started {
		stop()
	}
}

func sleepOf(pod *corev1.Pod) time.Duration {
	for i := range pod.Spec.Containers {
		if hook := pod.Spec.Containers[i].Lifecycle; hook != nil && hook.PreStop != nil && hook.PreStop.Sleep != nil {
			return time.Duration(hook.PreStop.Sleep.Seconds) * time.Second
		}
	}
	return 0
}

// ended is the status of a pod whose one container ended.
func ended(pod *corev1.Pod, end End, now time.Time) corev1.PodStatus {
	reason, phase := "Completed", corev1.PodSucceeded
	if end.ExitCode != 0 {
		reason, phase = "Error", corev1.PodFailed
	}
	if end.Reason != "" {
		reason = end.Reason
	}
	state := statusOf(pod)
	state.Ready, state.Started = false, new(false)
	state.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: end.ExitCode, Reason: reason, Message: end.Message,
		StartedAt: startOf(pod), FinishedAt: metav1.NewTime(now),
	}}
	status := corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{state}, Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "PodCompleted", LastTransitionTime: metav1.NewTime(now)},
	}}
	if end.Disrupted {
		status.Conditions = append(status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", LastTransitionTime: metav1.NewTime(now),
		})
	}
	return status
}

const (
	// backOff is after how many restarts a kubelet makes a container wait.
	backOff = 3
	// settled is how long a restarted server has to run before it is called running.
	settled = 500 * time.Millisecond
)

// runServer starts the server again whenever it ends, and says so in the pod's status.
func (n *Nodes) runServer(ctx, life context.Context, pod *corev1.Pod) {
	for restarts := int32(0); life.Err() == nil; restarts++ {
		again := time.AfterFunc(settled, func() {
			if restarts > 0 {
				n.write(life, pod, started(pod, restarts, time.Now()))
			}
		})
		err := n.Server(life, pod)
		again.Stop()
		if life.Err() != nil {
			return
		}
		n.write(ctx, pod, crashed(pod, restarts, err, time.Now()))
		select {
		case <-life.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// crashed is the status of a pod whose server ended with an error.
func crashed(pod *corev1.Pod, restarts int32, err error, now time.Time) corev1.PodStatus {
	end := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: startOf(pod), FinishedAt: metav1.NewTime(now)}
	if err != nil {
		end.Message = err.Error()
	}
	state := statusOf(pod)
	state.Ready, state.Started, state.RestartCount = false, new(false), restarts
	state.LastTerminationState.Terminated = end
	state.State = corev1.ContainerState{Terminated: end}
	if restarts >= backOff {
		state.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	}
	return corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{state}, Conditions: readiness(corev1.ConditionFalse, now)}
}

// started is the status of a pod whose server runs again.
func started(pod *corev1.Pod, restarts int32, now time.Time) corev1.PodStatus {
	state := statusOf(pod)
	state.RestartCount, state.Ready, state.Started = restarts, true, new(true)
	state.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}}
	return corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{state}, Conditions: readiness(corev1.ConditionTrue, now)}
}

func readiness(is corev1.ConditionStatus, now time.Time) []corev1.PodCondition {
	return []corev1.PodCondition{
		{Type: corev1.PodReady, Status: is, LastTransitionTime: metav1.NewTime(now)},
		{Type: corev1.ContainersReady, Status: is, LastTransitionTime: metav1.NewTime(now)},
	}
}

func statusOf(pod *corev1.Pod) corev1.ContainerStatus {
	if len(pod.Status.ContainerStatuses) > 0 {
		return *pod.Status.ContainerStatuses[0].DeepCopy()
	}
	return corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image}
}

func startOf(pod *corev1.Pod) metav1.Time {
	if state := statusOf(pod).State; state.Running != nil {
		return state.Running.StartedAt
	}
	return pod.CreationTimestamp
}

// write patches the pod's status; a pod that is gone needs none.
func (n *Nodes) write(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return // a status is always JSON
	}
	for ctx.Err() == nil {
		_, err := n.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
