package modelversion

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// The reads of these tests come from watches: whatever was written through the
// same client, they show at once what the API server itself would.
func TestTheMirrorShowsEveryWriteAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "servers", Namespace: w.Name, Labels: map[string]string{"of": "1"}}}
	server.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"of": "1"}}
	server.Spec.Template.Labels, server.Spec.Template.Spec.Containers = server.Labels, []corev1.Container{{Name: "c", Image: "c"}}
	first, held := MakeVersion("1").Obj(), MakeVersion("2").Obj()
	first.Namespace, held.Namespace, held.Finalizers = w.Name, w.Name, []string{"example.com/held"}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"nothing is there", func() error { return nil }},
		{"a version is created", func() error { return w.live.Create(t.Context(), first) }},
		{"another, which is held", func() error { return w.live.Create(t.Context(), held) }},
		{"a status is patched", func() error {
			before := first.DeepCopy()
			first.Status.Message = "x"
			return w.live.Status().Patch(t.Context(), first, client.MergeFrom(before))
		}},
		{"a spec is changed", func() error { w.edit(first, func(s *v1alpha1.ModelVersionSpec) { s.Retire = true }); return nil }},
		{"nothing is changed", func() error { w.edit(first, func(*v1alpha1.ModelVersionSpec) {}); return nil }},
		{"servers are created", func() error { return w.live.Create(t.Context(), &server) }},
		{"servers are scaled", func() error {
			wish := appsac.Deployment(server.Name, w.Name).WithSpec(appsac.DeploymentSpec().WithReplicas(7))
			return w.live.Apply(t.Context(), wish, client.FieldOwner("test"), client.ForceOwnership)
		}},
		{"servers are labelled", func() error {
			return w.live.Patch(t.Context(), &server, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"of":"2"}}}`)))
		}},
		{"a version is deleted", func() error { return w.live.Delete(t.Context(), first) }},
		{"the held one is deleted", func() error { return w.live.Delete(t.Context(), MakeVersion("2").at(w)) }},
		{"it is deleted again", func() error { return w.live.Delete(t.Context(), MakeVersion("2").at(w)) }},
		{"servers are deleted", func() error { return w.live.Delete(t.Context(), &server) }},
	} {
		w.must(step.do())
		for what, read := range map[string]func(client.Reader) (any, error){
			"versions": func(c client.Reader) (any, error) {
				var list v1alpha1.ModelVersionList
				err := c.List(t.Context(), &list, client.InNamespace(w.Name))
				return list.Items, err
			},
			"versions of the model": func(c client.Reader) (any, error) {
				var list v1alpha1.ModelVersionList
				err := c.List(t.Context(), &list, client.InNamespace(w.Name), client.MatchingFields{modelField: "pat"})
				return list.Items, err
			},
			"versions of another": func(c client.Reader) (any, error) {
				var list v1alpha1.ModelVersionList
				err := c.List(t.Context(), &list, client.InNamespace(w.Name), client.MatchingFields{modelField: "other"})
				return list.Items, err
			},
			"servers of 1": func(c client.Reader) (any, error) {
				var list appsv1.DeploymentList
				err := c.List(t.Context(), &list, client.InNamespace(w.Name), client.MatchingLabels{"of": "1"})
				return list.Items, err
			},
			"the servers": func(c client.Reader) (any, error) {
				var o appsv1.Deployment
				err := c.Get(t.Context(), client.ObjectKeyFromObject(&server), &o)
				return o, client.IgnoreNotFound(err)
			},
		} {
			mirrored, err := read(w.live)
			w.must(err)
			there, err := read(w.Live)
			w.must(err)
			if diff := cmp.Diff(there, mirrored, cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(metav1.TypeMeta{})); diff != "" {
				t.Errorf("%s: %s (-server +mirror):\n%s", step.name, what, diff)
			}
		}
	}
}
