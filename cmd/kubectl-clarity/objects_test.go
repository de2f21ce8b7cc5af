package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

const digestOfOnes = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// versionWrapper builds a ModelVersion in a sentence.
type versionWrapper struct{ v v1alpha1.ModelVersion }

// MakeVersion is a version of a model that the operator has seen.
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
				Preprocessing: v1alpha1.Preprocessing{Name: "simact-pre/1", Digest: digestOfOnes},
			},
			Serving:    v1alpha1.Serving{Class: "gpu-l4"},
			Validation: v1alpha1.Validation{GoldenSet: v1alpha1.Artifact{URI: "gs://models/golden", Digest: digestOfOnes}},
		},
		Status: v1alpha1.ModelVersionStatus{ObservedGeneration: 1},
	}}
}

func (w *versionWrapper) Stage(s v1alpha1.Stage, reason, message string) *versionWrapper {
	w.v.Status.Stage, w.v.Status.Reason, w.v.Status.Message = s, reason, message
	return w
}
func (w *versionWrapper) Since(t time.Time) *versionWrapper {
	w.v.Status.Since = &metav1.Time{Time: t}
	return w
}
func (w *versionWrapper) Condition(kind string, status metav1.ConditionStatus, reason string, since time.Time) *versionWrapper {
	w.v.Status.Conditions = append(w.v.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(since)})
	return w
}
func (w *versionWrapper) Weight(percent int32) *versionWrapper {
	w.v.Status.Traffic.Weight = percent
	return w
}
func (w *versionWrapper) Serving(loaded, replicas int32, summary string) *versionWrapper {
	w.v.Status.Serving = v1alpha1.ServingStatus{Replicas: replicas, Ready: loaded, Loaded: loaded, Summary: summary}
	return w
}

// Served has been promoted, and demoted unless demoted is zero.
func (w *versionWrapper) Served(promoted, demoted time.Time) *versionWrapper {
	w.v.Status.Rollout = &v1alpha1.RolloutStatus{Promoted: &metav1.Time{Time: promoted}}
	if !demoted.IsZero() {
		w.v.Status.Rollout.Demoted = &metav1.Time{Time: demoted}
	}
	return w.Condition(v1alpha1.ConditionValidated, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, promoted)
}
func (w *versionWrapper) Obj() *v1alpha1.ModelVersion {
	return w.v.DeepCopy()
}

// jobWrapper builds an AnalysisJob in a sentence.
type jobWrapper struct{ j v1alpha1.AnalysisJob }

// MakeJob is everyone's last week, wear only, that the operator has seen.
func MakeJob(name string, shards int32) *jobWrapper {
	return &jobWrapper{v1alpha1.AnalysisJob{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AnalysisJobSpec{
			Subjects: v1alpha1.Subjects{All: &v1alpha1.AllSubjects{}},
			Window:   v1alpha1.AnalysisWindow{LastDays: new(int32(7))},
			Analyses: []v1alpha1.AnalysisName{"wear"}, Shards: shards,
		},
		Status: v1alpha1.AnalysisJobStatus{ObservedGeneration: 1},
	}}
}

func (w *jobWrapper) State(s v1alpha1.State, message string) *jobWrapper {
	w.j.Status.State, w.j.Status.Message = s, message
	return w
}
func (w *jobWrapper) Condition(kind string, status metav1.ConditionStatus, reason string, since time.Time) *jobWrapper {
	w.j.Status.Conditions = append(w.j.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(since)})
	return w
}
func (w *jobWrapper) Child(name string) *jobWrapper { w.j.Status.Job = name; return w }
func (w *jobWrapper) Obj() *v1alpha1.AnalysisJob    { return w.j.DeepCopy() }

// planOf is the ConfigMap of a plan, with a record of those that served before, as the operator writes it.
func planOf(t *testing.T, p traffic.Plan, former ...types.UID) *corev1.ConfigMap {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	plan, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	type seat struct {
		UID types.UID `json:"uid"`
	}
	seats := make([]seat, len(former))
	for i, uid := range former {
		seats[i].UID = uid
	}
	record, err := json.Marshal(map[string][]seat{"former": seats})
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: traffic.ConfigMapName(p.Model)},
		Data:       map[string]string{traffic.PlanKey: string(plan), "rollout.json": string(record)},
	}
}

func entry(version string, weight int32) traffic.Entry {
	return traffic.Entry{Version: version, Weight: weight, Endpoint: "v" + version + ".clarity.svc:8001", Digest: digestOfOnes}
}

// lines splits and drops the last, empty one.
func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }
