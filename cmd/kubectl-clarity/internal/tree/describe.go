package tree

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

// describe says how one object stands.
func describe(o client.Object) *Node {
	n := &Node{Created: o.GetCreationTimestamp()}
	kind := ""
	switch o := o.(type) {
	case *v1alpha1.ModelVersion:
		kind = "modelversion"
		n.State, n.Ready, n.Reason = string(o.Status.Stage), o.Status.Serving.Summary, o.Status.Reason
		if w := o.Status.Traffic.Weight; w > 0 {
			n.State += fmt.Sprintf(" %d%%", w)
		}
	case *v1alpha1.AnalysisJob:
		kind = "analysisjob"
		n.State, n.Ready, n.Reason = string(o.Status.State), o.Status.Shards.Summary, survey.Explaining(o.Status).Reason
	case *appsv1.Deployment:
		kind = "deployment"
		describeDeployment(n, o)
	case *appsv1.ReplicaSet:
		kind = "replicaset"
		describeReplicaSet(n, o)
	case *batchv1.Job:
		kind = "job"
		describeJob(n, o)
	case *corev1.Service:
		kind = "service"
		n.State = string(o.Spec.Type)
		if o.Spec.ClusterIP == corev1.ClusterIPNone {
			n.State = "Headless"
		}
	case *autoscalingv2.HorizontalPodAutoscaler:
		kind = "horizontalpodautoscaler"
		describeAutoscaler(n, o)
	case *policyv1.PodDisruptionBudget:
		kind = "poddisruptionbudget"
		n.State = fmt.Sprintf("%d may go", o.Status.DisruptionsAllowed)
	case *networkingv1.NetworkPolicy:
		kind = "networkpolicy"
	case *corev1.ConfigMap:
		kind = "configmap"
		n.State = "Unreadable"
		if p, err := kube.ReadPlan(o); err == nil {
			n.State = fmt.Sprintf("revision %d", p.Revision)
		}
	case *unstructured.Unstructured:
		kind = strings.ToLower(o.GetKind())
		n.State, n.Reason = describeWorkload(o)
	}
	n.Object = kind + "/" + o.GetName()
	return n
}

func describeDeployment(n *Node, o *appsv1.Deployment) {
	n.State, n.Ready = "Rolling", fmt.Sprintf("%d/%d", o.Status.ReadyReplicas, o.Status.Replicas)
	if o.Status.ReadyReplicas == o.Status.Replicas && o.Status.UpdatedReplicas == o.Status.Replicas {
		n.State = "Settled"
	}
	for _, c := range o.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue ||
			c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse {
			n.Reason = c.Reason
		}
	}
}

func describeReplicaSet(n *Node, o *appsv1.ReplicaSet) {
	n.Ready = fmt.Sprintf("%d/%d", o.Status.ReadyReplicas, o.Status.Replicas)
	for _, c := range o.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			n.Reason = c.Reason
		}
	}
}

func describeAutoscaler(n *Node, o *autoscalingv2.HorizontalPodAutoscaler) {
	least := int32(1)
	if o.Spec.MinReplicas != nil {
		least = *o.Spec.MinReplicas
	}
	n.State = fmt.Sprintf("%d of %d-%d", o.Status.CurrentReplicas, least, o.Spec.MaxReplicas)
	for _, c := range o.Status.Conditions {
		if c.Type == autoscalingv2.ScalingActive && c.Status == corev1.ConditionFalse {
			n.Reason = c.Reason
		}
	}
}

func describeJob(n *Node, job *batchv1.Job) {
	want := int32(1)
	if job.Spec.Completions != nil {
		want = *job.Spec.Completions
	}
	n.Ready = fmt.Sprintf("%d/%d", job.Status.Succeeded, want)
	n.State = "Running"
	switch {
	case job.Spec.Suspend != nil && *job.Spec.Suspend:
		n.State = "Suspended"
	case job.Status.Active == 0:
		n.State = "Waiting"
	}
	for _, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			n.State, n.Reason = string(c.Type), c.Reason
		}
	}
}

// describeWorkload reads Kueue's conditions: the last one in its life that holds.
func describeWorkload(o *unstructured.Unstructured) (state, reason string) {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions") // none is none
	holds := map[string]string{}
	for _, item := range list {
		c, _ := item.(map[string]any)
		kind, _ := c["type"].(string)
		status, _ := c["status"].(string)
		why, _ := c["reason"].(string)
		if status == "True" {
			holds[kind] = why
		} else if kind == "QuotaReserved" {
			reason = why
		}
	}
	for _, kind := range []string{"Finished", "Evicted", "Admitted", "QuotaReserved"} {
		if why, ok := holds[kind]; ok {
			return kind, why
		}
	}
	if o.GetKind() == "Workload" {
		return "Waiting", reason
	}
	return "", ""
}

// spent says whether an object is a leftover that runs nothing.
func spent(o client.Object) bool {
	set, ok := o.(*appsv1.ReplicaSet)
	return ok && set.Status.Replicas == 0 && (set.Spec.Replicas == nil || *set.Spec.Replicas == 0)
}

// rank orders kinds as a rollout goes.
func rank(o client.Object) int {
	switch o.(type) {
	case *batchv1.Job:
		return 0
	case *appsv1.Deployment, *appsv1.ReplicaSet:
		return 1
	case *corev1.Service:
		return 2
	case *autoscalingv2.HorizontalPodAutoscaler:
		return 3
	case *policyv1.PodDisruptionBudget:
		return 4
	}
	return 5
}
