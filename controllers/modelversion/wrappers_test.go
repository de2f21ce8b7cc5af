package modelversion

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// versionWrapper builds a ModelVersion in a sentence.
type versionWrapper struct{ mv v1alpha1.ModelVersion }

// MakeVersion is a version that goes through a shadow and two steps, behind one gate.
func MakeVersion(version string) *versionWrapper {
	return &versionWrapper{v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Name: "pat-" + version},
		Spec: v1alpha1.ModelVersionSpec{
			Model: "pat", Version: version,
			Artifact: v1alpha1.Artifact{URI: "gs://models/pat-" + version, Digest: "sha256:" + zeros},
			Contract: v1alpha1.Contract{
				Inputs:        []v1alpha1.Tensor{{Name: "activity", DType: "FP32", Dims: []int64{10080}}},
				Outputs:       []v1alpha1.OutputTensor{{Tensor: v1alpha1.Tensor{Name: "embedding", DType: "FP32", Dims: []int64{96}}, Kind: "Embedding"}},
				Window:        v1alpha1.Window{EpochSeconds: 60, Epochs: 10080},
				Preprocessing: v1alpha1.Preprocessing{Name: "pre/1", Digest: "sha256:" + zeros},
			},
			Serving:    v1alpha1.Serving{Class: "gpu", Replicas: v1alpha1.Replicas{Min: 1, Max: 2}},
			Validation: v1alpha1.Validation{GoldenSet: v1alpha1.Artifact{URI: "gs://models/golden", Digest: "sha256:" + zeros}},
			Rollout: v1alpha1.Rollout{
				Strategy: v1alpha1.StrategyCanary,
				Shadow:   &v1alpha1.Shadow{Percent: 10, MinSamples: 100},
				Steps: []v1alpha1.Step{
					{Weight: 5, MinDuration: &metav1.Duration{Duration: time.Minute}, MinSamples: 100},
					{Weight: 50, MinDuration: &metav1.Duration{Duration: time.Minute}},
				},
				Gates: []v1alpha1.Gate{
					{Name: "p99", Source: v1alpha1.GateSource{Latency: &v1alpha1.LatencySource{}}, Max: new(resource.MustParse("250m"))},
					{Name: "drift", Source: v1alpha1.GateSource{ShadowDrift: &v1alpha1.ShadowDriftSource{Output: "embedding"}}, Max: new(resource.MustParse("50m"))},
				},
			},
		},
	}}
}

func (w *versionWrapper) Named(name string) *versionWrapper { w.mv.Name = name; return w }
func (w *versionWrapper) Class(name string) *versionWrapper { w.mv.Spec.Serving.Class = name; return w }
func (w *versionWrapper) Strategy(s v1alpha1.Strategy) *versionWrapper {
	w.mv.Spec.Rollout.Strategy = s
	return w
}
func (w *versionWrapper) Rollout(change func(*v1alpha1.Rollout)) *versionWrapper {
	change(&w.mv.Spec.Rollout)
	return w
}
func (w *versionWrapper) Preprocessing(name string) *versionWrapper {
	w.mv.Spec.Contract.Preprocessing.Name = name
	return w
}
func (w *versionWrapper) Replicas(least, most int32) *versionWrapper {
	w.mv.Spec.Serving.Replicas = v1alpha1.Replicas{Min: least, Max: most}
	return w
}
func (w *versionWrapper) Obj() *v1alpha1.ModelVersion { return w.mv.DeepCopy() }
