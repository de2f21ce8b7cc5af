package analysisjob

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

// outcomeOf is what a test compares of how a job ended.
type outcomeOf struct {
	State                     v1alpha1.State
	Reason, Message, Shards   string
	Failed                    int32
	Done, OK, Skipped, Broken int64
	Why                       []v1alpha1.FailureCount
}

func outcomeIn(job *v1alpha1.AnalysisJob) outcomeOf {
	s := job.Status
	o := outcomeOf{State: s.State, Message: s.Message, Shards: s.Shards.Summary, Failed: s.Shards.Failed, Why: s.FailureSummary,
		Done: s.Subjects.Done, OK: s.Subjects.Succeeded, Skipped: s.Subjects.Skipped, Broken: s.Subjects.Failed}
	for _, kind := range []string{v1alpha1.ConditionSucceeded, v1alpha1.ConditionFailed} {
		if c := meta.FindStatusCondition(s.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			o.Reason = c.Reason
		}
	}
	return o
}

func TestAJobRunsToItsEnd(t *testing.T) {
	t.Parallel()
	report := func(ok, skipped, failed int64, reasons map[string]int64) *termination.Report {
		return &termination.Report{Subjects: ok + skipped + failed, Succeeded: ok, Skipped: skipped, Failed: failed, Reasons: reasons}
	}
	tests := map[string]struct {
		job  *jobWrapper
		play script
		want outcomeOf
	}{
		"one subject in one shard": {
			MakeJob("one").Subject("tok-0123456789abcdef"), allSucceed(1),
			outcomeOf{State: "Succeeded", Reason: "Completed", Message: "all 1 shards succeeded", Shards: "1/1", Done: 1, OK: 1},
		},
		"subjects that fail are counted by their reasons": {
			MakeJob("reasons").Shards(2),
			func(shard, _ int) shardEnd {
				return shardEnd{report: report(5, 2, 3, map[string]int64{"NoData": 2, "NoEpochs": int64(shard)})}
			},
			outcomeOf{State: "Succeeded", Reason: "Completed", Message: "all 2 shards succeeded", Shards: "2/2",
				Done: 20, OK: 10, Skipped: 4, Broken: 6,
				Why: []v1alpha1.FailureCount{{Reason: "NoData", Count: 4}, {Reason: "NoEpochs", Count: 1}}},
		},
		"a shard is tried again and counted once": {
			MakeJob("retry").Shards(2).Retry(1, 0),
			func(shard, attempt int) shardEnd {
				if shard == 1 && attempt == 0 {
					return shardEnd{exit: 1, reason: "Error", report: report(3, 0, 0, nil)}
				}
				return shardEnd{report: report(10, 0, 0, nil)}
			},
			outcomeOf{State: "Succeeded", Reason: "Completed", Message: "all 2 shards succeeded", Shards: "2/2", Done: 20, OK: 20},
		},
		"a preempted pod is no failure, though no retry is allowed": {
			MakeJob("preempted").Shards(2).Retry(0, 0), preemptFirstPodOf(1),
			outcomeOf{State: "Succeeded", Reason: "Completed", Message: "all 2 shards succeeded", Shards: "2/2", Done: 20, OK: 20},
		},
		"invalid input fails its shard at once, whatever retries are left": {
			MakeJob("invalid").Shards(2).Retry(20, 50),
			func(shard, _ int) shardEnd {
				if shard == 0 {
					return shardEnd{exit: worker.ExitInvalidInput, reason: "Error", report: report(0, 0, 4, map[string]int64{"BadManifest": 4})}
				}
				return shardEnd{report: report(10, 0, 0, nil)}
			},
			outcomeOf{State: "Succeeded", Reason: "Completed", Message: "1 of 2 shards succeeded; 1 failed, 1 may", Shards: "1/2", Failed: 1,
				Done: 14, OK: 10, Broken: 4,
				Why: []v1alpha1.FailureCount{{Reason: "BadManifest", Count: 4}, {Reason: "ShardInvalidInput", Count: 1}}},
		},
		"a worker that is configured wrongly ends the job, whatever retries are left": {
			MakeJob("misconfigured").Shards(4).Parallelism(1).Retry(20, 100),
			func(int, int) shardEnd {
				return shardEnd{exit: worker.ExitConfiguration, reason: "Error", report: &termination.Report{Reasons: map[string]int64{"InvalidConfiguration": 1}}}
			},
			outcomeOf{State: "Failed", Reason: "WorkerMisconfigured",
				Message: "a shard's worker exited with 78: it is configured wrongly, and so is every other shard's", Shards: "0/4"},
		},
		"a shard that fails for good is counted by its last attempt": {
			MakeJob("last").Shards(2).Retry(1, 50),
			func(shard, attempt int) shardEnd {
				if shard == 0 {
					return shardEnd{exit: 1, reason: "Error", report: report(int64(3+4*attempt), 0, 0, nil)}
				}
				return shardEnd{report: report(10, 0, 0, nil)}
			},
			outcomeOf{State: "Succeeded", Reason: "Completed", Message: "1 of 2 shards succeeded; 1 failed, 1 may", Shards: "1/2", Failed: 1,
				Done: 17, OK: 17, Why: []v1alpha1.FailureCount{{Reason: "ShardError", Count: 1}}},
		},
		"one shard more than may fail": {
			MakeJob("too-many").Shards(4).Parallelism(1).Retry(0, 25),
			func(shard, _ int) shardEnd {
				if shard < 2 {
					return shardEnd{exit: 137, reason: "OOMKilled"}
				}
				return shardEnd{report: report(10, 0, 0, nil)}
			},
			outcomeOf{State: "Failed", Reason: "TooManyFailedShards", Message: "2 of 4 shards failed; 1 may", Shards: "0/4", Failed: 2,
				Why: []v1alpha1.FailureCount{{Reason: "ShardOOMKilled", Count: 2}}},
		},
		"a report that is none counts nothing and leaks nothing": {
			MakeJob("unreadable"),
			func(int, int) shardEnd { return shardEnd{report: &termination.Report{Subjects: 5, Succeeded: 1}} },
			outcomeOf{State: "Succeeded", Reason: "Completed", Message: "all 1 shards succeeded", Shards: "1/1",
				Why: []v1alpha1.FailureCount{{Reason: "ShardReportUnreadable", Count: 1}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.watchConditions()
			created := w.watchJobs()
			job := w.create(tt.job.Obj())
			got := w.until(job, tt.play, "ended", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return finished(j) })
			if diff := cmp.Diff(tt.want, outcomeIn(got)); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if got.Status.StartTime == nil || got.Status.CompletionTime == nil {
				t.Errorf("times are missing: %s", testenv.JSON(got.Status))
			}
			if n := created(); n != 1 {
				t.Errorf("%d Jobs were created, want 1", n)
			}
			w.isQuiet(got)
		})
	}
}

// preemptFirstPodOf preempts the first pod of one shard, and lets everything else succeed with ten subjects.
func preemptFirstPodOf(shard int) script {
	preempted := false
	return func(s, _ int) shardEnd {
		if s == shard && !preempted {
			preempted = true
			return shardEnd{exit: 143, reason: "Error", preempted: true}
		}
		return shardEnd{report: &termination.Report{Subjects: 10, Succeeded: 10}}
	}
}

// isQuiet is invariant 10: passes over a job at rest write nothing, whatever
// time it is and whatever the configuration became.
func (w *world) isQuiet(job *v1alpha1.AnalysisJob) {
	w.t.Helper()
	w.settle(job)
	before := w.read(job)
	w.config.Image = strings.Replace(w.config.Image, "sha256:0", "sha256:f", 1) // an upgrade: invariant 8
	w.start(-1, false)
	for range 5 {
		w.clock.Step(time.Hour)
		if _, err := w.pass(job); err != nil {
			w.t.Fatal(err)
		}
	}
	if n := w.crash.Writes(); n != 0 {
		w.t.Errorf("%d writes in a quiet system, want 0", n)
	}
	if after := w.read(job); after.ResourceVersion != before.ResourceVersion {
		w.t.Errorf("the object changed in a quiet system:\n%s", cmp.Diff(before.Status, after.Status))
	}
}

func TestFourWritesTakeAJobFromCreationToRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("writes").Shards(3).Obj())
	w.until(job, allRun, "running", inState(v1alpha1.StateRunning))
	if n := w.crash.Writes(); n > 4 {
		t.Errorf("%d writes until it runs, want at most 4", n)
	}
	w.isQuiet(job)
}

func TestCountsAreWrittenAtMostOnceInTenSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("often").Shards(12).Parallelism(12).Obj())
	var ended int // shards that may have ended
	play := func(shard, _ int) shardEnd {
		if shard < ended {
			return shardEnd{report: &termination.Report{Subjects: 1, Succeeded: 1}}
		}
		return shardEnd{runs: true}
	}
	w.until(job, play, "running", inState(v1alpha1.StateRunning))
	w.settle(job)
	w.clock.Step(time.Minute)
	writes := w.crash.Writes()
	for ended < 11 { // a shard ends every second
		ended++
		w.waitForJob(job, "one more shard ended", play, func(child *batchv1.Job) bool { return int(child.Status.Succeeded) == ended })
		w.clock.Step(time.Second)
		before := w.crash.Writes()
		result, err := w.pass(job)
		w.must(err)
		if wake := result.RequeueAfter; w.crash.Writes() == before && (wake <= 0 || wake > 11*time.Second) {
			t.Errorf("counts wait to be written and the next look is in %v", wake)
		}
	}
	if n := w.crash.Writes() - writes; n < 1 || n > 2 {
		t.Errorf("%d writes of counts in eleven seconds, want 1 or 2", n)
	}
	w.clock.Step(11 * time.Second)
	if got := w.settle(job).Status; got.Subjects.Done != 11 || got.Shards.Summary != "11/12" || got.Rate == "" || got.ETA == "" {
		t.Errorf("counts at rest: %s", testenv.JSON(got))
	}
	ended = 12
	got := w.until(job, play, "ended", inState(v1alpha1.StateSucceeded)).Status
	if got.Subjects.Done != 12 || got.ETA != "" || got.Shards.Active != 0 {
		t.Errorf("counts at the end: %s", testenv.JSON(got))
	}
}

func TestCountsOutliveThePods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("outlive").Shards(2).Obj())
	play := func(shard, _ int) shardEnd {
		if shard == 0 {
			return shardEnd{report: &termination.Report{Subjects: 7, Succeeded: 6, Failed: 1, Reasons: map[string]int64{"NoEpochs": 1}}}
		}
		return shardEnd{runs: true}
	}
	w.until(job, play, "half done", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return j.Status.Subjects.Done == 7 })
	w.removeFinishedPods(job)
	w.start(-1, false)
	got := w.until(job, allSucceed(5), "ended", inState(v1alpha1.StateSucceeded))
	want := outcomeOf{State: "Succeeded", Reason: "Completed", Message: "all 2 shards succeeded", Shards: "2/2", Done: 12, OK: 11, Broken: 1,
		Why: []v1alpha1.FailureCount{{Reason: "NoEpochs", Count: 1}}}
	if diff := cmp.Diff(want, outcomeIn(got)); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
}

// A report that nobody could read is said to be lost, never guessed.
func TestReportsLostWithTheirPodsAreToldOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := w.create(MakeJob("lost").Shards(2).Obj())
	w.settle(job)
	child := w.waitForJob(job, "both shards succeeded", allSucceed(5), func(c *batchv1.Job) bool { return c.Status.Succeeded == 2 && lastCondition(c) != nil })
	w.removeFinishedPods(job)
	got := w.settle(job)
	want := outcomeOf{State: "Succeeded", Reason: "Completed", Shards: "2/2",
		Message: "all 2 shards succeeded; the reports of 2 shards were lost with their pods"}
	if diff := cmp.Diff(want, outcomeIn(got)); diff != "" {
		t.Errorf("end of %s (-want +got):\n%s", child.Name, diff)
	}
	if got.Status.Shards.Uncounted != 2 {
		t.Errorf("uncounted %d, want 2", got.Status.Shards.Uncounted)
	}
}

// A node that goes away between two writes of counts takes no report along:
// what a pass or an event showed is remembered until it is on record.
func TestReportsOfPodsThatGoBeforeTheNextWriteAreCounted(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*world, *v1alpha1.AnalysisJob){
		"a pass saw the pod": func(w *world, job *v1alpha1.AnalysisJob) {
			_, err := w.pass(job)
			w.must(err)
		},
		"only its event was seen": func(w *world, job *v1alpha1.AnalysisJob) {
			pods, err := LabelledPods(w.live)(w.t.Context(), w.child(job))
			w.must(err)
			for i := range pods {
				w.operator.noteEnded(w.t.Context(), &pods[i])
			}
		},
	}
	for name, show := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			job := w.create(MakeJob("quick").Shards(3).Obj())
			ends := 1
			play := func(shard, _ int) shardEnd {
				if shard < ends {
					return shardEnd{report: &termination.Report{Subjects: 5, Succeeded: 5}}
				}
				return shardEnd{runs: true}
			}
			w.until(job, play, "one shard is counted", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return j.Status.Subjects.Done == 5 })
			ends = 2
			w.waitForJob(job, "two shards succeeded", play, func(c *batchv1.Job) bool { return c.Status.CompletedIndexes == "0,1" })
			show(w, job)
			if got := w.read(job); got.Status.Subjects.Done != 5 {
				t.Fatalf("subjects %d were written at once: the test shows nothing", got.Status.Subjects.Done)
			}
			w.removeFinishedPods(job)
			ends = 3
			got := w.until(job, play, "ended", inState(v1alpha1.StateSucceeded))
			if got.Status.Subjects.Done != 15 || got.Status.Shards.Uncounted != 0 {
				t.Errorf("subjects %d, uncounted %d; want 15 and none", got.Status.Subjects.Done, got.Status.Shards.Uncounted)
			}
			if _, err := w.pass(job); err != nil || len(w.operator.memory.jobs) != 0 {
				t.Errorf("after the end %v is remembered, %v", w.operator.memory.jobs, err)
			}
		})
	}
}

// waitForJob moves pods, but runs no pass.
func (w *world) waitForJob(job *v1alpha1.AnalysisJob, what string, play script, is func(*batchv1.Job) bool) *batchv1.Job {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		child := w.child(job)
		w.kubelet(child, play)
		if is(child) {
			return child
		}
	}
	w.t.Fatalf("job of %q is never so that %s", job.Name, what)
	return nil
}

func (w *world) removeFinishedPods(job *v1alpha1.AnalysisJob) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		pods, err := LabelledPods(w.live)(w.t.Context(), w.child(job))
		w.must(err)
		left := 0
		for i := range pods {
			if pods[i].Status.Phase == corev1.PodSucceeded {
				left++
				w.must(client.IgnoreNotFound(w.live.Delete(w.t.Context(), &pods[i], client.GracePeriodSeconds(0))))
			}
		}
		if left == 0 {
			return
		}
	}
	w.t.Fatal("finished pods stay")
}

func TestTheWholeJobIsWhatThePlatformDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	version := MakeVersion("pat-s", "1").Stage(v1alpha1.StageActive).Endpoint("pat-s-1-0123456789." + w.namespace + ".svc:8001").Obj()
	w.createVersion(version)
	job := w.create(MakeJob("backfill.november").Shards(200).Parallelism(20).Retry(3, 5).Model("pat-s", "").Queue("night").Obj())
	w.settle(job)
	child := w.child(job)
	if child == nil {
		t.Fatal("there is no Job")
	}
	spec, pod := child.Spec, child.Spec.Template.Spec
	day := func(back int) string { return job.CreationTimestamp.UTC().AddDate(0, 0, -back).Format(time.DateOnly) }
	wantArgs := []string{"shard", "--run=" + string(job.UID), "--shards=200", "--start=" + day(7), "--end=" + day(1), "--analyses=wear,model",
		"--on-existing=Skip", "--all", "--model=pat-s@1", "--model-artifact=gs://models/pat-s", "--model-digest=" + digestOfOnes,
		"--model-endpoint=pat-s-1-0123456789." + w.namespace + ".svc:8001"}
	checks := map[string][2]any{
		"name":           {jobName(job), child.Name},
		"queue":          {"night", child.Labels[queueLabel]},
		"mode":           {batchv1.IndexedCompletion, *spec.CompletionMode},
		"shards":         {int32(200), *spec.Completions},
		"parallelism":    {int32(20), *spec.Parallelism},
		"retries":        {int32(3), *spec.BackoffLimitPerIndex},
		"may fail":       {int32(10), *spec.MaxFailedIndexes},
		"replacement":    {batchv1.Failed, *spec.PodReplacementPolicy},
		"born suspended": {true, *spec.Suspend},
		"restart":        {corev1.RestartPolicyNever, pod.RestartPolicy},
		"account":        {"clarity-worker", pod.ServiceAccountName},
		"args":           {wantArgs, pod.Containers[0].Args},
		"image":          {w.config.Image, pod.Containers[0].Image},
		"disruption":     {batchv1.PodFailurePolicyActionIgnore, spec.PodFailurePolicy.Rules[0].Action},
		"invalid input":  {[]int32{worker.ExitInvalidInput}, spec.PodFailurePolicy.Rules[1].OnExitCodes.Values},
	}
	for what, pair := range checks {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if owner := metav1.GetControllerOf(child); owner == nil || owner.UID != job.UID {
		t.Errorf("owner %+v, want the AnalysisJob", owner)
	}
}

func (w *world) createVersion(v *v1alpha1.ModelVersion) {
	w.t.Helper()
	v.Namespace = w.namespace
	status := v.Status
	w.must(w.live.Create(w.t.Context(), v))
	v.Status = status
	w.must(w.live.Status().Update(w.t.Context(), v))
}
