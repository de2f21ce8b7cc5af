package analysisjob

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
)

// What the operator writes on the Jobs and pods of a job.
const (
	// JobAnnotation names the AnalysisJob on its Job and pods.
	JobAnnotation = "clarityloop.dev/analysisjob"

	modelAnnotation  = "clarityloop.dev/model"
	digestAnnotation = "clarityloop.dev/model-digest"
	queueLabel       = "kueue.x-k8s.io/queue-name"
)

// ContainerName is the one container of a shard.
const ContainerName = "shard"

const nonRoot = 65532

// jobName is the Job's name: the object's, as far as a shard's hostname has
// room for it, and a hash of its UID. An object created again under an old
// name gets a Job of its own.
func jobName(job *v1alpha1.AnalysisJob) string {
	hash := sha256.Sum256([]byte(job.UID))
	name := strings.ReplaceAll(job.Name, ".", "-")
	name = strings.TrimRight(name[:min(len(name), 40)], "-")
	return name + "-" + hex.EncodeToString(hash[:5])
}

// newJob writes the Job out: everything that is ever decided about the shards.
func (r *Reconciler) newJob(p *jobPass) *batchv1.Job {
	job := p.job
	labels := map[string]string{
		label.ManagedBy: label.Manager,
		label.Name:      "clarity-shard",
		label.Component: label.Shard,
	}
	annotations := map[string]string{JobAnnotation: job.Name}
	child := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: jobName(job), Namespace: job.Namespace,
			Labels: maps.Clone(labels), Annotations: maps.Clone(annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, v1alpha1.GroupVersion.WithKind("AnalysisJob"))},
		},
		Spec: batchv1.JobSpec{
			CompletionMode:       new(batchv1.IndexedCompletion),
			Completions:          &job.Spec.Shards,
			Parallelism:          new(parallelism(job)),
			BackoffLimitPerIndex: new(retries(job)),
			MaxFailedIndexes:     new(maxFailedShards(job)),
			PodReplacementPolicy: new(batchv1.Failed),
			PodFailurePolicy:     podFailurePolicy(),
			Suspend:              new(job.Spec.Suspend || job.Spec.QueueName != ""),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec:       r.podSpec(p),
			},
		},
	}
	if job.Spec.QueueName != "" {
		child.Labels[queueLabel] = job.Spec.QueueName
	}
	if m := job.Status.Model; m != nil {
		child.Annotations[modelAnnotation] = m.Name + "@" + m.Version
		child.Annotations[digestAnnotation] = m.Digest
	}
	return child
}

// modelOf reads back what newJob wrote.
func modelOf(child *batchv1.Job) *v1alpha1.ResolvedModel {
	name, version, found := strings.Cut(child.Annotations[modelAnnotation], "@")
	if !found {
		return nil
	}
	return &v1alpha1.ResolvedModel{Name: name, Version: version, Digest: child.Annotations[digestAnnotation]}
}

func parallelism(job *v1alpha1.AnalysisJob) int32 {
	if p := job.Spec.Parallelism; p != nil {
		return min(*p, job.Spec.Shards)
	}
	return job.Spec.Shards
}

func retries(job *v1alpha1.AnalysisJob) int32 {
	if n := job.Spec.Retry.PerShard; n != nil {
		return *n
	}
	return 0
}

// maxFailedShards is how many shards may fail and the job still succeeds.
func maxFailedShards(job *v1alpha1.AnalysisJob) int32 {
	if percent := job.Spec.Retry.MaxFailedShardsPercent; percent != nil {
		return int32(int64(job.Spec.Shards) * int64(*percent) / 100) //nolint:gosec // at most shards
	}
	return 0
}

// podFailurePolicy tells preemption from failure, and what a retry can mend from what it cannot.
func podFailurePolicy() *batchv1.PodFailurePolicy {
	return &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{
			Action:          batchv1.PodFailurePolicyActionIgnore,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
		},
		onExit(worker.ExitInvalidInput, batchv1.PodFailurePolicyActionFailIndex),
		onExit(worker.ExitConfiguration, batchv1.PodFailurePolicyActionFailJob), // every pod of the Job is configured so
	}}
}

func onExit(code int32, action batchv1.PodFailurePolicyAction) batchv1.PodFailurePolicyRule {
	return batchv1.PodFailurePolicyRule{Action: action, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
		ContainerName: new(ContainerName), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{code},
	}}
}

// podSpec is a shard's pod, within the restricted Pod Security profile.
func (r *Reconciler) podSpec(p *jobPass) corev1.PodSpec {
	scratch := resource.MustParse("256Mi")
	spec := corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		ServiceAccountName:            r.config.ServiceAccount,
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		PriorityClassName:             p.job.Spec.PriorityClassName,
		NodeSelector:                  r.config.NodeSelector,
		Tolerations:                   r.config.Tolerations,
		TerminationGracePeriodSeconds: new(int64(r.config.GracePeriod.Seconds())),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(nonRoot)), RunAsGroup: new(int64(nonRoot)), FSGroup: new(int64(nonRoot)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Volumes: []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &scratch},
		}}},
		Containers: []corev1.Container{{
			Name: ContainerName, Image: r.config.Image,
			Args: r.shardArgs(p), Env: shardEnv(), Resources: r.config.Resources,
			VolumeMounts:             []corev1.VolumeMount{{Name: "scratch", MountPath: "/tmp"}},
			TerminationMessagePath:   corev1.TerminationMessagePathDefault,
			TerminationMessagePolicy: corev1.TerminationMessageReadFile, // never the log's tail: it would be copied into the pod
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), RunAsNonRoot: new(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
	if r.config.ConfigMap != "" {
		spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: r.config.ConfigMap},
		}}}
	}
	return spec
}

// shardArgs is the command line of the worker; which shard it is stands in the
// environment, where the Job controller puts it.
func (r *Reconciler) shardArgs(p *jobPass) []string {
	spec, status := p.job.Spec, p.job.Status
	args := worker.ShardArgs{
		Run: string(p.job.UID), Shards: int(spec.Shards), Start: status.Window.Start, End: status.Window.End,
		Replace: spec.OnExisting == v1alpha1.OnExistingReplace,
	}
	for _, a := range spec.Analyses {
		args.Analyses = append(args.Analyses, string(a))
	}
	switch s := spec.Subjects; {
	case s.Subject != "":
		args.Subject = s.Subject
	case s.Manifest != nil:
		args.Manifest = worker.Artifact{URI: s.Manifest.URI, Digest: s.Manifest.Digest}
	default:
		args.All = true
	}
	if m := p.model; m != nil {
		args.Model = &worker.ShardModel{Name: m.Spec.Model, Version: m.Spec.Version,
			Artifact: worker.Artifact{URI: m.Spec.Artifact.URI, Digest: m.Spec.Artifact.Digest}}
		if r.config.ModelServer {
			args.Model.Endpoint = m.Status.Serving.Endpoint
		}
	}
	return append([]string{worker.Shard}, args.Flags()...)
}

// shardEnv gives a shard what its attempt's number is made of: each attempt's
// failures, counted and ignored, are together higher than those of the one before.
func shardEnv() []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
		}}
	}
	return []corev1.EnvVar{
		field(worker.EnvPodUID, "metadata.uid"),
		field(worker.EnvShardFailures, "metadata.annotations['"+batchv1.JobIndexFailureCountAnnotation+"']"),
		field(worker.EnvShardIgnoredFailures, "metadata.annotations['"+batchv1.JobIndexIgnoredFailureCountAnnotation+"']"),
	}
}
