package modelversion

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

var roles = []string{"modelversion_role.yaml", "modelversion_role_binding.yaml"}

// runManager runs a manager with the generated rights alone and the cache it is
// meant to have; its clock is the real one.
func (w *world) runManager() (stop func()) {
	w.t.Helper()
	caller, err := rest.HTTPClientFor(w.AsManager())
	w.must(err)
	mapper, err := apiutil.NewDynamicRESTMapper(w.AsManager(), caller)
	w.must(err)
	byObject, err := CacheOptions(w.config, mapper)
	w.must(err)
	mgr, err := ctrl.NewManager(w.AsManager(), ctrl.Options{
		Scheme: testenv.Scheme(w.t), Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: byObject},
	})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	w.must(setup(ctx, mgr, w.config, controller.Options{SkipNameValidation: new(true), MaxConcurrentReconciles: 2}, Needs{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(manager), Clock: clock.RealClock{},
		Probe: w.stage, Gates: w.stage, Observers: []Observer{w.seen},
	}))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("manager: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// Two managers at once, without leader election, with the generated rights and
// nothing more; one of them dies on the way. A rollout, a bad version and a
// rollback go as with one.
func TestTwoManagersWithTheGeneratedRights(t *testing.T) {
	w := newWorld(t)
	w.config.EvaluationInterval.Duration, w.config.Propagation.Duration, w.config.ProbeInterval.Duration = time.Second, time.Second, time.Second
	w.ApplyRoles(roles...)
	w.watchAll()
	stopFirst := w.runManager()
	w.runManager()
	g := gomega.NewWithT(t)
	eventually := func(what string, is func() bool) {
		t.Helper()
		g.Eventually(func() bool { w.kubelet(); return is() }, "60s", "100ms").Should(gomega.BeTrue(), func() string { return what + "\n" + w.table() })
	}
	quick := func(r *v1alpha1.Rollout) {
		for i := range r.Steps {
			r.Steps[i].MinDuration = &metav1.Duration{Duration: time.Second}
		}
	}
	one := w.create(MakeVersion("1").Obj())
	eventually("1 is active", w.in(one, v1alpha1.StageActive))
	two := w.create(MakeVersion("2").Rollout(quick).Obj())
	eventually("2 is in canary", w.in(two, v1alpha1.StageCanary))
	stopFirst()
	eventually("2 is active", w.in(two, v1alpha1.StageActive))
	w.stage.answer("p99", gate.Answer{Verdict: v1alpha1.VerdictFail, Value: "0.9", Message: "it is 0.9"})
	three := w.create(MakeVersion("3").Rollout(quick).Obj())
	eventually("3 is rolled back", w.in(three, v1alpha1.StageRolledBack))
	w.runManager()
	w.remove(two, metav1.DeletePropagationForeground)
	eventually("2 is gone", w.gone(two))
	eventually("1 serves again", w.in(one, v1alpha1.StageActive))
	eventually("nothing of 2 and 3 is left", func() bool { return w.replicas(two) == "none" && w.replicas(three) == "none" && !w.jobsRun() })
	// The servers go before the status tells of it.
	g.Eventually(w.table, "20s", "100ms").Should(gomega.Equal(
		"pat-1 Active 100% 1/1 Succeeded: \npat-3 RolledBack 0%  GateFailed: gate \"p99\" in the shadow: it is 0.9\n"))
	w.seen.want(t, "pat rolled back: GateFailed")
	g.Eventually(func() []string {
		var list eventsv1.EventList
		w.must(w.live.List(t.Context(), &list, client.InNamespace(w.Name)))
		var seen []string
		for _, e := range list.Items {
			if e.Regarding.UID == three.UID && e.ReportingController == manager {
				seen = append(seen, e.Type+" "+e.Reason)
			}
		}
		return seen
	}, "20s", "100ms").Should(gomega.ContainElements("Normal Shadow", "Warning GateFailed"))
	w.staysQuiet(5 * time.Second)
}

// staysQuiet is invariant 10 with running managers.
func (w *world) staysQuiet(d time.Duration) {
	w.t.Helper()
	versions := func() map[string]string {
		seen := map[string]string{}
		for _, list := range []client.ObjectList{&v1alpha1.ModelVersionList{}, &corev1.ConfigMapList{}, &appsv1.DeploymentList{}, &corev1.ServiceList{}} {
			w.must(w.live.List(w.t.Context(), list, client.InNamespace(w.Name)))
			switch list := list.(type) {
			case *v1alpha1.ModelVersionList:
				for _, o := range list.Items {
					seen["version "+o.Name] = o.ResourceVersion
				}
			case *corev1.ConfigMapList:
				for _, o := range list.Items {
					seen["plan "+o.Name] = o.ResourceVersion
				}
			case *appsv1.DeploymentList:
				for _, o := range list.Items {
					seen["servers "+o.Name] = o.ResourceVersion
				}
			case *corev1.ServiceList:
				for _, o := range list.Items {
					seen["service "+o.Name] = o.ResourceVersion
				}
			}
		}
		return seen
	}
	time.Sleep(2 * time.Second) // what was under way
	before := versions()
	time.Sleep(d)
	if diff := cmp.Diff(before, versions()); diff != "" {
		w.t.Errorf("objects changed in a quiet system (-before +after):\n%s", diff)
	}
}

// The rights are the written ones: a table of verb × resource against the API server.
func TestTheGeneratedRightsAreNoWider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ApplyRoles(roles...)
	as, err := client.New(w.AsManager(), client.Options{Scheme: testenv.Scheme(t)})
	w.must(err)
	ns, other := client.InNamespace(w.Name), client.InNamespace("default")
	at := metav1.ObjectMeta{Name: "x", Namespace: w.Name}
	tests := map[string]struct {
		do      func() error
		allowed bool
	}{
		"read versions anywhere": {func() error { return as.List(t.Context(), &v1alpha1.ModelVersionList{}) }, true},
		"read servers":           {func() error { return as.List(t.Context(), &appsv1.DeploymentList{}, ns) }, true},
		"read servers elsewhere": {func() error { return as.List(t.Context(), &appsv1.DeploymentList{}, other) }, false},
		"read plans":             {func() error { return as.List(t.Context(), &corev1.ConfigMapList{}, ns) }, true},
		"read plans elsewhere":   {func() error { return as.List(t.Context(), &corev1.ConfigMapList{}, other) }, false},
		"read secrets":           {func() error { return as.List(t.Context(), &corev1.SecretList{}, ns) }, false},
		"read pods elsewhere":    {func() error { return as.List(t.Context(), &corev1.PodList{}, other) }, false},
		"delete pods":            {func() error { return as.DeleteAllOf(t.Context(), &corev1.Pod{}, ns) }, false},
		"create pods":            {func() error { return as.Create(t.Context(), &corev1.Pod{ObjectMeta: at}) }, false},
		"delete a version":       {func() error { return as.Delete(t.Context(), &v1alpha1.ModelVersion{ObjectMeta: at}) }, false},
		"create a version":       {func() error { return as.Create(t.Context(), &v1alpha1.ModelVersion{ObjectMeta: at}) }, false},
		"hold a version elsewhere": {func() error {
			return as.Patch(t.Context(), &v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "default"}}, client.RawPatch("application/merge-patch+json", []byte("{}")))
		}, false},
		"delete all servers at once":     {func() error { return as.DeleteAllOf(t.Context(), &appsv1.Deployment{}, ns) }, false},
		"write roles":                    {func() error { return as.DeleteAllOf(t.Context(), &rbacv1.Role{}, ns) }, false},
		"delete a service":               {func() error { return as.Delete(t.Context(), &corev1.Service{ObjectMeta: at}) }, false},
		"update a Deployment as a whole": {func() error { return as.Update(t.Context(), &appsv1.Deployment{ObjectMeta: at}) }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.do()
			if forbidden := err != nil && strings.Contains(err.Error(), "forbidden"); forbidden == tt.allowed {
				t.Errorf("%v; want allowed %v", err, tt.allowed)
			}
		})
	}
}
