package charts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
)

// granted are the accounts that have a role on a resource, in order.
func granted(t *testing.T, objects []unstructured.Unstructured, role, resource string) (accounts []string) {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == "IAMPolicyMember" && text(t, o, "spec", "role") == "roles/"+role && text(t, o, "spec", "resourceRef", "name") == resource {
			account, _, err := unstructured.NestedString(o.Object, "spec", "memberFrom", "serviceAccountRef", "name")
			if err != nil {
				t.Fatal(err)
			}
			accounts = append(accounts, strings.TrimPrefix(account, "clarity-"))
		}
	}
	slices.Sort(accounts)
	return accounts
}

// allGoogle renders everything, each account with rights that the chart gives it.
func allGoogle(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	return render(t, "--values="+full, "--set=dataPlane.insights.serviceAccount.googleServiceAccount=")
}

// Each consumer of each topic that the code lists has a subscription of its own, which
// one account reads; no other subscription is made, and each topic is written to.
func TestTheSubscriptionsAreTheConsumersOfTheCode(t *testing.T) {
	objects := allGoogle(t)
	got := map[string]string{} // topics, by subscription
	for _, o := range objects {
		if o.GetKind() == "PubSubSubscription" {
			got[o.GetName()] = text(t, o, "spec", "topicRef", "name")
		}
	}
	want := map[string]string{}
	for topic, consumers := range flow.Consumers() {
		for _, consumer := range consumers {
			name := "clarity-" + topic + "-" + consumer
			want[name] = "clarity-" + topic
			if readers := granted(t, objects, "pubsub.subscriber", name); len(readers) != 1 {
				t.Errorf("%s is read by %v, want one account", name, readers)
			}
		}
		find(t, objects, "PubSubTopic", "clarity-"+topic)
		if writers := granted(t, objects, "pubsub.publisher", "clarity-"+topic); len(writers) == 0 {
			t.Errorf("nobody may publish to %s", topic)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subscriptions (-code +chart):\n%s", diff)
	}
}

// Each kind of object has a bucket, which keeps nothing that is deleted and deletes
// nothing by age: how old what it holds may become, the platform knows. An erasure
// and the retention reach what is of people.
func TestTheBucketsAreTheKindsOfTheCode(t *testing.T) {
	objects := allGoogle(t)
	want := []string{"models", strings.TrimSuffix(blob.Checkpoints, "/")}
	for _, kind := range blob.PersonKinds() {
		want = append(want, kind)
		if writers := granted(t, objects, "storage.objectUser", "clarity-example-clarity-"+kind); !slices.Contains(writers, "erasure") || !slices.Contains(writers, "worker") {
			t.Errorf("%s is written by %v: an erasure and the retention remove what is in it", kind, writers)
		}
	}
	var got []string
	for _, o := range objects {
		if o.GetKind() != "StorageBucket" {
			continue
		}
		got = append(got, strings.TrimPrefix(o.GetName(), "clarity-example-clarity-"))
		if rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "lifecycleRule"); len(rules) > 0 {
			t.Errorf("%s is emptied by age: %v", o.GetName(), rules)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("buckets (-code +chart):\n%s", diff)
	}
}
