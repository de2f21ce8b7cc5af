package tree

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden with the trees made now")

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// metaOf is the metadata of an object that owner controls; its name is its UID.
func metaOf(name, owner string, minutes int) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-time.Duration(minutes) * time.Minute))}
	if owner != "" {
		m.OwnerReferences = []metav1.OwnerReference{{Name: owner, UID: types.UID(owner), Controller: new(true)}}
	}
	return m
}

func podOf(name, owner string, minutes int, phase corev1.PodPhase, state corev1.ContainerState) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metaOf(name, owner, minutes), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
		Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", Ready: phase == corev1.PodRunning, State: state}}},
	}
}

// on puts a pod on a node.
func on(node string, p corev1.Pod) corev1.Pod {
	p.Spec.NodeName = node
	return p
}

func waits(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
}

func ended(code int32, reason string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
}

// aVersion is a version in its canary, with everything that is made for one.
func aVersion() *survey.Survey {
	return &survey.Survey{
		Version: &v1alpha1.ModelVersion{ObjectMeta: metaOf("pat-s-2", "", 60), Status: v1alpha1.ModelVersionStatus{
			Stage: v1alpha1.StageCanary, Reason: v1alpha1.ReasonWaitingForSamples,
			Traffic: v1alpha1.TrafficStatus{Weight: 5}, Serving: v1alpha1.ServingStatus{Summary: "1/2"},
		}},
		Children: []client.Object{
			&networkingv1.NetworkPolicy{ObjectMeta: metaOf("pat-s-2-aa", "pat-s-2", 58)},
			&policyv1.PodDisruptionBudget{ObjectMeta: metaOf("pat-s-2-aa", "pat-s-2", 58), Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1}},
			&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metaOf("pat-s-2-aa", "pat-s-2", 58),
				Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: new(int32(1)), MaxReplicas: 4},
				Status: autoscalingv2.HorizontalPodAutoscalerStatus{CurrentReplicas: 2, Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{
					{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetPodsMetric"}}}},
			&corev1.Service{ObjectMeta: metaOf("pat-s-2-aa", "pat-s-2", 59), Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}},
			&appsv1.Deployment{ObjectMeta: metaOf("deployment", "pat-s-2", 59), Status: appsv1.DeploymentStatus{Replicas: 2, ReadyReplicas: 1, UpdatedReplicas: 2}},
			&appsv1.ReplicaSet{ObjectMeta: metaOf("set-new", "deployment", 59), Status: appsv1.ReplicaSetStatus{Replicas: 2, ReadyReplicas: 1}},
			&appsv1.ReplicaSet{ObjectMeta: metaOf("set-old", "deployment", 60), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(0))}},
			&batchv1.Job{ObjectMeta: metaOf("validate", "pat-s-2", 50), Status: batchv1.JobStatus{Succeeded: 1,
				Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, Reason: "CompletionsReached"}}}},
			&unstructured.Unstructured{Object: map[string]any{"kind": "PodMonitoring", "metadata": map[string]any{
				"name": "pat-s-2-aa", "ownerReferences": []any{map[string]any{"uid": "pat-s-2", "controller": true}}}}},
		},
		Pods: []corev1.Pod{
			on("gpu-l4-00", podOf("pod-a", "set-new", 59, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})),
			podOf("pod-b", "set-new", 2, corev1.PodPending, waits("ImagePullBackOff")),
			podOf("pod-v", "validate", 50, corev1.PodSucceeded, ended(0, "Completed")),
		},
		Plan: &corev1.ConfigMap{ObjectMeta: metaOf("clarity-traffic-pat-s", "", 600), Data: map[string]string{"plan.json": `{"model":"pat-s","revision":7}`}},
	}
}

// aJob is a job of 30 shards: three that are not well, two attempts of one, the rest done or on the way.
func aJob() *survey.Survey {
	s := &survey.Survey{
		Job: &v1alpha1.AnalysisJob{ObjectMeta: metaOf("backfill", "", 90), Status: v1alpha1.AnalysisJobStatus{
			State: v1alpha1.StateRunning, Shards: v1alpha1.ShardCounts{Summary: "20/30"},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionModelResolved, Status: metav1.ConditionTrue}, {Type: v1alpha1.ConditionStarted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonShardStarted}},
		}},
		Children: []client.Object{&batchv1.Job{ObjectMeta: metaOf("backfill-1", "backfill", 90), Spec: batchv1.JobSpec{Completions: new(int32(30))}, Status: batchv1.JobStatus{Succeeded: 20, Active: 9}}},
		Workload: &unstructured.Unstructured{Object: map[string]any{"kind": "Workload", "metadata": map[string]any{"name": "job-backfill-1"},
			"status": map[string]any{"conditions": []any{
				map[string]any{"type": "QuotaReserved", "status": "True", "reason": "QuotaReserved"},
				map[string]any{"type": "Admitted", "status": "True", "reason": "Admitted"}}}}},
	}
	for i := range 20 {
		s.Pods = append(s.Pods, podOf(fmt.Sprintf("shard-%02d", i), "backfill-1", 80, corev1.PodSucceeded, ended(0, "Completed")))
	}
	for i := 20; i < 27; i++ {
		s.Pods = append(s.Pods, podOf(fmt.Sprintf("shard-%02d", i), "backfill-1", 20, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}))
	}
	s.Pods = append(s.Pods,
		podOf("shard-27-first", "backfill-1", 30, corev1.PodFailed, ended(137, "OOMKilled")),
		podOf("shard-27-second", "backfill-1", 1, corev1.PodPending, waits("ContainerCreating")),
		podOf("shard-28", "backfill-1", 30, corev1.PodFailed, ended(65, "Error")),
		podOf("shard-29", "backfill-1", 3, corev1.PodPending, corev1.ContainerState{}),
	)
	s.Pods[len(s.Pods)-1].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	return s
}

func TestTrees(t *testing.T) {
	partly := aVersion()
	partly.Children, partly.Pods, partly.Plan = nil, nil, nil
	partly.Unread = []string{`list pods: not allowed in namespace "clarity"`}
	more := aJob()
	more.Workload, more.More = nil, true
	queued := aJob()
	queued.Pods = nil
	queued.Job.Status.State, queued.Job.Status.Shards.Summary = v1alpha1.StateQueued, "0/30"
	queued.Job.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionQueued, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonWaitingForQueue}}
	queued.Children = []client.Object{&batchv1.Job{ObjectMeta: metaOf("backfill-1", "backfill", 90), Spec: batchv1.JobSpec{Completions: new(int32(30)), Suspend: new(true)}}}
	queued.Workload.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "QuotaReserved", "status": "False", "reason": "Pending"}}}
	tests := []struct {
		name string
		tree *Node
	}{
		{"a version in its canary, one of whose images cannot be pulled", Build(aVersion(), DefaultPods)},
		{"a version whose children may not be read", Build(partly, DefaultPods)},
		{"a job of 30 shards, 20 of whose pods are shown", Build(aJob(), DefaultPods)},
		{"the same, five pods, with pods that were not read", Build(more, 5)},
		{"a queued job", Build(queued, DefaultPods)},
	}
	var b strings.Builder
	for _, tt := range tests {
		fmt.Fprintf(&b, "# %s\n", tt.name)
		if err := Print(&b, tt.tree, now); err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile("testdata/tree.golden", []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/tree.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("trees (-want +got); `go test -update` rewrites them:\n%s", diff)
	}
}

func TestEveryPodIsShownWhereAllAreAskedFor(t *testing.T) {
	s := aJob()
	data, err := json.Marshal(Build(s, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range s.Pods {
		if !strings.Contains(string(data), `"pod/`+pod.Name+`"`) {
			t.Errorf("pod %s is not in the tree", pod.Name)
		}
	}
}
