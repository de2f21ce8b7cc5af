package analysisjob

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/controllers/internal/condition"
)

// workloadJobLabel is how Kueue marks a Workload with the UID of its Job.
const workloadJobLabel = "kueue.x-k8s.io/job-uid"

// WorkloadFinder finds Kueue's Workload for a Job; nil where Kueue has made none yet.
type WorkloadFinder func(ctx context.Context, child *batchv1.Job) (*unstructured.Unstructured, error)

// WorkloadKind asks the API server which version of Kueue's Workload it
// serves; false if none.
func WorkloadKind(mapper meta.RESTMapper) (schema.GroupVersionKind, bool, error) {
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: "kueue.x-k8s.io", Kind: "Workload"})
	if meta.IsNoMatchError(err) {
		return schema.GroupVersionKind{}, false, nil
	}
	if err != nil {
		return schema.GroupVersionKind{}, false, fmt.Errorf("ask for Kueue's kinds: %w", err)
	}
	return mapping.GroupVersionKind, true, nil
}

// Workloads returns a WorkloadFinder that reads from reader.
func Workloads(reader client.Reader, kind schema.GroupVersionKind) WorkloadFinder {
	return func(ctx context.Context, child *batchv1.Job) (*unstructured.Unstructured, error) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := reader.List(ctx, list, client.InNamespace(child.Namespace), client.MatchingLabels{workloadJobLabel: string(child.UID)})
		if err != nil {
			return nil, fmt.Errorf("list workloads of job %q: %w", child.Name, err)
		}
		if len(list.Items) == 0 {
			return nil, nil
		}
		return &list.Items[0], nil
	}
}

// steerQueue suspends and resumes a queued job: an inactive Workload is
// stopped, gives its quota back and is not admitted.
func (r *Reconciler) steerQueue(ctx context.Context, p *jobPass) error {
	if r.Workloads == nil {
		return nil
	}
	workload, err := r.Workloads(ctx, p.child)
	if err != nil || workload == nil {
		return err
	}
	p.workload = workload
	active, found, err := unstructured.NestedBool(workload.Object, "spec", "active")
	if err != nil {
		return errors.New("read spec.active of Kueue's workload: not a boolean")
	}
	if !found {
		active = true
	}
	if active != p.job.Spec.Suspend {
		return nil
	}
	wish := workload.DeepCopy()
	if err := unstructured.SetNestedField(wish.Object, !p.job.Spec.Suspend, "spec", "active"); err != nil {
		return fmt.Errorf("set active of workload %q: %w", workload.GetName(), err)
	}
	if err := r.Client.Patch(ctx, wish, client.MergeFrom(workload), client.FieldOwner(manager)); err != nil {
		return fmt.Errorf("set active of workload %q: %w", workload.GetName(), err)
	}
	p.workload = wish
	return nil
}

// queueMessage is Kueue's own sentence on what the Job waits for.
func (p *jobPass) queueMessage() string {
	if p.workload == nil {
		return ""
	}
	list, _, _ := unstructured.NestedSlice(p.workload.Object, "status", "conditions") // none is no sentence
	for _, item := range list {
		c, ok := item.(map[string]any)
		if ok && c["type"] == "QuotaReserved" && c["status"] == string(metav1.ConditionFalse) {
			message, _ := c["message"].(string)
			return condition.Bound(message, condition.MaxMessage)
		}
	}
	return ""
}
