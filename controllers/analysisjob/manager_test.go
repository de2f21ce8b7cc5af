package analysisjob

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

// runManager runs a manager with the generated rights alone and the cache it is meant to have.
func (w *world) runManager() (stop func()) {
	w.t.Helper()
	log.SetLogger(logr.Discard())
	caller, err := rest.HTTPClientFor(w.AsManager())
	w.must(err)
	mapper, err := apiutil.NewDynamicRESTMapper(w.AsManager(), caller)
	w.must(err)
	byObject, err := CacheOptions(w.config, mapper)
	w.must(err)
	mgr, err := ctrl.NewManager(w.AsManager(), ctrl.Options{
		Scheme: testenv.Scheme(w.t), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{ByObject: byObject},
	})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	w.must(SetupWithManager(ctx, mgr, w.config, controller.Options{SkipNameValidation: new(true), MaxConcurrentReconciles: 4}))
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
// nothing more; one of them dies on the way. One Job each, exact counts.
func TestTwoManagersWithTheGeneratedRightsRunJobsExactlyOnce(t *testing.T) {
	w := newWorld(t)
	w.config.StatusInterval.Duration = time.Second
	w.ApplyRoles("analysisjob_role.yaml", "analysisjob_role_binding.yaml")
	w.withKueue()
	w.watchConditions()
	created := w.watchJobs()
	stopFirst := w.runManager()
	w.runManager()

	w.createVersion(MakeVersion("pat-s", "1").Stage(v1alpha1.StageActive).Obj())
	jobs := []*v1alpha1.AnalysisJob{
		w.create(MakeJob("a").Shards(5).Obj()),
		w.create(MakeJob("b").Shards(3).Model("pat-s", "").Obj()),
		w.create(MakeJob("c").Model("later", "").Obj()),
		w.create(MakeJob("d").Shards(2).StartWithin(3 * time.Second).Obj()),
		w.create(MakeJob("e").Queue("night").Obj()),
	}
	play := func(name string) script {
		if name == "d" {
			return allWait
		}
		return allSucceed(3)
	}
	g := gomega.NewWithT(t)
	eventually := func(what string, is func() bool) {
		t.Helper()
		g.Eventually(func() bool {
			for _, job := range jobs {
				if child := w.child(job); child != nil {
					w.kubelet(child, play(job.Name))
				}
			}
			return is()
		}, "60s", "100ms").Should(gomega.BeTrue(), what)
	}
	eventually("b has a Job", func() bool { return w.child(jobs[1]) != nil })
	stopFirst()
	eventually("e waits for Kueue, and says why", func() bool {
		child := w.child(jobs[4])
		if child == nil {
			return false
		}
		w.workloadFor(child)
		return w.read(jobs[4]).Status.Message == "no quota for cpu until morning"
	})
	time.Sleep(3 * time.Second) // whatever else could have a pass look again is over
	w.say(w.workloadFor(w.child(jobs[4])), "no quota for memory")
	eventually("e hears what Kueue says now", func() bool { return w.read(jobs[4]).Status.Message == "no quota for memory" })
	w.admit(w.child(jobs[4]))
	w.createVersion(MakeVersion("later", "1").Stage(v1alpha1.StageActive).Obj())
	eventually("all have ended", func() bool {
		for _, job := range jobs {
			if !finished(w.read(job)) {
				return false
			}
		}
		return true
	})
	for i, want := range []outcomeOf{
		{State: "Succeeded", Reason: "Completed", Message: "all 5 shards succeeded", Shards: "5/5", Done: 15, OK: 15},
		{State: "Succeeded", Reason: "Completed", Message: "all 3 shards succeeded", Shards: "3/3", Done: 9, OK: 9},
		{State: "Succeeded", Reason: "Completed", Message: "all 1 shards succeeded", Shards: "1/1", Done: 3, OK: 3},
		{State: "Failed", Reason: "NotStartedInTime", Message: "no shard started within 3s of creation", Shards: "0/2"},
		{State: "Succeeded", Reason: "Completed", Message: "all 1 shards succeeded", Shards: "1/1", Done: 3, OK: 3},
	} {
		if diff := cmp.Diff(want, outcomeIn(w.read(jobs[i]))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", jobs[i].Name, diff)
		}
	}
	if n := created(); n != len(jobs) {
		t.Errorf("%d Jobs were created, want %d", n, len(jobs))
	}
	w.eventsTell(jobs[0], "ShardStarted", "Completed")
	w.eventsTell(jobs[3], "NotStartedInTime")
	w.staysQuiet(jobs, 5*time.Second)
}

// eventsTell waits for events of these reasons, once or more each, and none beside them that is not on the list.
func (w *world) eventsTell(job *v1alpha1.AnalysisJob, reasons ...string) {
	w.t.Helper()
	g := gomega.NewWithT(w.t)
	g.Eventually(func() []string {
		var list eventsv1.EventList
		w.must(w.live.List(w.t.Context(), &list, client.InNamespace(w.namespace)))
		var seen []string
		for _, e := range list.Items {
			if e.Regarding.UID == job.UID && e.ReportingController == manager {
				seen = append(seen, e.Reason)
			}
		}
		return seen
	}, "20s", "100ms").Should(gomega.ContainElements(reasons))
}

// staysQuiet is invariant 10 with a running manager.
func (w *world) staysQuiet(jobs []*v1alpha1.AnalysisJob, d time.Duration) {
	w.t.Helper()
	versions := func() map[string]string {
		seen := map[string]string{}
		for _, job := range jobs {
			seen[job.Name] = w.read(job).ResourceVersion
			if child := w.child(job); child != nil {
				seen["Job "+child.Name] = child.ResourceVersion
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
	w.ApplyRoles("analysisjob_role.yaml", "analysisjob_role_binding.yaml")
	as, err := client.New(w.AsManager(), client.Options{Scheme: testenv.Scheme(t)})
	w.must(err)
	ns, other := client.InNamespace(w.namespace), client.InNamespace("default")
	tests := map[string]struct {
		do      func() error
		allowed bool
	}{
		"read jobs where shards run":  {func() error { return as.List(t.Context(), &batchv1.JobList{}, ns) }, true},
		"read jobs elsewhere":         {func() error { return as.List(t.Context(), &batchv1.JobList{}, other) }, false},
		"read pods where shards run":  {func() error { return as.List(t.Context(), &corev1.PodList{}, ns) }, true},
		"read pods elsewhere":         {func() error { return as.List(t.Context(), &corev1.PodList{}, other) }, false},
		"read analysis jobs anywhere": {func() error { return as.List(t.Context(), &v1alpha1.AnalysisJobList{}) }, true},
		"read secrets":                {func() error { return as.List(t.Context(), &corev1.SecretList{}, ns) }, false},
		"read config maps":            {func() error { return as.List(t.Context(), &corev1.ConfigMapList{}, ns) }, false},
		"delete pods":                 {func() error { return as.DeleteAllOf(t.Context(), &corev1.Pod{}, ns) }, false},
		"change an analysis job's spec": {func() error {
			return as.Update(t.Context(), &v1alpha1.AnalysisJob{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: w.namespace}})
		}, false},
		"delete an analysis job elsewhere": {func() error {
			return as.Delete(t.Context(), &v1alpha1.AnalysisJob{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "default"}})
		}, false},
		"write roles": {func() error { return as.DeleteAllOf(t.Context(), &rbacv1.Role{}, ns) }, false},
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

func TestTheSchemaRefusesWhatCannotBeRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := map[string]struct {
		job  *v1alpha1.AnalysisJob
		want string
	}{
		"model without a model":     {func() *v1alpha1.AnalysisJob { j := MakeJob("a").Model("m", "").Obj(); j.Spec.Model = nil; return j }(), "needs spec.model"},
		"a day that is none":        {MakeJob("b").Days("2026-02-30", "2026-03-01").Obj(), "window.start"},
		"a window that ends first":  {MakeJob("c").Days("2026-03-02", "2026-03-01").Obj(), "start must not be after end"},
		"a subject in three shards": {MakeJob("d").Subject("tok-0123456789abcdef").Shards(3).Obj(), "one subject takes one shard"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.job.Namespace = w.namespace
			if err := w.live.Create(t.Context(), tt.job); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("create: %v, want an error with %q", err, tt.want)
			}
		})
	}
	job := w.create(MakeJob("good").Days("2026-02-28", "2026-03-01").Obj())
	got := w.settle(job)
	if diff := cmp.Diff(&v1alpha1.ResolvedWindow{Start: "2026-02-28", End: "2026-03-01"}, got.Status.Window); diff != "" {
		t.Errorf("window (-want +got):\n%s", diff)
	}
	if meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionStalled) {
		t.Errorf("a good job is stalled: %s", testenv.JSON(got.Status))
	}
}
