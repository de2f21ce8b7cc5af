package label_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/label"
)

// What lies in a cluster is found by these words: a release that changes one
// finds nothing of the release before.
func TestTheWordsStay(t *testing.T) {
	want := map[string]string{
		label.Component: "clarityloop.dev/component", label.Model: "clarityloop.dev/model", label.Version: "clarityloop.dev/version",
		label.Instance: "app.kubernetes.io/instance", label.ManagedBy: "app.kubernetes.io/managed-by", label.Name: "app.kubernetes.io/name",
		label.Manager: "clarity",
		label.Server:  "server", label.Verify: "verify", label.Validate: "validate", label.Plan: "traffic-plan", label.Shard: "shard",
		label.InstanceSuffix("0f8fad5b-d9cb-469f-a165-70867728950e"): "-c812e1edb6",
	}
	for got, want := range want {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
