package triton

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

func TestRepository(t *testing.T) {
	b := &bundle.Bundle{
		Digest: "sha256:ab", Card: "# Card", Preprocessing: preprocess.Spec{ID: preprocess.Simact},
		Contract: bundle.Contract{Name: "pat-s", Label: `a "preview"`, Input: bundle.Input{Name: "activity"},
			Outputs: []model.Output{{Name: "embedding", Length: 96}, {Name: "sleep", Length: 560}}},
	}
	files := Repository(b, []byte("onnx"), DefaultServing())
	if diff := cmp.Diff([]string{"pat-s/1/model.onnx", "pat-s/MODEL_CARD.md", "pat-s/config.pbtxt"}, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	want := `name: "pat-s"
platform: "onnxruntime_onnx"
max_batch_size: 64
input [
  { name: "activity" data_type: TYPE_FP32 dims: [ 10080 ] }
]
output [
  { name: "embedding" data_type: TYPE_FP32 dims: [ 96 ] },
  { name: "sleep" data_type: TYPE_FP32 dims: [ 560 ] }
]
instance_group [
  { count: 1 kind: KIND_GPU }
]
dynamic_batching {
  max_queue_delay_microseconds: 5000
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 2000000
    allow_timeout_override: true
    max_queue_size: 1024
  }
}
model_warmup [
  {
    name: "zeros_1"
    batch_size: 1
    inputs { key: "activity" value { data_type: TYPE_FP32 dims: [ 10080 ] zero_data: true } }
  }
]
model_warmup [
  {
    name: "zeros_64"
    batch_size: 64
    inputs { key: "activity" value { data_type: TYPE_FP32 dims: [ 10080 ] zero_data: true } }
  }
]
parameters { key: "digest" value { string_value: "sha256:ab" } }
parameters { key: "label" value { string_value: "a \"preview\"" } }
parameters { key: "preprocessing" value { string_value: "simact-pre/1" } }
`
	if diff := cmp.Diff(want, string(files["pat-s/config.pbtxt"])); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	one := DefaultServing()
	one.Model, one.MaxBatch = "sleep", 1
	served := Repository(b, []byte("onnx"), one)
	if got := string(served["sleep/config.pbtxt"]); !strings.HasPrefix(got, "name: \"sleep\"\n") || strings.Count(got, "zeros_1\"") != 1 || len(served) != 3 {
		t.Errorf("under another name, in batches of one: %d files, %s", len(served), got)
	}
	b.Papers = bundle.Papers{Manifest: []byte(`{"a":"ü"}`), Contract: []byte("{\n}"), Preprocessing: []byte("{}")}
	for _, want := range []string{
		`parameters { key: "manifest" value { string_value: "{\"a\":\"\303\274\"}" } }`,
		`parameters { key: "contract" value { string_value: "{\012}" } }`,
		`parameters { key: "preprocessing_spec" value { string_value: "{}" } }`,
	} {
		if got := config(b, DefaultServing()); !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	cpu := DefaultServing()
	cpu.GPU = false
	if got := config(b, cpu); !strings.Contains(got, "KIND_CPU") {
		t.Errorf("no CPU instance in %s", got)
	}
}
