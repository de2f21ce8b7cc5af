package kube

import (
	"context"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// page is how many objects are asked for at a time.
const page = 500

// Children returns what was made for a version of a model, pods included. What
// cannot be read is left out and told in the errors.
func (c *Cluster) Children(ctx context.Context, model, version string) ([]client.Object, []error) {
	by := client.MatchingLabels{label.ManagedBy: label.Manager, label.Model: model, label.Version: version}
	monitoring := &unstructured.UnstructuredList{}
	monitoring.SetGroupVersionKind(podMonitoring.GroupVersion().WithKind(podMonitoring.Kind + "List"))
	lists := []struct {
		resource string
		list     client.ObjectList
		optional bool
	}{
		{"deployments", &appsv1.DeploymentList{}, false},
		{"replicasets", &appsv1.ReplicaSetList{}, false},
		{"jobs", &batchv1.JobList{}, false},
		{"pods", &corev1.PodList{}, false},
		{"services", &corev1.ServiceList{}, false},
		{"horizontalpodautoscalers", &autoscalingv2.HorizontalPodAutoscalerList{}, false},
		{"poddisruptionbudgets", &policyv1.PodDisruptionBudgetList{}, false},
		{"networkpolicies", &networkingv1.NetworkPolicyList{}, false},
		{"podmonitorings", monitoring, true},
	}
	errs := make([]error, len(lists))
	var all sync.WaitGroup
	for i, l := range lists {
		all.Go(func() {
			err := c.client.List(ctx, l.list, client.InNamespace(c.Namespace), by)
			errs[i] = fault.Of(err, c.place("list", l.resource, ""))
		})
	}
	all.Wait()
	var children []client.Object
	var failed []error
	for i, l := range lists {
		switch {
		case errs[i] == nil:
			children = append(children, itemsOf(l.list)...)
		case !l.optional:
			failed = append(failed, errs[i])
		}
	}
	return children, failed
}

func itemsOf(list client.ObjectList) []client.Object {
	var items []client.Object
	_ = meta.EachListItem(list, func(o runtime.Object) error { // nothing in it returns an error
		if item, ok := o.(client.Object); ok {
			items = append(items, item)
		}
		return nil
	})
	return items
}

// PodsOf returns at most limit pods of a Job, all of them if limit is 0, and
// whether there are more. A phase narrows them, and so does a shard.
func (c *Cluster) PodsOf(ctx context.Context, job *batchv1.Job, phase corev1.PodPhase, shard string, limit int) ([]corev1.Pod, bool, error) {
	by := client.MatchingLabels{batchv1.ControllerUidLabel: string(job.UID)}
	if shard != "" {
		by[batchv1.JobCompletionIndexAnnotation] = shard
	}
	options := []client.ListOption{client.InNamespace(c.Namespace), by}
	if phase != "" {
		options = append(options, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("status.phase", string(phase))})
	}
	var pods []corev1.Pod
	next := ""
	for {
		size := page
		if limit > 0 {
			size = min(size, limit-len(pods))
		}
		var list corev1.PodList
		err := c.client.List(ctx, &list, append(options, client.Limit(int64(size)), client.Continue(next))...)
		if err != nil {
			return pods, false, fault.Of(err, c.place("list", "pods", ""))
		}
		pods = append(pods, list.Items...)
		next = list.Continue
		if next == "" || limit > 0 && len(pods) >= limit {
			return pods, next != "", nil
		}
	}
}

// EventsOf returns the events about an object.
func (c *Cluster) EventsOf(ctx context.Context, o client.Object) ([]corev1.Event, error) {
	var list corev1.EventList
	err := c.client.List(ctx, &list, client.InNamespace(c.Namespace), client.Limit(page),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("involvedObject.uid", string(o.GetUID()))})
	return list.Items, fault.Of(err, c.place("list", "events", ""))
}
