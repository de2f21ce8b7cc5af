package analysisjob

import (
	"context"
	"fmt"
	"unique"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// CacheOptions is what the manager's cache holds for this controller: Jobs and
// pods of shards alone, without what no pass reads, and Kueue's Workloads where
// the API server has that kind; all of the one namespace that is served.
func CacheOptions(config Config, mapper meta.RESTMapper) (map[client.Object]cache.ByObject, error) {
	shards := labels.SelectorFromSet(labels.Set{label.Component: label.Shard})
	there := map[string]cache.Config{config.Namespace: {}}
	options := map[client.Object]cache.ByObject{
		&v1alpha1.AnalysisJob{}: {Transform: stripAnalysisJob},
		&batchv1.Job{}:          {Label: shards, Namespaces: there, Transform: stripJob},
		&corev1.Pod{}:           {Label: shards, Namespaces: there, Transform: stripPod},
	}
	kueue, installed, err := WorkloadKind(mapper)
	if err != nil {
		return nil, err
	}
	if installed {
		options[workloadOf(kueue)] = cache.ByObject{Namespaces: there}
	}
	return options, nil
}

func workloadOf(kind schema.GroupVersionKind) *unstructured.Unstructured {
	workload := &unstructured.Unstructured{}
	workload.SetGroupVersionKind(kind)
	return workload
}

// stripAnalysisJob drops what kubectl notes for itself.
func stripAnalysisJob(o any) (any, error) {
	if job, ok := o.(*v1alpha1.AnalysisJob); ok {
		stripMeta(&job.ObjectMeta, func(key string) bool { return key != corev1.LastAppliedConfigAnnotation })
		for i := range job.Status.Conditions {
			c := &job.Status.Conditions[i]
			c.Type, c.Reason = shared(c.Type), shared(c.Reason)
		}
	}
	return o, nil
}

// stripJob drops the pod template: a Job is never compared with what a newer
// operator would have made of it, so that an upgrade restarts nothing.
func stripJob(o any) (any, error) {
	if job, ok := o.(*batchv1.Job); ok {
		stripMeta(&job.ObjectMeta, func(key string) bool {
			return key == endedAnnotation || key == modelAnnotation || key == digestAnnotation
		})
		job.Labels = nil
		job.Spec = batchv1.JobSpec{Completions: job.Spec.Completions, Suspend: job.Spec.Suspend}
		job.Status.UncountedTerminatedPods = nil
	}
	return o, nil
}

// stripPod keeps what tells which shard it is, what holds it, and how it ended.
func stripPod(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		stripMeta(&pod.ObjectMeta, func(key string) bool {
			return key == JobAnnotation || key == batchv1.JobCompletionIndexAnnotation || key == batchv1.JobIndexFailureCountAnnotation
		})
		pod.Labels = nil
		pod.Spec = corev1.PodSpec{}
		pod.Status = corev1.PodStatus{
			Phase: corev1.PodPhase(shared(string(pod.Status.Phase))), Reason: shared(pod.Status.Reason),
			Conditions: telling(pod.Status.Conditions), ContainerStatuses: statesOf(pod.Status.ContainerStatuses),
		}
	}
	return o, nil
}

// stripMeta keeps the annotations asked for and what says which object it is and whose.
func stripMeta(m *metav1.ObjectMeta, keep func(annotation string) bool) {
	m.ManagedFields, m.Finalizers, m.GenerateName = nil, nil, ""
	m.Namespace = shared(m.Namespace)
	kept := map[string]string{}
	for key, value := range m.Annotations {
		if keep(key) {
			kept[shared(key)] = value
		}
	}
	if m.Annotations = kept; len(kept) == 0 {
		m.Annotations = nil
	}
	for i := range m.OwnerReferences {
		owner := &m.OwnerReferences[i]
		owner.APIVersion, owner.Kind = shared(owner.APIVersion), shared(owner.Kind)
	}
}

// shared is s itself, held in memory once for all objects that say it.
func shared(s string) string { return unique.Make(s).Value() }

// telling are the conditions of a pod that say why it does not run.
func telling(all []corev1.PodCondition) []corev1.PodCondition {
	var kept []corev1.PodCondition
	for _, c := range all {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			kept = append(kept, c)
		}
	}
	return kept
}

func statesOf(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	states := make([]corev1.ContainerStatus, len(all))
	for i, c := range all {
		states[i] = corev1.ContainerStatus{Name: shared(c.Name), State: c.State}
		if end := states[i].State.Terminated; end != nil {
			end.ContainerID, end.Reason = "", shared(end.Reason)
		}
	}
	return states
}

// SetupWithManager adds the controller to the manager, whose cache should be
// made with CacheOptions. The observers, if any, are told what jobs go through.
func SetupWithManager(ctx context.Context, mgr ctrl.Manager, config Config, options controller.Options, observers ...Observer) error {
	kueue, installed, err := WorkloadKind(mgr.GetRESTMapper())
	if err != nil {
		return err
	}
	needs := Needs{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Pods: IndexedPods(mgr.GetClient()),
		Events: mgr.GetEventRecorder(manager), Clock: clock.RealClock{},
		Observers: observers,
	}
	if installed {
		needs.Workloads = Workloads(mgr.GetCache(), kueue)
	}
	r, err := New(config, needs)
	if err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, podIndex, controllerUID); err != nil {
		return fmt.Errorf("index pods by job: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.AnalysisJob{}, modelIndex, awaitedModel); err != nil {
		return fmt.Errorf("index analysis jobs by awaited model: %w", err)
	}
	b := ctrl.NewControllerManagedBy(mgr).Named("analysisjob").WithOptions(options).
		For(&v1alpha1.AnalysisJob{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&batchv1.Job{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.noteEnded)).
		Watches(&v1alpha1.ModelVersion{}, handler.EnqueueRequestsFromMapFunc(awaiting(mgr.GetClient())))
	if installed {
		b = b.Watches(workloadOf(kueue), handler.EnqueueRequestsFromMapFunc(jobOfWorkload(mgr.GetClient())))
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("add controller of analysis jobs: %w", err)
	}
	return nil
}

func controllerUID(o client.Object) []string {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}

// awaitedModel is the model a job waits for; none once it has its Job or its end.
func awaitedModel(o client.Object) []string {
	job, ok := o.(*v1alpha1.AnalysisJob)
	if !ok || job.Spec.Model == nil || job.Status.Job != "" || finished(job) {
		return nil
	}
	return []string{job.Spec.Model.Name}
}

// awaiting names the jobs that wait for a model one of whose versions changed.
func awaiting(reader client.Reader) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		version, ok := o.(*v1alpha1.ModelVersion)
		if !ok {
			return nil
		}
		var jobs v1alpha1.AnalysisJobList
		err := reader.List(ctx, &jobs, client.InNamespace(o.GetNamespace()), client.MatchingFields{modelIndex: version.Spec.Model})
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "list jobs that wait for a model", "model", version.Spec.Model)
			return nil
		}
		requests := make([]reconcile.Request, len(jobs.Items))
		for i := range jobs.Items {
			requests[i].NamespacedName = client.ObjectKeyFromObject(&jobs.Items[i])
		}
		return requests
	}
}

// jobOfPod names the AnalysisJob that a shard's pod is of.
func jobOfPod(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetAnnotations()[JobAnnotation]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}}}
}

// noteEnded is jobOfPod; a pod that ended is kept, since it may be gone when a pass looks.
func (r *Reconciler) noteEnded(ctx context.Context, o client.Object) []reconcile.Request {
	requests := jobOfPod(ctx, o)
	if pod, ok := o.(*corev1.Pod); ok && len(requests) > 0 {
		r.memory.note(requests[0].NamespacedName, pod)
	}
	return requests
}

// jobOfWorkload names the AnalysisJob whose Job a Workload of Kueue is for.
func jobOfWorkload(reader client.Reader) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		owner := metav1.GetControllerOf(o)
		if owner == nil || owner.Kind != "Job" {
			return nil
		}
		child, err := getJob(ctx, reader, client.ObjectKey{Namespace: o.GetNamespace(), Name: owner.Name})
		if err != nil || child == nil {
			return nil // not a Job of ours, or one whose own event is still to come
		}
		if owner = metav1.GetControllerOf(child); owner == nil {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: child.Namespace, Name: owner.Name}}}
	}
}
