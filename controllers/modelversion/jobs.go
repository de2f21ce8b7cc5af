package modelversion

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/label"
)

// exitInvalidInput is what a worker exits with where its input can never do
// (sysexits' EX_DATAERR): there is no retry.
const exitInvalidInput = 65

// jobRetries is how often a check is tried again within one Job, with backoff.
const jobRetries = 4

// newJob is the Job of one check: the worker's image, no GPU.
func (r *Reconciler) newJob(m *versionPass, component string, timeout time.Duration, args []string) *batchv1.Job {
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
						ContainerName: new(component), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{exitInvalidInput},
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
	return append([]string{label.Verify}, append(artifactArgs(mv), "--contract="+string(contract))...), nil
}

func artifactArgs(mv *v1alpha1.ModelVersion) []string {
	return []string{
		"--artifact-uri=" + mv.Spec.Artifact.URI, "--artifact-digest=" + mv.Spec.Artifact.Digest,
		"--golden-uri=" + mv.Spec.Validation.GoldenSet.URI, "--golden-digest=" + mv.Spec.Validation.GoldenSet.Digest,
	}
}

func validateArgs(mv *v1alpha1.ModelVersion) []string {
	args := append([]string{label.Validate, "--model=" + mv.Spec.Model, "--version=" + mv.Spec.Version, "--endpoint=" + endpointOf(mv)}, artifactArgs(mv)...)
	return append(args, "--tolerance="+mv.Spec.Validation.Tolerance, "--timeout="+validationTimeout(mv).String())
}

func validationTimeout(mv *v1alpha1.ModelVersion) time.Duration {
	if d := mv.Spec.Validation.Timeout; d != nil && d.Duration > 0 {
		return d.Duration
	}
	return 10 * time.Minute
}

func fetchArgs(mv *v1alpha1.ModelVersion, gpu bool) []string {
	return []string{
		"fetch", "--artifact-uri=" + mv.Spec.Artifact.URI, "--artifact-digest=" + mv.Spec.Artifact.Digest, "--model=" + mv.Spec.Model,
		"--repository=/models", "--max-batch=" + strconv.Itoa(int(mv.Spec.Serving.MaxBatchSize)), "--gpu=" + strconv.FormatBool(gpu),
	}
}

// reasons are the words of workers that are reasons of the API. Any other word
// is no verdict, but its sentence is heard.
var reasons = map[string]string{
	v1alpha1.ReasonDigestMismatch: v1alpha1.ReasonDigestMismatch, v1alpha1.ReasonArtifactNotFound: v1alpha1.ReasonArtifactNotFound,
	v1alpha1.ReasonContractMismatch: v1alpha1.ReasonContractMismatch, v1alpha1.ReasonGoldenSetMismatch: v1alpha1.ReasonGoldenSetMismatch,
	v1alpha1.ReasonUnreadable: v1alpha1.ReasonUnreadable, v1alpha1.ReasonValidationFailed: v1alpha1.ReasonValidationFailed,
	v1alpha1.ReasonValidationTimeout: v1alpha1.ReasonValidationTimeout, "GoldenMismatch": v1alpha1.ReasonValidationFailed,
}
