package analysisjob

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

// 100,000 subjects in 200 shards, of which one in twenty fails; one is
// preempted, one is retried. The status equals what the shards did.
func TestTwoHundredShardsAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchConditions()
	created := w.watchJobs()
	const shards, each = 200, 500
	var truth v1alpha1.SubjectCounts
	why := map[string]int64{}
	reports := make([]termination.Report, shards)
	for i := range reports {
		failed, skipped := int64(i%3), int64(i%7)
		reports[i] = termination.Report{Subjects: each, Succeeded: each - failed - skipped, Skipped: skipped, Failed: failed}
		if failed > 0 {
			reports[i].Reasons = map[string]int64{"NoData": failed}
		}
		if i%20 == 0 { // it breaks halfway
			reports[i] = termination.Report{Subjects: 250, Succeeded: 249, Failed: 1, Reasons: map[string]int64{"Panicked": 1}}
			why["ShardInvalidInput"]++
		}
		truth.Done += reports[i].Subjects
		truth.Succeeded += reports[i].Succeeded
		truth.Skipped += reports[i].Skipped
		truth.Failed += reports[i].Failed
		for reason, n := range reports[i].Reasons {
			why[reason] += n
		}
	}
	preempted := false
	play := func(shard, attempt int) shardEnd {
		report := reports[shard]
		switch {
		case shard%20 == 0:
			return shardEnd{exit: worker.ExitInvalidInput, reason: "Error", report: &report}
		case shard == 33 && !preempted:
			preempted = true
			return shardEnd{exit: 143, reason: "Error", preempted: true, report: &termination.Report{Subjects: 10, Succeeded: 10}}
		case shard == 34 && attempt == 0:
			return shardEnd{exit: 137, reason: "OOMKilled"}
		}
		return shardEnd{report: &report}
	}
	job := w.create(MakeJob("cohort").Shards(shards).Parallelism(50).Retry(1, 5).Obj())
	got := w.until(job, play, "ended", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return finished(j) })
	if diff := cmp.Diff(truth, got.Status.Subjects); diff != "" {
		t.Errorf("subjects (-what the shards did +status):\n%s", diff)
	}
	if diff := cmp.Diff(summary(why), got.Status.FailureSummary); diff != "" {
		t.Errorf("reasons (-what the shards said +status):\n%s", diff)
	}
	if s := got.Status; s.State != v1alpha1.StateSucceeded || s.Shards.Succeeded != 190 || s.Shards.Failed != 10 || s.Shards.Uncounted != 0 ||
		s.Message != "190 of 200 shards succeeded; 10 failed, 10 may" {
		t.Errorf("status: %s", testenv.JSON(s))
	}
	if size := len(testenv.JSON(got.Status)); size > 8192 {
		t.Errorf("status is %d bytes, want at most 8192", size)
	}
	if n := created(); n != 1 {
		t.Errorf("%d Jobs were created, want 1", n)
	}
	w.isQuiet(got)
}
