package analysisjob

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// jobWrapper builds an AnalysisJob in a sentence.
type jobWrapper struct{ job v1alpha1.AnalysisJob }

// MakeJob is everyone's last week, wear only, in one shard.
func MakeJob(name string) *jobWrapper {
	return &jobWrapper{v1alpha1.AnalysisJob{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AnalysisJobSpec{
			Subjects: v1alpha1.Subjects{All: &v1alpha1.AllSubjects{}},
			Window:   v1alpha1.AnalysisWindow{LastDays: new(int32(7))},
			Analyses: []v1alpha1.AnalysisName{"wear"},
			Shards:   1, OnExisting: v1alpha1.OnExistingSkip,
		},
	}}
}

func (w *jobWrapper) Shards(n int32) *jobWrapper      { w.job.Spec.Shards = n; return w }
func (w *jobWrapper) Parallelism(n int32) *jobWrapper { w.job.Spec.Parallelism = &n; return w }
func (w *jobWrapper) Subject(pseudonym string) *jobWrapper {
	w.job.Spec.Subjects = v1alpha1.Subjects{Subject: pseudonym}
	return w
}
func (w *jobWrapper) Retry(perShard, percent int32) *jobWrapper {
	w.job.Spec.Retry = v1alpha1.Retry{PerShard: &perShard, MaxFailedShardsPercent: &percent}
	return w
}
func (w *jobWrapper) Queue(name string) *jobWrapper { w.job.Spec.QueueName = name; return w }
func (w *jobWrapper) Suspend() *jobWrapper          { w.job.Spec.Suspend = true; return w }
func (w *jobWrapper) Cancel() *jobWrapper           { w.job.Spec.Cancel = true; return w }
func (w *jobWrapper) TTL(seconds int32) *jobWrapper {
	w.job.Spec.TTLSecondsAfterFinished = &seconds
	return w
}
func (w *jobWrapper) Model(name, version string) *jobWrapper {
	w.job.Spec.Model = &v1alpha1.ModelReference{Name: name, Version: version}
	w.job.Spec.Analyses = append(w.job.Spec.Analyses, "model")
	return w
}
func (w *jobWrapper) StartWithin(d time.Duration) *jobWrapper {
	w.deadline().StartWithin = &metav1.Duration{Duration: d}
	return w
}
func (w *jobWrapper) CompleteWithin(d time.Duration) *jobWrapper {
	w.deadline().CompleteWithin = &metav1.Duration{Duration: d}
	return w
}
func (w *jobWrapper) Days(start, end string) *jobWrapper {
	w.job.Spec.Window = v1alpha1.AnalysisWindow{Start: start, End: end}
	return w
}
func (w *jobWrapper) deadline() *v1alpha1.Deadline {
	if w.job.Spec.Deadline == nil {
		w.job.Spec.Deadline = &v1alpha1.Deadline{}
	}
	return w.job.Spec.Deadline
}
func (w *jobWrapper) Obj() *v1alpha1.AnalysisJob { return w.job.DeepCopy() }

// versionWrapper builds a ModelVersion.
type versionWrapper struct{ version v1alpha1.ModelVersion }

const digestOfOnes = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// MakeVersion is a version of a model in a stage, validated.
func MakeVersion(model, version string) *versionWrapper {
	return &versionWrapper{v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Name: model + "-" + version},
		Spec: v1alpha1.ModelVersionSpec{
			Model: model, Version: version,
			Artifact: v1alpha1.Artifact{URI: "gs://models/" + model, Digest: digestOfOnes},
			Contract: v1alpha1.Contract{
				Inputs:        []v1alpha1.Tensor{{Name: "activity", DType: "FP32", Dims: []int64{10080}}},
				Outputs:       []v1alpha1.OutputTensor{{Tensor: v1alpha1.Tensor{Name: "embedding", DType: "FP32", Dims: []int64{96}}, Kind: "Embedding"}},
				Window:        v1alpha1.Window{EpochSeconds: 60, Epochs: 10080},
				Preprocessing: v1alpha1.Preprocessing{Name: "pre", Digest: digestOfOnes},
			},
			Serving:    v1alpha1.Serving{Class: "gpu", Replicas: v1alpha1.Replicas{Min: 1, Max: 1}},
			Validation: v1alpha1.Validation{GoldenSet: v1alpha1.Artifact{URI: "gs://models/golden", Digest: digestOfOnes}},
		},
	}}
}

func (w *versionWrapper) Stage(s v1alpha1.Stage) *versionWrapper {
	w.version.Status.Stage = s
	return w
}
func (w *versionWrapper) Endpoint(hostPort string) *versionWrapper {
	w.version.Status.Serving.Endpoint = hostPort
	return w
}
func (w *versionWrapper) Validated() *versionWrapper {
	w.version.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionValidated, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, LastTransitionTime: metav1.Now(),
	}}
	return w
}
func (w *versionWrapper) Obj() *v1alpha1.ModelVersion { return w.version.DeepCopy() }
