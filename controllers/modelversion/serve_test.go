package modelversion

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

func (w *world) get(mv *v1alpha1.ModelVersion, into client.Object) error {
	return w.live.Get(w.t.Context(), client.ObjectKey{Namespace: w.Name, Name: serving.Name(mv)}, into)
}

// The whole of what is made for a version, as the API server holds it. The pods
// themselves were admitted under the restricted profile.
func TestTheServersAreWhatThePlatformDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mv := w.create(MakeVersion("2026.11.1").Obj())
	w.until("it is verified", func() bool {
		var jobs batchv1.JobList
		w.must(w.live.List(t.Context(), &jobs, client.InNamespace(w.Name), client.MatchingLabels{label.Component: label.Verify}))
		if len(jobs.Items) == 1 {
			contract := `{"inputs":[{"name":"activity","dtype":"FP32","dims":[10080]}],"outputs":[{"name":"embedding","dtype":"FP32","dims":[96],"kind":"Embedding"}],` +
				`"window":{"epochSeconds":60,"epochs":10080},"preprocessing":{"name":"pre/1","digest":"sha256:` + zeros + `"}}`
			want := []string{"verify", "--artifact-uri=gs://models/pat-2026.11.1", "--artifact-digest=sha256:" + zeros,
				"--golden-uri=gs://models/golden", "--golden-digest=sha256:" + zeros, "--contract=" + contract}
			if diff := cmp.Diff(want, jobs.Items[0].Spec.Template.Spec.Containers[0].Args); diff != "" {
				t.Errorf("verify's command line (-want +got):\n%s", diff)
			}
		}
		return w.in(mv, v1alpha1.StageStarting)()
	})
	w.until("it is validated by a Job", func() bool {
		var job batchv1.Job
		if err := w.live.Get(t.Context(), client.ObjectKey{Namespace: w.Name, Name: serving.Name(mv) + "-validate"}, &job); err != nil {
			return false
		}
		want := []string{"validate", "--artifact-uri=gs://models/pat-2026.11.1", "--artifact-digest=sha256:" + zeros,
			"--golden-uri=gs://models/golden", "--golden-digest=sha256:" + zeros,
			"--model=pat", "--version=2026.11.1", "--endpoint=" + serving.Name(mv) + "." + w.Name + ".svc:8001",
			"--tolerance=1e-3", "--timeout=10m0s"}
		if diff := cmp.Diff(want, job.Spec.Template.Spec.Containers[0].Args); diff != "" {
			t.Errorf("validate's command line (-want +got):\n%s", diff)
		}
		return true
	})
	w.until("it is active", w.in(mv, v1alpha1.StageActive))
	var (
		d       appsv1.Deployment
		service corev1.Service
		scaler  autoscalingv2.HorizontalPodAutoscaler
		budget  policyv1.PodDisruptionBudget
		policy  networkingv1.NetworkPolicy
	)
	for _, o := range []client.Object{&d, &service, &scaler, &budget, &policy} {
		w.must(w.get(mv, o))
		if o != client.Object(&d) && !metav1.IsControlledBy(o, &d) {
			t.Errorf("%T is not the Deployment's", o)
		}
		for key, want := range map[string]string{
			label.ManagedBy: "clarity", label.Component: "server", label.Model: "pat", label.Version: "2026.11.1", label.Instance: serving.Name(mv),
		} {
			if got := o.GetLabels()[key]; got != want {
				t.Errorf("%T: label %s is %q, want %q", o, key, got, want)
			}
		}
	}
	pod := d.Spec.Template.Spec
	fetch, triton := pod.InitContainers[0], pod.Containers[0]
	checks := map[string][2]any{
		"nobody owns the servers": {0, len(d.OwnerReferences)},
		"fetch": {[]string{"fetch", "--artifact-uri=gs://models/pat-2026.11.1", "--artifact-digest=sha256:" + zeros, "--model=pat",
			"--repository=/models", "--max-batch=32", "--gpu=true"}, fetch.Args},
		"triton": {[]string{"--model-repository=/models", "--model-control-mode=none", "--exit-on-error=true", "--strict-readiness=true",
			"--http-port=8000", "--grpc-port=8001", "--metrics-port=8002", "--exit-timeout-secs=25"}, triton.Args},
		"readiness":       {"/v2/models/pat/versions/1/ready", triton.ReadinessProbe.HTTPGet.Path},
		"startup":         {int32(180), triton.StartupProbe.FailureThreshold},
		"pause":           {int64(15), triton.Lifecycle.PreStop.Sleep.Seconds},
		"grace":           {int64(45), *pod.TerminationGracePeriodSeconds},
		"token":           {false, *pod.AutomountServiceAccountToken},
		"node":            {map[string]string{"accelerator": "l4"}, pod.NodeSelector},
		"headless":        {"None", service.Spec.ClusterIP},
		"scaler":          {"queue_seconds 1 to 2", scaler.Spec.Metrics[0].Pods.Metric.Name + " 1 to 2"},
		"least replicas":  {int32(1), *scaler.Spec.MinReplicas},
		"most replicas":   {int32(2), scaler.Spec.MaxReplicas},
		"policy's egress": {2, len(policy.Spec.Egress)},
		"the endpoint":    {serving.Name(mv) + "." + w.Name + ".svc:8001", w.read(mv).Status.Serving.Endpoint},
		"the plan's":      {w.read(mv).Status.Serving.Endpoint, w.plan().Entries[0].Endpoint},
	}
	for name, pair := range checks {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if gpus := triton.Resources.Limits["nvidia.com/gpu"]; gpus.String() != "1" {
		t.Errorf("the server has %s GPUs", gpus.String())
	}
}

// Invariant 8: an operator that would write other pods restarts none.
func TestAnUpgradedOperatorRestartsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.active(MakeVersion("1").Obj())
	w.settle()
	var before, after appsv1.Deployment
	w.must(w.get(one, &before))
	w.config.Image = strings.ReplaceAll(w.config.Image, "0", "9")
	class := w.config.ServingClasses["gpu"]
	class.Image = strings.ReplaceAll(class.Image, "0", "9")
	class.Args = []string{"--log-verbose=1"}
	w.config.ServingClasses["gpu"] = class
	w.start(-1, false)
	w.settle()
	if n := w.crash.Writes(); n != 0 {
		t.Errorf("the new operator writes %d times, want none", n)
	}
	delete(w.config.ServingClasses, "gpu") // nor does one that does not know the class any more
	w.start(-1, false)
	w.settle()
	w.must(w.get(one, &after))
	if before.ResourceVersion != after.ResourceVersion || w.weights() != "1=100 " || !isTrue(w.read(one), v1alpha1.ConditionReady) {
		t.Errorf("the servers were touched, or do not serve: %s", w.table())
	}
}

// Hands that edit what is made for a version are corrected; what is deleted comes back.
func TestWhatIsMadeForAVersionStaysAsItShould(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.active(MakeVersion("1").Obj())
	w.settle()
	patch := func(o client.Object, text string) {
		t.Helper()
		w.must(w.get(one, o))
		w.must(w.live.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(text))))
	}
	patch(&corev1.Service{}, `{"metadata":{"labels":{"clarityloop.dev/version":"9"}},"spec":{"selector":{"app":"evil"}}}`)
	patch(&networkingv1.NetworkPolicy{}, `{"spec":{"ingress":[{}]}}`)
	patch(&policyv1.PodDisruptionBudget{}, `{"spec":{"maxUnavailable":"100%"}}`)
	patch(&autoscalingv2.HorizontalPodAutoscaler{}, `{"spec":{"maxReplicas":99}}`)
	patch(&appsv1.Deployment{}, `{"spec":{"replicas":0}}`)
	w.settle()
	var (
		service corev1.Service
		policy  networkingv1.NetworkPolicy
		budget  policyv1.PodDisruptionBudget
		scaler  autoscalingv2.HorizontalPodAutoscaler
	)
	for _, o := range []client.Object{&service, &policy, &budget, &scaler} {
		w.must(w.get(one, o))
	}
	if service.Spec.Selector[label.Instance] != serving.Name(one) || service.Labels[label.Version] != "1" {
		t.Errorf("service %+v %q", service.Spec.Selector, service.Labels)
	}
	if len(policy.Spec.Ingress) != 2 || budget.Spec.MaxUnavailable.String() != "1" || scaler.Spec.MaxReplicas != 2 || w.replicas(one) != "1" {
		t.Errorf("policy %d rules, budget %s, at most %d replicas, %s now", len(policy.Spec.Ingress), budget.Spec.MaxUnavailable.String(), scaler.Spec.MaxReplicas, w.replicas(one))
	}
	w.isQuiet()

	patch(&appsv1.Deployment{}, `{"spec":{"replicas":2}}`) // as the autoscaler would
	w.kubelet()
	w.isQuiet()
	if got := w.replicas(one); got != "2" {
		t.Errorf("what the autoscaler decided becomes %s", got)
	}
	w.edit(one, func(s *v1alpha1.ModelVersionSpec) { s.Serving.Replicas = v1alpha1.Replicas{Min: 3, Max: 3} })
	w.settle()
	if err := w.get(one, &scaler); w.replicas(one) != "3" || !apierrors.IsNotFound(err) {
		t.Errorf("a fixed number: %s replicas, and the scaler: %v", w.replicas(one), err)
	}
	w.until("3 are ready", func() bool { return w.read(one).Status.Serving.Summary == "3/3" })
}

func TestADeletedDeploymentIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.active(MakeVersion("1").Obj())
	w.settle()
	var d appsv1.Deployment
	w.must(w.get(one, &d))
	first := d.UID
	w.must(w.live.Delete(t.Context(), &d, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	w.until("it is there again with all that belongs to it", func() bool {
		var service corev1.Service
		return w.get(one, &d) == nil && d.UID != first && w.get(one, &service) == nil && metav1.IsControlledBy(&service, &d) &&
			isTrue(w.read(one), v1alpha1.ConditionReady)
	})
	if w.weights() != "1=100 " {
		t.Errorf("meanwhile the plan became %q", w.weights())
	}
}

// Someone deletes or breaks the plan: the active version stays so, and a rollout starts anew.
func TestThePlanIsMadeAgainFromTheStatuses(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*world, *corev1.ConfigMap){
		"deleted": func(w *world, plan *corev1.ConfigMap) { w.must(w.live.Delete(w.t.Context(), plan)) },
		"emptied": func(w *world, plan *corev1.ConfigMap) { plan.Data = nil; w.must(w.live.Update(w.t.Context(), plan)) },
		"broken": func(w *world, plan *corev1.ConfigMap) {
			plan.Data[traffic.PlanKey] = "{"
			w.must(w.live.Update(w.t.Context(), plan))
		},
		"without its record": func(w *world, plan *corev1.ConfigMap) {
			plan.Data[traffic.StateKey] = "x"
			w.must(w.live.Update(w.t.Context(), plan))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.active(MakeVersion("1").Obj())
			two := w.active(MakeVersion("2").Strategy(v1alpha1.StrategyImmediate).Obj())
			three := w.create(MakeVersion("3").Obj())
			w.until("3 is in canary", w.in(three, v1alpha1.StageCanary))
			w.settle()
			revision := w.plan().Revision
			var plan corev1.ConfigMap
			w.must(w.live.Get(t.Context(), client.ObjectKey{Namespace: w.Name, Name: traffic.ConfigMapName("pat")}, &plan))
			breaks(w, &plan)
			w.start(-1, false)
			_, err := w.pass()
			w.must(err)
			if got := w.plan(); got.Weight("2") != 100 || got.Revision <= revision {
				t.Errorf("made again: %q, revision %d after %d", w.weights(), got.Revision, revision)
			}
			w.until("3 is active after all", w.in(three, v1alpha1.StageActive))
			w.remove(three, metav1.DeletePropagationBackground)
			w.until("the last known good is known still", w.in(two, v1alpha1.StageActive))
		})
	}
}

func TestWhatCannotBeServedHereIsToldAndStopsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	one := w.active(MakeVersion("1").Obj())
	two := w.create(MakeVersion("2").Obj())
	w.until("2 is in the shadow", w.in(two, v1alpha1.StageShadow))
	twin := w.create(MakeVersion("2").Named("twin").Obj())
	odd := w.create(MakeVersion("3").Class("tpu").Obj())
	asked := MakeVersion("4").Obj()
	asked.Spec.Rollout.Gates = []v1alpha1.Gate{{
		Name: "open", Source: v1alpha1.GateSource{Prometheus: &v1alpha1.PrometheusSource{Query: "up{{.Model"}}, Max: new(resource.MustParse("1")),
	}}
	unclear := w.create(asked)
	w.until("2 is active all the same", w.in(two, v1alpha1.StageActive))
	for mv, want := range map[*v1alpha1.ModelVersion]string{
		twin:    `VersionTaken: ModelVersion "pat-2" is version "2" of the model already: delete one of them`,
		unclear: `GateInvalid: check gate "open": the query has a {{ without its }}`,
		odd:     `UnknownServingClass: the operator's configuration has no serving class "tpu"`,
	} {
		got := w.read(mv)
		if line := got.Status.Reason + ": " + got.Status.Message; line != want || got.Status.Stage != v1alpha1.StagePending || !isTrue(got, v1alpha1.ConditionStalled) {
			t.Errorf("%s is %s, %q; want Pending, %q", mv.Name, got.Status.Stage, line, want)
		}
	}
	w.isQuiet()
	w.config.ServingClasses["tpu"] = w.config.ServingClasses["cpu"]
	w.start(-1, false)
	w.until("3 is active once its class is known", w.in(odd, v1alpha1.StageActive))
	w.edit(unclear, func(s *v1alpha1.ModelVersionSpec) { s.Rollout.Gates = nil })
	w.until("4 is active once its gate is gone", w.in(unclear, v1alpha1.StageActive))

	w.config.Namespace = "elsewhere"
	w.start(-1, false)
	w.settle()
	got := w.read(one)
	if got.Status.Reason != v1alpha1.ReasonNamespaceNotServed || got.Status.Message != `models are served in namespace "elsewhere": create it there` {
		t.Errorf("elsewhere: %s %q", got.Status.Reason, got.Status.Message)
	}
}

// A check that ends without a result is made again: what is down comes back.
func TestACheckWithoutAVerdictIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		a    actor
		want string
	}{
		"the store is down":         {actor{verify: testenv.Exit{Code: 1, Message: "secret"}}, "VerificationFailed: the verify Job ended without a result: it is run again"},
		"the bundle is not there":   {actor{verify: testenv.Exit{Code: 1, Message: `{"reason":"ArtifactNotFound","message":"nothing at gs://models/pat-1"}`}}, "ArtifactNotFound: nothing at gs://models/pat-1"},
		"the validation cannot run": {actor{validate: testenv.Exit{Code: 1}}, "ValidationIncomplete: the validate Job ended without a result: it is run again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.watchAll()
			w.stage.play("1", tt.a)
			one := w.create(MakeVersion("1").Obj())
			w.giveUp(one)
			got := w.read(one)
			if line := got.Status.Reason + ": " + got.Status.Message; line != tt.want || !isTrue(got, v1alpha1.ConditionStalled) {
				t.Errorf("%q, want %q, stalled", line, tt.want)
			}
			w.until("the Job is gone", func() bool { return !w.jobsRun() })
			w.isQuiet()
			w.stage.play("1", actor{})
			w.until("1 is active", w.in(one, v1alpha1.StageActive))
		})
	}
}

// giveUp has the Job controller give up at once, where it would take minutes of backoff.
func (w *world) giveUp(mv *v1alpha1.ModelVersion) {
	w.t.Helper()
	for range 100 {
		w.settle()
		w.kubelet()
		if isTrue(w.read(mv), v1alpha1.ConditionStalled) {
			return
		}
		var jobs batchv1.JobList
		w.must(w.live.List(w.t.Context(), &jobs, client.InNamespace(w.Name)))
		for i := range jobs.Items {
			if jobs.Items[i].Status.Failed > 0 && jobs.Items[i].Spec.BackoffLimit != nil && *jobs.Items[i].Spec.BackoffLimit > 0 {
				w.must(w.live.Patch(w.t.Context(), &jobs.Items[i], client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"backoffLimit":0}}`))))
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("the Job does not fail: %s", w.table())
}
