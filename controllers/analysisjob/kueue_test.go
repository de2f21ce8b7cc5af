package analysisjob

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

// workloadCRD has of Kueue's Workload what this package touches.
func workloadCRD() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "workloads.kueue.x-k8s.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "kueue.x-k8s.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "workloads", Singular: "workload", Kind: "Workload", ListKind: "WorkloadList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1beta2", Served: true, Storage: true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true),
				}},
			}},
		},
	}
}

// withKueue installs the kind and lets the operator see it.
func (w *world) withKueue() {
	w.t.Helper()
	_, err := envtest.InstallCRDs(w.Rest, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{workloadCRD()}})
	w.must(err)
	fresh, err := client.New(w.Rest, client.Options{Scheme: testenv.Scheme(w.t)})
	w.must(err)
	kind, installed, err := WorkloadKind(fresh.RESTMapper())
	w.must(err)
	if !installed {
		w.t.Fatal("Kueue's kind is installed and not found")
	}
	w.kueue = Workloads(w.live, kind)
	w.start(-1, false)
}

func TestWithoutKueueThereIsNoKind(t *testing.T) {
	kind, installed, err := WorkloadKind(meta.NewDefaultRESTMapper(nil))
	if err != nil || installed {
		t.Errorf("WorkloadKind of an API server without Kueue: %v, %v, %v; want none", kind, installed, err)
	}
}

func TestAQueuedJobWaitsForKueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchConditions()
	w.withKueue()
	job := w.create(MakeJob("queued").Queue("night").Obj())
	got := w.settle(job)
	wantCondition(t, got, v1alpha1.ConditionQueued, metav1.ConditionTrue, v1alpha1.ReasonWaitingForQueue)
	child := w.child(job)
	if !suspended(child) || child.Labels[queueLabel] != "night" {
		t.Fatalf("suspended %v, labels %v; want born suspended with the queue's label", suspended(child), child.Labels)
	}

	workload := w.workloadFor(child)
	w.clock.Step(time.Minute)
	if got := w.settle(job); got.Status.State != v1alpha1.StateQueued || got.Status.Message != "no quota for cpu until morning" {
		t.Errorf("state %s, message %q; want Kueue's reason", got.Status.State, got.Status.Message)
	}
	w.isQuiet(job)

	w.admit(child)
	got = w.until(job, allRun, "running", inState(v1alpha1.StateRunning))
	wantCondition(t, got, v1alpha1.ConditionQueued, metav1.ConditionFalse, v1alpha1.ReasonAdmitted)

	w.edit(job, func(s *v1alpha1.AnalysisJobSpec) { s.Suspend = true })
	w.settle(job)
	if active, set := w.active(workload); !set || active {
		t.Error("the workload stays active while the job is suspended")
	}
	if suspended(w.child(job)) {
		t.Error("the operator suspended a Job that is Kueue's to suspend")
	}
	w.edit(job, func(s *v1alpha1.AnalysisJobSpec) { s.Suspend = false })
	w.settle(job)
	if active, _ := w.active(workload); !active {
		t.Error("the workload stays inactive after resume")
	}
	w.until(job, allSucceed(3), "ended", inState(v1alpha1.StateSucceeded))
}

func TestAQueuedJobThatIsSuspendedIsNotBornYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("unborn").Queue("night").Suspend().Obj())
	if got := w.settle(job); got.Status.State != v1alpha1.StateSuspended || w.child(job) != nil {
		t.Errorf("state %s, Job %v; want suspended without a Job", got.Status.State, w.child(job))
	}
	w.edit(job, func(s *v1alpha1.AnalysisJobSpec) { s.Suspend = false })
	if got := w.settle(job); got.Status.State != v1alpha1.StateQueued || w.child(job) == nil {
		t.Errorf("state %s, Job %v; want queued with a Job", got.Status.State, w.child(job))
	}
}

// workloadFor makes what Kueue makes for a Job that waits.
func (w *world) workloadFor(child *batchv1.Job) *unstructured.Unstructured {
	w.t.Helper()
	workload := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload",
		"metadata": map[string]any{"name": "job-" + child.Name, "namespace": child.Namespace,
			"labels":          map[string]any{workloadJobLabel: string(child.UID)},
			"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "Job", "name": child.Name, "uid": string(child.UID), "controller": true}}},
		"spec": map[string]any{},
	}}
	if err := w.live.Create(w.t.Context(), workload); apierrors.IsAlreadyExists(err) {
		return workload
	} else if err != nil {
		w.t.Fatal(err)
	}
	w.say(workload, "no quota for cpu until morning")
	return workload
}

// say has Kueue tell what the Workload waits for.
func (w *world) say(workload *unstructured.Unstructured, message string) {
	w.t.Helper()
	w.must(w.live.Get(w.t.Context(), client.ObjectKeyFromObject(workload), workload))
	workload.Object["status"] = map[string]any{"conditions": []any{map[string]any{
		"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}}}
	w.must(w.live.Status().Update(w.t.Context(), workload))
}

func (w *world) active(workload *unstructured.Unstructured) (active, set bool) {
	w.t.Helper()
	w.must(w.live.Get(w.t.Context(), client.ObjectKeyFromObject(workload), workload))
	active, set, err := unstructured.NestedBool(workload.Object, "spec", "active")
	w.must(err)
	return active, set
}

// admit does what Kueue does to a Job it lets run.
func (w *world) admit(child *batchv1.Job) {
	w.t.Helper()
	w.must(w.live.Patch(w.t.Context(), child.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":false}}`))))
}
