package analysisjob

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

// Invariant 7 for jobs: suspended and resumed, a job is as one that never was.
func TestASuspendedAndResumedJobEndsLikeAFreshOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchConditions()
	created := w.watchJobs()
	disturbed, fresh := w.create(MakeJob("disturbed").Shards(2).Obj()), w.create(MakeJob("fresh").Shards(2).Obj())
	half := func(shard, _ int) shardEnd {
		if shard == 0 {
			return shardEnd{report: &termination.Report{Subjects: 4, Succeeded: 4}}
		}
		return shardEnd{runs: true}
	}
	w.until(disturbed, half, "half done", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return j.Status.Shards.Summary == "1/2" })
	w.edit(disturbed, func(s *v1alpha1.AnalysisJobSpec) { s.Suspend = true })
	held := w.until(disturbed, half, "suspended", func(j *v1alpha1.AnalysisJob, child *batchv1.Job) bool {
		return j.Status.State == v1alpha1.StateSuspended && suspended(child) && !stopping(child) && j.Status.Shards.Active == 0
	})
	if s := held.Status; s.Subjects.Done != 4 || s.Shards.Summary != "1/2" || s.ETA != "" || s.Message != "suspended by spec.suspend" {
		t.Errorf("status while suspended: %s", testenv.JSON(s))
	}
	w.isQuiet(disturbed)
	w.edit(disturbed, func(s *v1alpha1.AnalysisJobSpec) { s.Suspend = false })
	w.start(-1, false)
	got := w.until(disturbed, allSucceed(4), "ended", inState(v1alpha1.StateSucceeded))
	want := w.until(fresh, allSucceed(4), "ended", inState(v1alpha1.StateSucceeded))
	if diff := cmp.Diff(want.Status, got.Status,
		cmpopts.IgnoreTypes(metav1.Time{}, &metav1.Time{}), cmpopts.IgnoreFields(metav1.Condition{}, "ObservedGeneration"),
		cmpopts.IgnoreFields(v1alpha1.AnalysisJobStatus{}, "ObservedGeneration", "Job", "Rate")); diff != "" {
		t.Errorf("resumed differs from fresh (-fresh +resumed):\n%s", diff)
	}
	if n := created(); n != 2 {
		t.Errorf("%d Jobs were created, want one each", n)
	}
}

func TestAJobIsInterrupted(t *testing.T) {
	t.Parallel()
	half := func(shard, _ int) shardEnd {
		if shard == 0 {
			return shardEnd{report: &termination.Report{Subjects: 4, Succeeded: 4}}
		}
		return shardEnd{runs: true}
	}
	cancel := func(w *world, job *v1alpha1.AnalysisJob) {
		w.edit(job, func(s *v1alpha1.AnalysisJobSpec) { s.Cancel = true })
	}
	anHour := func(w *world, _ *v1alpha1.AnalysisJob) { w.clock.Step(time.Hour) }
	cancelled := func(shards string, done int64) outcomeOf {
		return outcomeOf{State: "Cancelled", Reason: "Cancelled", Message: "cancelled by spec.cancel", Shards: shards, Done: done, OK: done}
	}
	tests := map[string]struct {
		job      *jobWrapper
		play     script
		reached  func(*v1alpha1.AnalysisJob, *batchv1.Job) bool
		then     func(*world, *v1alpha1.AnalysisJob)
		want     outcomeOf
		jobStays bool
	}{
		"cancelled before there is a Job": {
			MakeJob("unborn").Cancel(), allRun, nil, nil, cancelled("0/1", 0), false,
		},
		"cancelled while it runs: what was done counts": {
			MakeJob("running").Shards(2), half,
			func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return j.Status.Shards.Summary == "1/2" },
			cancel, cancelled("1/2", 4), true,
		},
		"cancelled while it is suspended: nothing is left that could be started": {
			MakeJob("held").Suspend(), allRun, func(_ *v1alpha1.AnalysisJob, c *batchv1.Job) bool { return c != nil },
			cancel, cancelled("0/1", 0), false,
		},
		"cancelled while it waits in a queue": {
			MakeJob("queued").Queue("night"), allRun, inState(v1alpha1.StateQueued), cancel, cancelled("0/1", 0), false,
		},
		"no shard starts in time": {
			MakeJob("late").StartWithin(30 * time.Minute), allWait, func(_ *v1alpha1.AnalysisJob, c *batchv1.Job) bool { return c != nil && c.Status.Active == 1 },
			anHour, outcomeOf{State: "Failed", Reason: "NotStartedInTime", Message: "no shard started within 30m0s of creation", Shards: "0/1"}, true,
		},
		"a shard started in time, and startWithin is forgotten; it is not done in time": {
			MakeJob("slow").Shards(2).StartWithin(30 * time.Minute).CompleteWithin(50 * time.Minute), half,
			func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return j.Status.Shards.Summary == "1/2" },
			anHour, outcomeOf{State: "Failed", Reason: "DeadlineExceeded", Message: "not finished within 50m0s of creation", Shards: "1/2", Done: 4, OK: 4}, true,
		},
		"its model never comes and time runs out": {
			MakeJob("modelless").Model("none", "").StartWithin(30 * time.Minute), allRun, inState(v1alpha1.StatePending),
			anHour, outcomeOf{State: "Failed", Reason: "NotStartedInTime", Message: "no shard started within 30m0s of creation", Shards: "0/1"}, false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.watchConditions()
			job := w.create(tt.job.Obj())
			if tt.reached != nil {
				w.until(job, tt.play, "where it is to be interrupted", tt.reached)
				w.settle(job)
			}
			if tt.then != nil {
				tt.then(w, job)
			}
			got := w.until(job, tt.play, "ended", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return finished(j) })
			if diff := cmp.Diff(tt.want, outcomeIn(got)); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			w.settle(job)
			if child := w.child(job); (child != nil) != tt.jobStays {
				t.Errorf("Job is there: %v, want %v", child != nil, tt.jobStays)
			}
			w.isQuiet(got)
		})
	}
}

// Nobody looked while a shard ended and the Job was suspended; then it is cancelled.
func TestTheEndOfASuspendedJobCountsWhatNobodyCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("unseen").Shards(2).Obj())
	w.settle(job)
	play := func(shard, _ int) shardEnd {
		if shard == 0 {
			return shardEnd{report: &termination.Report{Subjects: 4, Succeeded: 4}}
		}
		return shardEnd{runs: true}
	}
	child := w.waitForJob(job, "one shard is done", play, func(c *batchv1.Job) bool { return c.Status.CompletedIndexes == "0" })
	w.must(w.live.Patch(t.Context(), child, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":true}}`))))
	w.edit(job, func(s *v1alpha1.AnalysisJobSpec) { s.Suspend, s.Cancel = true, true })
	w.waitForJob(job, "it is at rest", play, func(c *batchv1.Job) bool {
		return suspended(c) && c.Status.Active == 0 && !stopping(c)
	})
	want := outcomeOf{State: "Cancelled", Reason: "Cancelled", Message: "cancelled by spec.cancel", Shards: "1/2", Done: 4, OK: 4}
	if diff := cmp.Diff(want, outcomeIn(w.settle(job))); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
}

func TestTheDeadlineIsAskedForAndNotSleptFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("wake").StartWithin(30 * time.Minute).CompleteWithin(50 * time.Minute).Obj())
	w.settle(job)
	result, err := w.pass(job)
	w.must(err)
	if left := result.RequeueAfter; left <= 0 || left > 30*time.Minute {
		t.Errorf("wakes in %v, want before 30m", left)
	}
}

func TestAFinishedJobIsRemovedAfterItsTimeToLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("ttl").TTL(3600).Obj())
	got := w.until(job, allSucceed(1), "ended", inState(v1alpha1.StateSucceeded))
	result, err := w.pass(job)
	w.must(err)
	if left := result.RequeueAfter; left <= 0 || left > time.Hour {
		t.Errorf("wakes in %v, want within the hour", left)
	}
	w.clock.SetTime(got.Status.CompletionTime.Add(time.Hour))
	_, err = w.pass(job)
	w.must(err)
	if err := w.live.Get(t.Context(), client.ObjectKeyFromObject(job), got); !apierrors.IsNotFound(err) {
		t.Fatalf("get after its time to live: %v, want not found", err)
	}
	for deadline := time.Now().Add(time.Minute); w.child(job) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the Job outlives its owner")
		}
	}
}

// Invariant 9.
func TestNothingIsCreatedUnderAnObjectBeingDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := MakeJob("going").Obj()
	job.Finalizers = []string{"example.com/held"}
	w.create(job)
	stale := w.read(job) // a cache that has not heard of the deletion
	w.must(w.live.Delete(t.Context(), job.DeepCopy()))
	for name, reader := range map[string]client.Client{"fresh cache": w.live, "stale cache": staleClient{w.crash.Wrap(w.live), stale}} {
		w.operator.Client = reader
		if _, err := w.pass(job); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if child := w.child(job); child != nil {
			t.Errorf("%s: Job %q was created", name, child.Name)
		}
	}
	if n := w.crash.Writes(); n != 0 {
		t.Errorf("%d writes to an object being deleted, want 0", n)
	}
	w.must(w.live.Patch(t.Context(), job, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	if _, err := w.pass(job); err != nil {
		t.Errorf("gone, with a stale cache: %v", err)
	}
	if child := w.child(job); child != nil {
		t.Errorf("Job %q was created for an object that is gone", child.Name)
	}
}

// Invariant 6: someone else's deletion does not bring a second Job, nor does a cache that has not heard of the first.
func TestThereIsNeverASecondJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	created := w.watchJobs()
	job := w.create(MakeJob("once").Obj())
	unheard := w.read(job)
	w.until(job, allRun, "running", inState(v1alpha1.StateRunning))

	w.operator.Client = staleClient{w.crash.Wrap(w.live), unheard}
	if _, err := w.pass(job); err != nil {
		t.Errorf("pass on a stale cache: %v", err)
	}
	w.start(-1, false)
	child := w.child(job)
	w.must(w.live.Delete(t.Context(), child, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	for deadline := time.Now().Add(time.Minute); w.child(job) != nil && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	w.operator.Client = staleClient{w.crash.Wrap(w.live), unheard}
	if result, err := w.pass(job); err != nil || result.RequeueAfter <= 0 {
		t.Errorf("pass on a stale cache after the Job's deletion: %v, %v; want another look", result, err)
	}
	w.start(-1, false)
	got := w.until(job, allRun, "ended", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return finished(j) })
	want := outcomeOf{State: "Failed", Reason: "JobDeleted", Shards: "0/1",
		Message: `Job "` + child.Name + `" was deleted; there is never a second one: create a new AnalysisJob`}
	if diff := cmp.Diff(want, outcomeIn(got)); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
	w.isQuiet(got)
	if n := created(); n != 1 {
		t.Errorf("%d Jobs were created, want 1", n)
	}
}

func TestAForeignJobOfTheNameStallsUntilItIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("taken").Obj())
	foreign := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: jobName(job), Namespace: w.namespace},
		Spec:       batchv1.JobSpec{Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: w.operator.podSpec(&jobPass{job: withWindow(job)})}},
	}
	w.must(w.live.Create(t.Context(), foreign))
	got := w.settle(job)
	wantCondition(t, got, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonJobNameTaken)
	w.must(w.live.Delete(t.Context(), foreign, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	got = w.until(job, allSucceed(1), "ended", inState(v1alpha1.StateSucceeded))
	wantNoCondition(t, got, v1alpha1.ConditionStalled)
}

func withWindow(job *v1alpha1.AnalysisJob) *v1alpha1.AnalysisJob {
	job = job.DeepCopy()
	job.Status.Window = resolveWindow(job.Spec.Window, job.CreationTimestamp.Time)
	return job
}

func TestTheModelIsResolvedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("resolve").Model("pat-s", "").Obj())
	wantCondition(t, w.settle(job), v1alpha1.ConditionModelResolved, metav1.ConditionFalse, v1alpha1.ReasonModelNotFound)
	first, second := MakeVersion("pat-s", "1").Stage(v1alpha1.StageShadow).Validated().Obj(), MakeVersion("pat-s", "2").Stage(v1alpha1.StageActive).Obj()
	w.createVersion(first)
	got := w.settle(job)
	wantCondition(t, got, v1alpha1.ConditionModelResolved, metav1.ConditionFalse, v1alpha1.ReasonModelNotActive)
	if w.child(job) != nil {
		t.Fatal("a Job was created before its model was known")
	}
	w.isQuiet(job)

	first.Status.Stage = v1alpha1.StageActive
	w.must(w.live.Status().Update(t.Context(), first))
	w.start(1, false) // the Job is created, and the operator dies before it says so
	_, _ = w.pass(job)
	first.Status.Stage = v1alpha1.StageRetired
	w.must(w.live.Status().Update(t.Context(), first))
	w.createVersion(second)
	w.start(-1, false)
	got = w.until(job, allSucceed(1), "ended", inState(v1alpha1.StateSucceeded))
	if diff := cmp.Diff(&v1alpha1.ResolvedModel{Name: "pat-s", Version: "1", Digest: digestOfOnes}, got.Status.Model); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
}

func TestAnotherNamespaceIsToldThatItIsNotServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Namespace = "elsewhere"
	w.start(-1, false)
	job := w.create(MakeJob("stray").Obj())
	got := w.settle(job)
	wantCondition(t, got, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotServed)
	wantCondition(t, got, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonNamespaceNotServed)
	if got.Status.Message != `analyses run in namespace "elsewhere": create it there` || w.child(job) != nil {
		t.Errorf("message %q, Job %v", got.Status.Message, w.child(job))
	}
	w.isQuiet(job)
}

func TestWhatKeepsShardsFromStartingIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("stuck").Obj())
	w.settle(job)
	child := w.waitForJob(job, "it has a pod", allWait, func(c *batchv1.Job) bool { return c.Status.Active == 1 })
	set := func(change func(*corev1.PodStatus)) {
		pods, err := LabelledPods(w.live)(t.Context(), child)
		w.must(err)
		change(&pods[0].Status)
		w.must(w.live.Status().Update(t.Context(), &pods[0]))
	}
	set(func(s *corev1.PodStatus) {
		s.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	})
	w.clock.Step(time.Minute)
	if got := w.settle(job).Status.Message; got != "no node has room for a shard" {
		t.Errorf("message %q", got)
	}
	set(func(s *corev1.PodStatus) {
		s.Conditions = nil
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: ContainerName, State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "secret-host refused"}}}}
	})
	w.clock.Step(time.Minute)
	wantCondition(t, w.settle(job), v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonShardCannotStart)
	got := w.until(job, allSucceed(1), "ended", inState(v1alpha1.StateSucceeded))
	wantNoCondition(t, got, v1alpha1.ConditionStalled)
}

func wantNoCondition(t *testing.T, job *v1alpha1.AnalysisJob, kind string) {
	t.Helper()
	if c := meta.FindStatusCondition(job.Status.Conditions, kind); c != nil {
		t.Errorf("%s is %s (%s), want none", kind, c.Status, c.Reason)
	}
}

func wantCondition(t *testing.T, job *v1alpha1.AnalysisJob, kind string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	for _, c := range job.Status.Conditions {
		if c.Type == kind {
			if c.Status != status || c.Reason != reason {
				t.Errorf("%s is %s (%s), want %s (%s)", kind, c.Status, c.Reason, status, reason)
			}
			return
		}
	}
	t.Errorf("there is no condition %s", kind)
}
