package analysisjob

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
)

// crashStory is a life of a job, told by what it reaches and what is then done to it.
type crashStory struct {
	job   *jobWrapper
	steps []crashStep
	want  outcomeOf
	jobs  int // Jobs ever created
}

type crashStep struct {
	what  string
	play  script
	until func(*v1alpha1.AnalysisJob, *batchv1.Job) bool
	then  func(*v1alpha1.AnalysisJobSpec)
}

func crashStories() map[string]crashStory {
	half := func(shard, _ int) shardEnd {
		if shard == 0 {
			return shardEnd{report: &termination.Report{Subjects: 4, Succeeded: 3, Failed: 1, Reasons: map[string]int64{"NoEpochs": 1}}}
		}
		return shardEnd{runs: true}
	}
	rest := func(shard, _ int) shardEnd {
		if shard == 2 {
			return shardEnd{exit: worker.ExitInvalidInput, reason: "Error", report: &termination.Report{Subjects: 2, Failed: 2, Reasons: map[string]int64{"BadManifest": 2}}}
		}
		return shardEnd{report: &termination.Report{Subjects: 4, Succeeded: 4}}
	}
	oneDone := func(_ *v1alpha1.AnalysisJob, c *batchv1.Job) bool {
		return c != nil && c.Status.CompletedIndexes == "0"
	}
	ended := func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return finished(j) }
	held := func(j *v1alpha1.AnalysisJob, c *batchv1.Job) bool {
		return j.Status.State == v1alpha1.StateSuspended && suspended(c) && !stopping(c)
	}
	suspend := func(s *v1alpha1.AnalysisJobSpec) { s.Suspend = true }
	resume := func(s *v1alpha1.AnalysisJobSpec) { s.Suspend = false }
	cancel := func(s *v1alpha1.AnalysisJobSpec) { s.Cancel = true }
	halfDone := []v1alpha1.FailureCount{{Reason: "NoEpochs", Count: 1}}
	allDone := []v1alpha1.FailureCount{{Reason: "BadManifest", Count: 2}, {Reason: "NoEpochs", Count: 1}, {Reason: "ShardInvalidInput", Count: 1}}
	succeeded := outcomeOf{State: "Succeeded", Reason: "Completed", Message: "2 of 3 shards succeeded; 1 failed, 1 may",
		Shards: "2/3", Failed: 1, Done: 10, OK: 7, Broken: 3, Why: allDone}
	cancelled := outcomeOf{State: "Cancelled", Reason: "Cancelled", Message: "cancelled by spec.cancel",
		Shards: "1/3", Done: 4, OK: 3, Broken: 1, Why: halfDone}
	return map[string]crashStory{
		"run": {MakeJob("run").Shards(3).Retry(0, 34),
			[]crashStep{{"one shard is done", half, oneDone, nil}, {"ended", rest, ended, nil}}, succeeded, 1},
		"suspend, resume, run": {MakeJob("resume").Shards(3).Retry(0, 34),
			[]crashStep{{"one shard is done", half, oneDone, suspend}, {"held", half, held, resume}, {"ended", rest, ended, nil}}, succeeded, 1},
		"cancel while running": {MakeJob("cancel").Shards(3),
			[]crashStep{{"one shard is done", half, oneDone, cancel}, {"ended", half, ended, nil}}, cancelled, 1},
		"suspend, cancel": {MakeJob("drop").Shards(3),
			[]crashStep{{"one shard is done", half, oneDone, suspend}, {"held", half, held, cancel}, {"ended", half, ended, nil}}, cancelled, 1},
	}
}

// Invariant 6, and more: the operator dies after its k-th write, for every k,
// before the write's reply or after it. The end is that of an operator that never died.
func TestCrashAfterEveryWriteComesToTheSameEnd(t *testing.T) {
	t.Parallel()
	for name, story := range crashStories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			writes, calm := tell(t, story, -1, false)
			if writes < 4 {
				t.Fatalf("an operator that never dies writes %d times: the story is too short", writes)
			}
			for k := range writes {
				for _, lose := range []bool{false, true} {
					if k == 0 && lose {
						continue // there is no reply to lose
					}
					t.Run(fmt.Sprintf("after %d writes, last reply lost %v", k, lose), func(t *testing.T) {
						_, crashed := tell(t, story, k, lose)
						if diff := cmp.Diff(calm, crashed); diff != "" {
							t.Errorf("end (-calm +crashed):\n%s", diff)
						}
					})
				}
			}
		})
	}
}

// endState is what must be the same after any crash.
type endState struct {
	Outcome    outcomeOf
	Conditions map[string]string
	Counted    string
	JobLeft    bool
}

// tell plays a story and returns how many writes it took and how it ended.
func tell(t *testing.T, story crashStory, after int, lose bool) (int, endState) {
	t.Helper()
	w := newWorld(t)
	w.watchConditions()
	created := w.watchJobs()
	job := w.create(story.job.Obj())
	w.start(after, lose)
	first := w.crash
	var got *v1alpha1.AnalysisJob
	for _, step := range story.steps {
		got = w.until(job, step.play, step.what, step.until)
		if step.then != nil {
			w.edit(job, step.then)
		}
	}
	got = w.settle(got)
	if diff := cmp.Diff(story.want, outcomeIn(got)); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
	if n := created(); n != story.jobs {
		t.Errorf("%d Jobs were created, want %d", n, story.jobs)
	}
	if after >= 0 && !first.Crashed() {
		t.Errorf("the operator never died: it wrote %d times", first.Writes())
	}
	w.start(-1, false)
	w.isQuiet(got)
	end := endState{Outcome: outcomeIn(got), Conditions: map[string]string{},
		Counted: fmt.Sprintf("%b", got.Status.Shards.Counted), JobLeft: w.child(job) != nil}
	for _, c := range got.Status.Conditions {
		if c.Status != metav1.ConditionUnknown {
			end.Conditions[c.Type] = string(c.Status) + " " + c.Reason
		}
	}
	return first.Writes(), end
}
