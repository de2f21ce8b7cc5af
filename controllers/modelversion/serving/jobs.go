package serving

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
)

// jobRetries is how often a check is tried again within one Job, with backoff.
const jobRetries = 4

// VerifyJob checks the version's bundle and golden set, within the time.
func (b *Builder) VerifyJob(mv *v1alpha1.ModelVersion, timeout time.Duration) (*batchv1.Job, error) {
	args, err := verifyArgs(mv)
	if err != nil {
		return nil, err
	}
	return b.newJob(mv, label.Verify, timeout, args), nil
}

// ValidateJob holds the version's servers against its golden vectors.
func (b *Builder) ValidateJob(mv *v1alpha1.ModelVersion) *batchv1.Job {
	const grace = time.Minute // to start, and to say that it ran out of time
	return b.newJob(mv, label.Validate, validationTimeout(mv)+grace, validateArgs(mv))
}

// newJob is the Job of one check: the worker's image, no GPU.
func (b *Builder) newJob(mv *v1alpha1.ModelVersion, component string, timeout time.Duration, args []string) *batchv1.Job {
	labels := labelsOf(mv, component)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: JobName(mv, component), Namespace: mv.Namespace, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(mv, v1alpha1.GroupVersion.WithKind("ModelVersion"))},
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
				{ // no retry mends what the worker is asked for, nor how it is configured
					Action: batchv1.PodFailurePolicyActionFailJob,
					OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
						ContainerName: new(component), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn,
						Values: []int32{worker.ExitInvalidInput, worker.ExitConfiguration},
					},
				},
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy:                corev1.RestartPolicyNever,
					ServiceAccountName:           b.ServiceAccount,
					AutomountServiceAccountToken: new(false),
					EnableServiceLinks:           new(false),
					SecurityContext:              restricted(),
					Containers:                   []corev1.Container{b.worker(component, args, corev1.VolumeMount{Name: "scratch", MountPath: "/tmp"})},
					Volumes:                      []corev1.Volume{scratch("scratch", resource.MustParse("4Gi"), "")},
				},
			},
		},
	}
}

// worker is a container of the worker's image. Its first argument says what it does.
func (b *Builder) worker(name string, args []string, mounts ...corev1.VolumeMount) corev1.Container {
	c := corev1.Container{
		Name: name, Image: b.Image, Args: args, Resources: b.Resources, VolumeMounts: mounts,
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile, // never the log's tail: it would be copied into the pod
		SecurityContext:          confined(),
	}
	if b.ConfigMap != "" {
		c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: b.ConfigMap},
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
		Artifact: artifactOf(mv), Golden: goldenOf(mv), Model: mv.Spec.Model, Version: mv.Spec.Version, Endpoint: Endpoint(mv),
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

// ReasonOf is the reason of the API for a worker's word. A word that is none
// (of another version's worker, say) decides nothing, but its sentence is heard.
func ReasonOf(said termination.Reason, otherwise string) string {
	if slices.Contains(termination.Reasons(), said) {
		return string(said)
	}
	return otherwise
}
