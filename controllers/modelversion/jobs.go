package modelversion

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
)

// jobRetries is how often a check is tried again within one Job, with backoff.
const jobRetries = 4

// newJob is the Job of one check: the worker's image, no GPU.
func (r *Reconciler) newJob(m *member, component string, timeout time.Duration, args []string) *batchv1.Job {
	labels := labelsOf(m.mv, component)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: jobName(m, component), Namespace: m.mv.Namespace, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m.mv, v1alpha1.GroupVersion.WithKind("ModelVersion"))},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:          new(int32(jobRetries)),
			ActiveDeadlineSeconds: new(max(int64(timeout.Seconds()), 1)),
			PodReplacementPolicy:  new(batchv1.Failed),
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
				{
					Action:          batchv1.PodFailurePolicyActionIgnore,
					OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
				},
				{
					Action: batchv1.PodFailurePolicyActionFailJob,
					OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
						ContainerName: new(component), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{worker.ExitInvalidInput},
					},
				},
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy:                corev1.RestartPolicyNever,
					ServiceAccountName:           r.config.ServiceAccount,
					AutomountServiceAccountToken: new(false),
					EnableServiceLinks:           new(false),
					SecurityContext:              restricted(),
					Containers:                   []corev1.Container{r.worker(component, args, corev1.VolumeMount{Name: "scratch", MountPath: "/tmp"})},
					Volumes:                      []corev1.Volume{scratch("scratch", resource.MustParse("4Gi"), "")},
				},
			},
		},
	}
}

// worker is a container of the worker's image. Its first argument says what it does.
func (r *Reconciler) worker(name string, args []string, mounts ...corev1.VolumeMount) corev1.Container {
	c := corev1.Container{
		Name: name, Image: r.config.Image, Args: args, Resources: r.config.Resources, VolumeMounts: mounts,
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile, // never the log's tail: it would be copied into the pod
		SecurityContext:          confined(),
	}
	if r.config.ConfigMap != "" {
		c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: r.config.ConfigMap},
		}}}
	}
	return c
}

func scratch(name string, size resource.Quantity, medium corev1.StorageMedium) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size, Medium: medium}}}
}

func verifyArgs(mv *v1alpha1.ModelVersion) ([]string, error) {
	contract, err := json.Marshal(mv.Spec.Contract)
	if err != nil {
		return nil, fmt.Errorf("write contract of %q: %w", mv.Name, err)
	}
	args := worker.VerifyArgs{Artifact: artifactOf(mv), Golden: goldenOf(mv), Contract: string(contract)}
	return append([]string{worker.Verify}, args.Flags()...), nil
}

func artifactOf(mv *v1alpha1.ModelVersion) worker.Artifact {
	return worker.Artifact{URI: mv.Spec.Artifact.URI, Digest: mv.Spec.Artifact.Digest}
}

func goldenOf(mv *v1alpha1.ModelVersion) worker.Artifact {
	return worker.Artifact{URI: mv.Spec.Validation.GoldenSet.URI, Digest: mv.Spec.Validation.GoldenSet.Digest}
}

func validateArgs(mv *v1alpha1.ModelVersion) []string {
	args := worker.ValidateArgs{
		Artifact: artifactOf(mv), Golden: goldenOf(mv), Model: mv.Spec.Model, Version: mv.Spec.Version, Endpoint: endpointOf(mv),
		Tolerance: mv.Spec.Validation.Tolerance, Timeout: validationTimeout(mv),
	}
	return append([]string{worker.Validate}, args.Flags()...)
}

func validationTimeout(mv *v1alpha1.ModelVersion) time.Duration {
	if d := mv.Spec.Validation.Timeout; d != nil && d.Duration > 0 {
		return d.Duration
	}
	return 10 * time.Minute
}

func fetchArgs(mv *v1alpha1.ModelVersion, gpu bool) []string {
	args := worker.FetchArgs{
		Artifact: artifactOf(mv), Model: mv.Spec.Model, Repository: "/models", MaxBatch: int(mv.Spec.Serving.MaxBatchSize), GPU: gpu,
	}
	return append([]string{worker.Fetch}, args.Flags()...)
}

// reasonOf is the reason of the API for a worker's word. A word that is none
// (of another version's worker, say) is no verdict, but its sentence is heard.
func reasonOf(said termination.Reason, otherwise string) string {
	if slices.Contains(termination.Reasons(), said) {
		return string(said)
	}
	return otherwise
}

// A checkEnd is how a Job ended.
type checkEnd struct {
	succeeded bool
	deadline  bool // it ran out of time
	final     bool // the worker says that its input can never do
	exitCode  *int32
	pod       string
	result    *termination.Result // nil where there is none to be read
}

// endOf reads how the Job ended; nil while it has not. The pods are asked of
// the API server itself: the cache may have heard of the Job's end alone.
func (r *Reconciler) endOf(ctx context.Context, job *batchv1.Job, component string) (*checkEnd, error) {
	var last *batchv1.JobCondition
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			last = c
		}
	}
	if last == nil {
		return nil, nil
	}
	end := &checkEnd{succeeded: last.Type == batchv1.JobComplete, deadline: last.Reason == batchv1.JobReasonDeadlineExceeded}
	var pods corev1.PodList
	err := r.Live.List(ctx, &pods, client.InNamespace(job.Namespace), client.MatchingLabels{batchv1.ControllerUidLabel: string(job.UID)})
	if err != nil {
		return nil, fmt.Errorf("list pods of job %q: %w", job.Name, err)
	}
	var at metav1.Time
	for i := range pods.Items {
		for _, c := range pods.Items[i].Status.ContainerStatuses {
			t := c.State.Terminated
			if c.Name != component || t == nil || (t.ExitCode == 0) != end.succeeded || end.pod != "" && t.FinishedAt.Before(&at) {
				continue
			}
			at, end.pod, end.exitCode = t.FinishedAt, pods.Items[i].Name, &t.ExitCode
			end.final, end.result = t.ExitCode == worker.ExitInvalidInput, nil
			if said, err := termination.ParseResult(t.Message); err == nil {
				end.result = &said
			}
		}
	}
	return end, nil
}

// createJob brings a check into the world. A second create finds the first one's Job.
func (r *Reconciler) createJob(ctx context.Context, m *member, job *batchv1.Job) error {
	if err := r.confirm(ctx, m); err != nil {
		return err
	}
	err := r.Client.Create(ctx, job, client.FieldOwner(manager))
	switch {
	case apierrors.IsAlreadyExists(err):
		var there batchv1.Job
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(job), &there); err != nil {
			return fmt.Errorf("get job %q: %w", job.Name, err)
		}
		if !metav1.IsControlledBy(&there, m.mv) {
			m.stick(v1alpha1.ReasonChildNameTaken, fmt.Sprintf("Job %q exists and is not this version's: delete it", job.Name))
		}
		return nil
	case refused(err):
		m.stick(v1alpha1.ReasonChildRefused, fmt.Sprintf("the API server refuses Job %q: %v", job.Name, apierrors.ReasonForError(err)))
		return nil
	case err != nil:
		return fmt.Errorf("create job %q: %w", job.Name, err)
	}
	return nil
}

// refused says whether the API server will not have the object, however often it is asked.
func refused(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) }

// confirm asks the API server itself, once a pass and before anything is
// created for the version: nothing is made under one that is being deleted, or
// for a state that is past.
func (r *Reconciler) confirm(ctx context.Context, m *member) error {
	if m.fresh {
		return nil
	}
	var live v1alpha1.ModelVersion
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(m.mv), &live)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("serve %q: %w", m.mv.Name, errStale)
	case err != nil:
		return fmt.Errorf("get model version %q from the API server: %w", m.mv.Name, err)
	case live.UID != m.mv.UID || !live.DeletionTimestamp.IsZero() || live.ResourceVersion != m.before.ResourceVersion:
		return fmt.Errorf("serve %q: %w", m.mv.Name, errStale)
	}
	m.fresh = true
	return nil
}
