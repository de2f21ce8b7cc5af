package modelversion

import (
	"context"
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// copyInto makes to what from is.
func copyInto(from, to runtime.Object) {
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from.DeepCopyObject()).Elem())
}

// frozen is a cache that has heard nothing of ModelVersions since it was made.
type frozen struct {
	client.WithWatch
	versions v1alpha1.ModelVersionList
}

func (f *frozen) List(ctx context.Context, o client.ObjectList, opts ...client.ListOption) error {
	if _, ok := o.(*v1alpha1.ModelVersionList); ok {
		copyInto(&f.versions, o)
		return nil
	}
	return f.WithWatch.List(ctx, o, opts...)
}

// Invariant 9, at everything that would be made next, with a cache that knows
// of the deletion and one that does not.
func TestNothingIsMadeUnderAVersionBeingDeleted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		at   v1alpha1.Stage // the moment it is first in the stage
		next string         // what would be made
	}{
		"its check":      {"", "Job verify"},
		"its servers":    {v1alpha1.StageStarting, "Deployment"},
		"its validation": {v1alpha1.StageValidating, "Job validate"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.watchAll()
			mv := MakeVersion("1").Obj()
			mv.Finalizers = []string{"example.com/held"}
			w.create(mv)
			if tt.at != "" {
				w.until("it is "+string(tt.at), w.in(mv, tt.at))
			}
			if w.made()[tt.next] {
				t.Fatalf("%s is there too early for this test", tt.next)
			}
			cache := &frozen{WithWatch: w.live}
			w.must(w.live.List(t.Context(), &cache.versions, client.InNamespace(w.Name)))
			w.must(w.live.Delete(t.Context(), w.read(mv)))
			for what, reader := range map[string]client.WithWatch{"a stale cache": cache, "a fresh cache": w.live} {
				w.operator.Client = w.crash.Wrap(reader)
				for range 3 {
					if _, err := w.pass(); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
				if w.made()[tt.next] {
					t.Errorf("%s: %s is made under a version that is being deleted", what, tt.next)
				}
			}
		})
	}
}

// made is what there is that was made for versions.
func (w *world) made() map[string]bool {
	w.t.Helper()
	there := map[string]bool{}
	var deployments appsv1.DeploymentList
	w.must(w.live.List(w.t.Context(), &deployments, client.InNamespace(w.Name)))
	there["Deployment"] = len(deployments.Items) > 0
	var jobs batchv1.JobList
	w.must(w.live.List(w.t.Context(), &jobs, client.InNamespace(w.Name)))
	for i := range jobs.Items {
		there["Job "+jobs.Items[i].Labels[label.Component]] = true
	}
	return there
}
