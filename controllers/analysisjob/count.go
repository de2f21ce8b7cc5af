package analysisjob

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// otherReasons holds the count of reasons that have no place in the summary.
const otherReasons = "Other"

const maxSummary = 10

// count brings the counts of shards and subjects up to date.
//
// Shards are what the Job's status says. Subjects are the sum of the reports
// of shards that ended, each counted once: its bit in status.shards.counted is
// written in the same patch as the sums, over the version that was read. So the
// numbers are the same however often a pass runs, whoever runs it and whatever
// it crashed on, and they outlive the pods.
func (r *Reconciler) count(_ context.Context, p *jobPass) (outcome.Outcome, error) {
	t, err := tallyOf(p.job, p.child)
	if err != nil {
		return nil, err
	}
	t.add(p.pods)
	t.write(&p.job.Status, p.child)
	return outcome.Continue{}, nil
}

// finalize counts for the last time. What the cache has no pod for is asked of
// the API server before it is called lost.
func (r *Reconciler) finalize(ctx context.Context, p *jobPass) error {
	t, err := tallyOf(p.job, p.child)
	if err != nil {
		return err
	}
	t.add(p.pods)
	if t.missing() > 0 {
		pods, err := LabelledPods(r.Live)(ctx, p.child)
		if err != nil {
			return err
		}
		t.add(pods)
	}
	t.write(&p.job.Status, p.child)
	p.job.Status.Shards.Uncounted = int32(t.missing()) //nolint:gosec // at most shards
	return nil
}

// tally adds the reports of ended shards to what is on record.
type tally struct {
	completed, failed []int
	counted           bitmap
	subjects          v1alpha1.SubjectCounts
	seconds           int64
	reasons           map[string]int64
}

func tallyOf(job *v1alpha1.AnalysisJob, child *batchv1.Job) (*tally, error) {
	total := int(job.Spec.Shards)
	completed, err := parseIndexes(child.Status.CompletedIndexes, total)
	if err != nil {
		return nil, fmt.Errorf("read completed shards of job %q: %w", child.Name, err)
	}
	var failed []int
	if child.Status.FailedIndexes != nil {
		if failed, err = parseIndexes(*child.Status.FailedIndexes, total); err != nil {
			return nil, fmt.Errorf("read failed shards of job %q: %w", child.Name, err)
		}
	}
	t := &tally{
		completed: completed, failed: failed,
		counted: slices.Clone(job.Status.Shards.Counted), subjects: job.Status.Subjects,
		seconds: job.Status.Shards.Seconds, reasons: map[string]int64{},
	}
	for _, f := range job.Status.FailureSummary {
		t.reasons[f.Reason] = f.Count
	}
	return t, nil
}

// add counts the shards that ended, are not counted yet, and have their last pod in pods.
func (t *tally) add(pods []corev1.Pod) {
	succeeded, failed := lastPods(pods)
	for _, i := range t.completed {
		if pod := succeeded[i]; pod != nil && !t.counted.has(i) {
			t.report(pod)
			t.counted = t.counted.with(i)
		}
	}
	for _, i := range t.failed {
		if pod := failed[i]; pod != nil && !t.counted.has(i) {
			t.report(pod)
			t.reasons["Shard"+failureOf(pod)]++
			t.counted = t.counted.with(i)
		}
	}
}

// report adds what one shard's last pod says.
func (t *tally) report(pod *corev1.Pod) {
	end := terminated(pod)
	if end == nil {
		return // evicted before it ran: it did nothing and says so by its phase
	}
	if ran := end.FinishedAt.Sub(end.StartedAt.Time); ran > 0 {
		t.seconds += int64(ran / time.Second)
	}
	if end.Message == "" && pod.Status.Phase == corev1.PodFailed {
		return // killed before it could write: the reason tells
	}
	said, err := termination.ParseReport(end.Message)
	if err != nil {
		t.reasons["ShardReportUnreadable"]++
		return
	}
	t.subjects.Done += said.Subjects
	t.subjects.Succeeded += said.Succeeded
	t.subjects.Skipped += said.Skipped
	t.subjects.Failed += said.Failed
	for reason, n := range said.Reasons {
		if n > 0 {
			t.reasons[reason] += n
		}
	}
}

// missing is how many shards ended and are not counted.
func (t *tally) missing() int {
	var n int
	for _, i := range slices.Concat(t.completed, t.failed) {
		if !t.counted.has(i) {
			n++
		}
	}
	return n
}

func (t *tally) write(s *v1alpha1.AnalysisJobStatus, child *batchv1.Job) {
	total := *child.Spec.Completions
	s.Shards.Total = total
	s.Shards.Active = child.Status.Active
	s.Shards.Succeeded = int32(len(t.completed)) //nolint:gosec // at most shards
	s.Shards.Failed = int32(len(t.failed))       //nolint:gosec // at most shards
	s.Shards.Summary = fmt.Sprintf("%d/%d", len(t.completed), total)
	if len(t.counted) > 0 {
		s.Shards.Counted = t.counted
	}
	s.Shards.Seconds = t.seconds
	s.Subjects = t.subjects
	s.FailureSummary = summary(t.reasons)
}

// summary lists the commonest reasons, the commonest first. Where there are
// more than fit, the rest is Other: the counts always add up.
func summary(reasons map[string]int64) []v1alpha1.FailureCount {
	var list []v1alpha1.FailureCount
	rest := reasons[otherReasons]
	for reason, n := range reasons {
		if reason != otherReasons {
			list = append(list, v1alpha1.FailureCount{Reason: reason, Count: n})
		}
	}
	slices.SortFunc(list, func(a, b v1alpha1.FailureCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	room := maxSummary
	if rest > 0 || len(list) > maxSummary {
		room--
	}
	for len(list) > room {
		rest += list[len(list)-1].Count
		list = list[:len(list)-1]
	}
	if rest > 0 {
		list = append(list, v1alpha1.FailureCount{Reason: otherReasons, Count: rest})
	}
	return list
}

// lastPods finds each shard's pod that succeeded, and its last one that failed.
func lastPods(pods []corev1.Pod) (succeeded, failed map[int]*corev1.Pod) {
	succeeded, failed = map[int]*corev1.Pod{}, map[int]*corev1.Pod{}
	for i := range pods {
		pod := &pods[i]
		index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
		if err != nil {
			continue // not a pod of the Job controller
		}
		switch pod.Status.Phase {
		case corev1.PodSucceeded:
			succeeded[index] = later(succeeded[index], pod)
		case corev1.PodFailed:
			failed[index] = later(failed[index], pod)
		default: // still to end
		}
	}
	return succeeded, failed
}

// later returns the pod that ended later; the name decides between equals, so
// that every pass chooses the same.
func later(a, b *corev1.Pod) *corev1.Pod {
	if a == nil {
		return b
	}
	if cmp.Or(attempt(a)-attempt(b), endOf(a).Compare(endOf(b)), cmp.Compare(a.Name, b.Name)) > 0 {
		return a
	}
	return b
}

// attempt is how often the shard was tried before this pod.
func attempt(pod *corev1.Pod) int {
	n, _ := strconv.Atoi(pod.Annotations[batchv1.JobIndexFailureCountAnnotation]) // none is the first
	return n
}

func endOf(pod *corev1.Pod) time.Time {
	if end := terminated(pod); end != nil {
		return end.FinishedAt.Time
	}
	return pod.CreationTimestamp.Time
}

func terminated(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == ContainerName {
			return c.State.Terminated
		}
	}
	return nil
}

// failureOf says in a word why a shard's pod failed.
func failureOf(pod *corev1.Pod) string {
	reason := pod.Status.Reason
	if end := terminated(pod); end != nil && reason == "" {
		switch end.ExitCode {
		case worker.ExitInvalidInput:
			return "InvalidInput"
		case worker.ExitConfiguration:
			return "InvalidConfiguration"
		}
		reason = end.Reason
	}
	if !termination.IsWord(reason) {
		return "Error"
	}
	return reason
}
