package analysisjob

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

var cluster testenv.Cluster

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &cluster)) }

// world is a namespace of the real API server, where the restricted Pod
// Security profile is enforced, with an operator whose clock the test moves.
type world struct {
	*testenv.Namespace
	t         *testing.T
	live      client.WithWatch
	namespace string
	clock     *testclock.FakeClock
	crash     *testenv.Crash
	events    *events.FakeRecorder
	config    Config
	kueue     WorkloadFinder
	operator  *Reconciler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	n := cluster.Namespace(t, "jobs")
	w := &world{t: t, Namespace: n, live: n.Live, namespace: n.Name, clock: testclock.NewFakeClock(time.Now())}
	w.config = testConfig(w.namespace)
	w.start(-1, false)
	return w
}

// start starts the operator anew, as a new process would: nothing is remembered.
func (w *world) start(after int, loseReply bool) {
	w.t.Helper()
	w.crash = &testenv.Crash{After: after, LoseReply: loseReply}
	w.events = events.NewFakeRecorder(1000)
	operator, err := New(w.config, Needs{
		Client: w.crash.Wrap(w.live), Live: w.live, Pods: LabelledPods(w.live), Workloads: w.kueue, Events: w.events, Clock: w.clock,
	})
	w.must(err)
	w.operator = operator
}

func testConfig(namespace string) Config {
	return Config{
		Namespace: namespace, ServiceAccount: "clarity-worker", ConfigMap: "clarity-worker",
		Image: "registry.example/clarity/worker@sha256:" + strings.Repeat("0", 64),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
		},
		ModelServer: true,
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(job *v1alpha1.AnalysisJob) *v1alpha1.AnalysisJob {
	w.t.Helper()
	job.Namespace = w.namespace
	w.must(w.live.Create(w.t.Context(), job))
	return job
}

// pass runs one reconcile.
func (w *world) pass(job *v1alpha1.AnalysisJob) (reconcile.Result, error) {
	return w.operator.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(job)})
}

// settle runs passes until one writes nothing.
func (w *world) settle(job *v1alpha1.AnalysisJob) *v1alpha1.AnalysisJob {
	w.t.Helper()
	for range 20 {
		before := w.crash.Writes()
		if _, err := w.pass(job); err != nil && w.crash.Crashed() {
			w.start(-1, false)
			continue
		} else if err != nil {
			w.t.Fatal(err)
		}
		if w.crash.Writes() == before {
			return w.read(job)
		}
	}
	w.t.Fatalf("analysis job %q does not come to rest", job.Name)
	return nil
}

func (w *world) read(job *v1alpha1.AnalysisJob) *v1alpha1.AnalysisJob {
	w.t.Helper()
	var got v1alpha1.AnalysisJob
	w.must(w.live.Get(w.t.Context(), client.ObjectKeyFromObject(job), &got))
	return &got
}

func (w *world) edit(job *v1alpha1.AnalysisJob, change func(*v1alpha1.AnalysisJobSpec)) {
	w.t.Helper()
	got := w.read(job)
	changed := got.DeepCopy()
	change(&changed.Spec)
	w.must(w.live.Patch(w.t.Context(), changed, client.MergeFrom(got)))
}

// child returns the job's one Job, or nil; more than one is a failure.
func (w *world) child(job *v1alpha1.AnalysisJob) *batchv1.Job {
	w.t.Helper()
	var list batchv1.JobList
	w.must(w.live.List(w.t.Context(), &list, client.InNamespace(w.namespace)))
	var found *batchv1.Job
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], job) {
			if found != nil {
				w.t.Fatalf("jobs %q and %q are both of %q", found.Name, list.Items[i].Name, job.Name)
			}
			found = &list.Items[i]
		}
	}
	return found
}

// until runs passes and kubelet steps until the job is as wanted. The clock
// moves a second a turn. A crashed operator is started anew.
func (w *world) until(job *v1alpha1.AnalysisJob, play script, what string, is func(*v1alpha1.AnalysisJob, *batchv1.Job) bool) *v1alpha1.AnalysisJob {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	var last *v1alpha1.AnalysisJob
	for time.Now().Before(deadline) {
		if _, err := w.pass(job); err != nil && !w.crash.Crashed() {
			w.t.Fatal(err)
		}
		if w.crash.Crashed() {
			w.start(-1, false)
		}
		child := w.child(job)
		if child != nil {
			w.kubelet(child, play)
		}
		if last = w.read(job); is(last, child) {
			return last
		}
		w.clock.Step(time.Second)
		time.Sleep(15 * time.Millisecond) // the Job controller's turn
	}
	w.t.Fatalf("analysis job %q is never %s; its status is %s", job.Name, what, testenv.JSON(last.Status))
	return nil
}

func inState(s v1alpha1.State) func(*v1alpha1.AnalysisJob, *batchv1.Job) bool {
	return func(job *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return job.Status.State == s }
}

// shardEnd is how a shard's attempt ends.
type shardEnd struct {
	runs      bool // it runs on
	waits     bool // it does not even start
	report    *termination.Report
	exit      int32
	reason    string // OOMKilled, …
	preempted bool
}

// script says how each attempt at each shard goes.
type script func(shard, attempt int) shardEnd

func allSucceed(n int64) script {
	return func(int, int) shardEnd { return shardEnd{report: &termination.Report{Subjects: n, Succeeded: n}} }
}

func allRun(int, int) shardEnd  { return shardEnd{runs: true} }
func allWait(int, int) shardEnd { return shardEnd{waits: true} }

// kubelet moves the pods of the Job as a node would.
func (w *world) kubelet(child *batchv1.Job, play script) {
	w.t.Helper()
	pods, err := LabelledPods(w.live)(w.t.Context(), child)
	w.must(err)
	for i := range pods {
		pod := &pods[i]
		if pod.Status.Phase != corev1.PodPending && pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
			continue
		}
		shard, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
		w.must(err)
		w.move(pod, play(shard, attempt(pod)))
	}
}

func (w *world) move(pod *corev1.Pod, end shardEnd) {
	w.t.Helper()
	if end.waits || end.runs && pod.Status.Phase == corev1.PodRunning {
		return
	}
	if end.runs {
		now := metav1.NewTime(w.clock.Now().Truncate(time.Second))
		pod.Status.StartTime = &now
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: ContainerName, Image: pod.Spec.Containers[0].Image,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}}
		w.must(client.IgnoreNotFound(w.live.Status().Update(w.t.Context(), pod)))
		return
	}
	exit := testenv.Exit{Code: end.exit, Reason: end.reason, Preempted: end.preempted}
	if end.report != nil {
		text, err := json.Marshal(end.report)
		w.must(err)
		exit.Message = string(text)
	}
	w.must(testenv.Finish(w.t.Context(), w.live, pod, w.clock.Now(), exit))
}

// watchJobs records every Job that is ever created in the namespace.
func (w *world) watchJobs() (created func() int) {
	w.t.Helper()
	seen, err := w.live.Watch(w.t.Context(), &batchv1.JobList{}, client.InNamespace(w.namespace))
	w.must(err)
	w.t.Cleanup(seen.Stop)
	var n atomic.Int64
	go func() {
		for event := range seen.ResultChan() {
			if event.Type == "ADDED" {
				n.Add(1)
			}
		}
	}()
	return func() int { return int(n.Load()) }
}

// watchConditions fails the test where an object ever shows conditions that contradict each other or its state.
func (w *world) watchConditions() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	seen, err := w.live.Watch(ctx, &v1alpha1.AnalysisJobList{}, client.InNamespace(w.namespace))
	w.must(err)
	var faults []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range seen.ResultChan() {
			if job, ok := event.Object.(*v1alpha1.AnalysisJob); ok {
				faults = append(faults, contradictions(job)...)
			}
		}
	}()
	w.t.Cleanup(func() {
		stop()
		seen.Stop()
		<-done
		for _, fault := range faults {
			w.t.Error(fault)
		}
	})
}

// contradictions are invariant 5.
func contradictions(job *v1alpha1.AnalysisJob) []string {
	is := func(kind string) bool { return meta.IsStatusConditionTrue(job.Status.Conditions, kind) }
	var faults []string
	fault := func(what string) {
		faults = append(faults, fmt.Sprintf("%s: %s: %s", job.Name, what, testenv.JSON(job.Status)))
	}
	ended := is(v1alpha1.ConditionSucceeded) || is(v1alpha1.ConditionFailed)
	switch {
	case is(v1alpha1.ConditionSucceeded) && is(v1alpha1.ConditionFailed):
		fault("succeeded and failed")
	case ended && (is(v1alpha1.ConditionReconciling) || is(v1alpha1.ConditionStalled) || is(v1alpha1.ConditionSuspended) || is(v1alpha1.ConditionQueued)):
		fault("ended and still at it")
	case is(v1alpha1.ConditionReconciling) && is(v1alpha1.ConditionStalled):
		fault("reconciling and stalled")
	case len(job.Status.Conditions) > 0 && job.Status.State != stateOf(job.Status.Conditions):
		fault("state is not what the conditions say")
	case ended != (job.Status.CompletionTime != nil):
		fault("the end and its time disagree")
	}
	s := job.Status
	if s.Subjects.Done != s.Subjects.Succeeded+s.Subjects.Skipped+s.Subjects.Failed {
		fault("subjects do not add up")
	}
	return faults
}
