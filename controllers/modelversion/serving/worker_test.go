package serving

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
)

// What the operator writes of a version is what its workers read of it.
func TestTheWorkerReadsWhatAVersionsChecksAreTold(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	mv := &v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: "pat-2026.11.1", Namespace: "clarity"}, Spec: v1alpha1.ModelVersionSpec{
		Model: "pat", Version: "2026.11.1", Artifact: v1alpha1.Artifact{URI: "gs://models/pat-2026.11.1", Digest: digest},
		Contract: v1alpha1.Contract{
			Inputs:        []v1alpha1.Tensor{{Name: "activity", DType: "FP32", Dims: []int64{10080}}},
			Outputs:       []v1alpha1.OutputTensor{{Tensor: v1alpha1.Tensor{Name: "embedding", DType: "FP32", Dims: []int64{96}}, Kind: "Embedding"}},
			Window:        v1alpha1.Window{EpochSeconds: 60, Epochs: 10080},
			Preprocessing: v1alpha1.Preprocessing{Name: "pre/1", Digest: digest},
		},
		Serving:    v1alpha1.Serving{MaxBatchSize: 64},
		Validation: v1alpha1.Validation{GoldenSet: v1alpha1.Artifact{URI: "gs://models/golden", Digest: digest}},
	}}
	mv.Spec.Validation.Tolerance, mv.Spec.Validation.Timeout = "1e-3", &metav1.Duration{Duration: 90 * time.Second}
	artifact := worker.Artifact{URI: mv.Spec.Artifact.URI, Digest: mv.Spec.Artifact.Digest}
	golden := worker.Artifact{URI: mv.Spec.Validation.GoldenSet.URI, Digest: mv.Spec.Validation.GoldenSet.Digest}

	line, err := verifyArgs(mv)
	if err != nil {
		t.Fatal(err)
	}
	verify, err := worker.ParseVerifyArgs(line[1:], io.Discard)
	contract := verify.Contract
	verify.Contract = ""
	if diff := cmp.Diff(worker.VerifyArgs{Artifact: artifact, Golden: golden}, verify); err != nil || line[0] != worker.Verify || diff != "" {
		t.Errorf("%q: %v (-written +read):\n%s", line, err, diff)
	}
	var declared v1alpha1.Contract
	if err := json.Unmarshal([]byte(contract), &declared); err != nil || !cmp.Equal(declared, mv.Spec.Contract) {
		t.Errorf("contract %s: %v", contract, err)
	}

	line = validateArgs(mv)
	validate, err := worker.ParseValidateArgs(line[1:], io.Discard)
	want := worker.ValidateArgs{Artifact: artifact, Golden: golden, Model: "pat", Version: "2026.11.1", Endpoint: Endpoint(mv),
		Tolerance: "1e-3", Timeout: 90 * time.Second}
	if diff := cmp.Diff(want, validate); err != nil || line[0] != worker.Validate || diff != "" {
		t.Errorf("%q: %v (-written +read):\n%s", line, err, diff)
	}

	for _, gpu := range []bool{true, false} {
		line := fetchArgs(mv, gpu)
		fetch, err := worker.ParseFetchArgs(line[1:], io.Discard)
		want := worker.FetchArgs{Artifact: artifact, Model: "pat", Repository: "/models", MaxBatch: 64, GPU: gpu}
		if diff := cmp.Diff(want, fetch); err != nil || line[0] != worker.Fetch || diff != "" {
			t.Errorf("%q: %v (-written +read):\n%s", line, err, diff)
		}
	}
}
