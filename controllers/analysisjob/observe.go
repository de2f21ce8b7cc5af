package analysisjob

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// observe reads the Job and its pods. What was decided at the Job's creation is
// read back from the Job: it is the record where a crash kept the status from
// being written.
func (r *Reconciler) observe(ctx context.Context, p *jobPass) (outcome.Outcome, error) {
	key := client.ObjectKey{Namespace: p.job.Namespace, Name: jobName(p.job)}
	child, err := getJob(ctx, r.Client, key)
	if err == nil && child == nil && p.before.Status.Job != "" {
		child, err = getJob(ctx, r.Live, key) // the cache may be behind: ask before calling it gone
	}
	if err != nil {
		return nil, err
	}
	if child == nil {
		return outcome.Continue{}, nil
	}
	if !metav1.IsControlledBy(child, p.job) {
		return outcome.Continue{}, nil // cancel and deadlines first; the creation would find it taken
	}
	return outcome.Continue{}, r.adopt(ctx, p, child)
}

// adopt takes the Job as this object's.
func (r *Reconciler) adopt(ctx context.Context, p *jobPass, child *batchv1.Job) error {
	pods, err := r.Pods(ctx, child)
	if err != nil {
		return err
	}
	p.child, p.pods = child, r.memory.complete(p.before, child, pods)
	p.job.Status.Job = child.Name
	if p.job.Status.Model == nil {
		p.job.Status.Model = modelOf(child)
	}
	return nil
}

// getJob returns nil where there is no such Job.
func getJob(ctx context.Context, reader client.Reader, key client.ObjectKey) (*batchv1.Job, error) {
	var child batchv1.Job
	switch err := reader.Get(ctx, key, &child); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get job %q: %w", key, err)
	}
	return &child, nil
}

// podIndex is the cache's index of pods by the UID of the Job that controls them.
const podIndex = "clarityloop.dev/job-uid"

// IndexedPods lists a Job's pods from a cache that has the index SetupWithManager makes.
func IndexedPods(reader client.Reader) func(context.Context, *batchv1.Job) ([]corev1.Pod, error) {
	return func(ctx context.Context, child *batchv1.Job) ([]corev1.Pod, error) {
		return listPods(ctx, reader, child, client.MatchingFields{podIndex: string(child.UID)})
	}
}

// LabelledPods lists a Job's pods by the label the Job controller gives them.
func LabelledPods(reader client.Reader) func(context.Context, *batchv1.Job) ([]corev1.Pod, error) {
	return func(ctx context.Context, child *batchv1.Job) ([]corev1.Pod, error) {
		return listPods(ctx, reader, child, client.MatchingLabels{batchv1.ControllerUidLabel: string(child.UID)})
	}
}

func listPods(ctx context.Context, reader client.Reader, child *batchv1.Job, by client.ListOption) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := reader.List(ctx, &list, client.InNamespace(child.Namespace), by); err != nil {
		return nil, fmt.Errorf("list pods of job %q: %w", child.Name, err)
	}
	return list.Items, nil
}
