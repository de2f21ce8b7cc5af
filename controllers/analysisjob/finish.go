package analysisjob

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// finish ends the job when its Job has ended, or was deleted by someone else.
func (r *Reconciler) finish(ctx context.Context, p *jobPass) (outcome.Outcome, error) {
	if p.child == nil {
		if p.before.Status.Job == "" {
			return outcome.Continue{}, nil
		}
		p.endWith(false, p.now, v1alpha1.ReasonJobDeleted,
			fmt.Sprintf("Job %q was deleted; there is never a second one: create a new AnalysisJob", p.before.Status.Job))
		return outcome.Done{}, nil
	}
	last := lastCondition(p.child)
	if last == nil {
		return outcome.Continue{}, nil
	}
	if err := r.finalize(ctx, p); err != nil {
		return nil, err
	}
	p.endAs(last)
	return outcome.Done{}, nil
}

// lastCondition returns the condition that ended the Job, or nil.
func lastCondition(child *batchv1.Job) *batchv1.JobCondition {
	for i := range child.Status.Conditions {
		c := &child.Status.Conditions[i]
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// endAs reads the end from the Job's last condition. An Indexed Job with a
// failed index ends Failed even where maxFailedIndexes allows it: what was
// allowed is a success here.
func (p *jobPass) endAs(last *batchv1.JobCondition) {
	shards := p.job.Status.Shards
	limit := maxFailedShards(p.job)
	at := last.LastTransitionTime.Time
	switch {
	case last.Type == batchv1.JobComplete:
		p.endWith(true, at, v1alpha1.ReasonCompleted, fmt.Sprintf("all %d shards succeeded", shards.Total))
	case p.child.Annotations[endedAnnotation] != "" && last.Reason == batchv1.JobReasonDeadlineExceeded:
		why := p.endReason(p.child.Annotations[endedAnnotation])
		p.endWith(false, at, why.Reason, why.Message)
	case last.Reason == batchv1.JobReasonFailedIndexes && shards.Failed <= limit:
		p.endWith(true, at, v1alpha1.ReasonCompleted,
			fmt.Sprintf("%d of %d shards succeeded; %d failed, %d may", shards.Succeeded, shards.Total, shards.Failed, limit))
	case last.Reason == batchv1.JobReasonFailedIndexes || last.Reason == batchv1.JobReasonMaxFailedIndexesExceeded:
		p.endWith(false, at, v1alpha1.ReasonTooManyFailedShards,
			fmt.Sprintf("%d of %d shards failed; %d may", shards.Failed, shards.Total, limit))
	case last.Reason == batchv1.JobReasonPodFailurePolicy: // one rule alone ends the Job
		p.endWith(false, at, v1alpha1.ReasonWorkerMisconfigured,
			fmt.Sprintf("a shard's worker exited with %d: it is configured wrongly, and so is every other shard's", worker.ExitConfiguration))
	default:
		reason := last.Reason
		if !termination.IsWord(reason) {
			reason = "Failed"
		}
		p.endWith(false, at, v1alpha1.ReasonJobFailed, "the Job ended with reason "+reason)
	}
}
