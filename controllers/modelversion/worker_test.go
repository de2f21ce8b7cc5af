package modelversion

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
)

// What the operator writes of a version is what its workers read of it.
func TestTheWorkerReadsWhatAVersionsChecksAreTold(t *testing.T) {
	mv := MakeVersion("2026.11.1").Obj()
	mv.Namespace, mv.Spec.Serving.MaxBatchSize = "clarity", 64
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
	want := worker.ValidateArgs{Artifact: artifact, Golden: golden, Model: "pat", Version: "2026.11.1", Endpoint: endpointOf(mv),
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
