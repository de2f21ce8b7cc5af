package serving

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

func TestChildNames(t *testing.T) {
	named := func(name string) string {
		return Name(&v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}})
	}
	hash := named("x")[1:]
	for name, want := range map[string]string{
		"pat-s-2026.11.1":        "pat-s-2026-11-1" + hash,
		"2026.11":                "v2026-11" + hash,
		"0":                      "v0" + hash,
		"9":                      "v9" + hash,
		strings.Repeat("9", 60):  "v" + strings.Repeat("9", 39) + hash,
		strings.Repeat("a.", 60): strings.Repeat("a-", 19) + "a" + hash,
	} {
		if got := named(name); got != want {
			t.Errorf("%.20s: %q, want %q", name, got, want)
		}
	}
	if Name(&v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "other"}}) == named("x") {
		t.Error("an object created again has the name of the one before")
	}
}

func TestSharingSelectsNodes(t *testing.T) {
	tests := map[SharingMode]struct {
		sharing Sharing
		want    map[string]string
	}{
		SharingWhole:     {Sharing{}, map[string]string{"a": "b"}},
		SharingMIG:       {Sharing{Partition: "1g.5gb"}, map[string]string{"a": "b", "cloud.google.com/gke-gpu-partition-size": "1g.5gb"}},
		SharingTimeSlice: {Sharing{Clients: 3}, map[string]string{"a": "b", "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing", "cloud.google.com/gke-max-shared-clients-per-gpu": "3"}},
	}
	for mode, tt := range tests {
		t.Run(string(mode), func(t *testing.T) {
			class := Class{NodeSelector: map[string]string{"a": "b"}, Sharing: tt.sharing}
			class.Sharing.Mode = mode
			if diff := cmp.Diff(tt.want, nodesOf(class)); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
			if len(class.NodeSelector) != 1 {
				t.Error("the configuration was written to")
			}
		})
	}
}

// A class that names no nodes gets those that share as it says, down to one server a GPU.
func TestSharingSelectsNodesOfAClassThatNamesNone(t *testing.T) {
	want := map[string]string{"cloud.google.com/gke-gpu-sharing-strategy": "time-sharing", "cloud.google.com/gke-max-shared-clients-per-gpu": "1"}
	if diff := cmp.Diff(want, nodesOf(Class{Sharing: Sharing{Mode: SharingTimeSlice, Clients: 1}})); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if got := nodesOf(Class{Sharing: Sharing{Mode: SharingWhole}}); got != nil {
		t.Errorf("a whole GPU selects %v", got)
	}
}

func TestEveryReasonAWorkerMaySayEndsAVersion(t *testing.T) {
	for _, said := range termination.Reasons() {
		if !rollout.IsFinal(string(said)) {
			t.Errorf("%s does not", said)
		}
	}
}

// What a worker's exit code means for the Job of a check: 1 is tried again, 65 and 78 are not.
func TestNoCheckIsRetriedThatNoRetryMends(t *testing.T) {
	mv := &v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: "pat-s-1", Namespace: "n", UID: "u"}}
	b := &Builder{}
	verify, err := b.VerifyJob(mv, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for component, job := range map[string]*batchv1.Job{label.Verify: verify, label.Validate: b.ValidateJob(mv)} {
		got := map[int32]batchv1.PodFailurePolicyAction{}
		for _, rule := range job.Spec.PodFailurePolicy.Rules {
			if on := rule.OnExitCodes; on != nil && on.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn && *on.ContainerName == component {
				for _, code := range on.Values {
					got[code] = rule.Action
				}
			}
		}
		want := map[int32]batchv1.PodFailurePolicyAction{
			worker.ExitInvalidInput:  batchv1.PodFailurePolicyActionFailJob,
			worker.ExitConfiguration: batchv1.PodFailurePolicyActionFailJob,
		}
		if diff := cmp.Diff(want, got); diff != "" || *job.Spec.BackoffLimit < 1 {
			t.Errorf("%s: %d retries; actions by exit code (-want +got):\n%s", component, *job.Spec.BackoffLimit, diff)
		}
	}
}
