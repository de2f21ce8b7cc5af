package operator

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
)

// Two controllers read pods; each sees its own, stripped as it strips them, and nobody else's is held.
func TestACacheForTwoHoldsWhatEachWants(t *testing.T) {
	wish := func(component string) map[client.Object]cache.ByObject {
		return map[client.Object]cache.ByObject{&corev1.Pod{}: {
			Label:      labels.SelectorFromSet(labels.Set{label.Component: component}),
			Namespaces: map[string]cache.Config{"clarity": {}},
			Transform: func(o any) (any, error) {
				o.(*corev1.Pod).Spec.NodeName = "stripped as " + component
				return o, nil
			},
		}}
	}
	merged := merge(wish("shard"), wish("server"))
	if len(merged) != 1 {
		t.Fatalf("pods are held %d times, want once", len(merged))
	}
	for _, by := range merged {
		for component, want := range map[string]string{"shard": "stripped as shard", "server": "stripped as server"} {
			set := labels.Set{label.Component: component}
			if !by.Label.Matches(set) {
				t.Errorf("pods of component %s are not held", component)
			}
			got, err := by.Transform(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: set}})
			if err != nil || got.(*corev1.Pod).Spec.NodeName != want {
				t.Errorf("a pod of component %s is %q, want %q (%v)", component, got.(*corev1.Pod).Spec.NodeName, want, err)
			}
		}
		if by.Label.Matches(labels.Set{label.Component: "other"}) || by.Label.Matches(labels.Set{}) {
			t.Error("pods of nobody are held")
		}
		if _, there := by.Namespaces["clarity"]; !there || len(by.Namespaces) != 1 {
			t.Errorf("namespaces %v, want clarity alone", by.Namespaces)
		}
	}
}
