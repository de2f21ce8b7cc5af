package analysisjob

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// jobPass is one look at one AnalysisJob: what was read, and what the phases found.
type jobPass struct {
	pass.Alarm
	now    time.Time
	before *v1alpha1.AnalysisJob // as read; never written to
	job    *v1alpha1.AnalysisJob // a copy; only its status is written to

	child    *batchv1.Job               // the Indexed Job; nil where there is none
	pods     []corev1.Pod               // the Job's pods
	model    *v1alpha1.ModelVersion     // what the model was resolved to in this pass, for the Job's creation
	workload *unstructured.Unstructured // Kueue's object for the Job; nil where there is none

	end          *jobOutcome  // how the job ended; nil while it has not
	startBlocked *pass.Reason // why no shard starts, where a person can see it
	pending      *pass.Reason // why the model is not resolved
}

// jobOutcome is how an AnalysisJob ended.
type jobOutcome struct {
	why       pass.Reason
	succeeded bool
	at        time.Time
}

func newPass(job *v1alpha1.AnalysisJob, now time.Time) *jobPass {
	return &jobPass{now: now, before: job, job: job.DeepCopy()}
}

// finished says whether the end is on record.
func finished(job *v1alpha1.AnalysisJob) bool {
	return meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionSucceeded) ||
		meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionFailed)
}

// started says whether a shard ever ran: a fact, kept once seen.
func (p *jobPass) started() bool {
	if meta.IsStatusConditionTrue(p.before.Status.Conditions, v1alpha1.ConditionStarted) {
		return true
	}
	if p.child == nil {
		return false
	}
	s := p.child.Status
	if s.Succeeded > 0 || s.CompletedIndexes != "" || s.Ready != nil && *s.Ready > 0 {
		return true
	}
	return !firstStart(p.pods).IsZero()
}

// firstStart is when the first container of the pods started; zero if none did.
func firstStart(pods []corev1.Pod) time.Time {
	var first time.Time
	for i := range pods {
		for _, c := range pods[i].Status.ContainerStatuses {
			var at metav1.Time
			switch {
			case c.State.Running != nil:
				at = c.State.Running.StartedAt
			case c.State.Terminated != nil:
				at = c.State.Terminated.StartedAt
			}
			if !at.IsZero() && (first.IsZero() || at.Time.Before(first)) {
				first = at.Time
			}
		}
	}
	return first
}

// endWith ends the job.
func (p *jobPass) endWith(succeeded bool, at time.Time, reason, message string) {
	p.end = &jobOutcome{why: pass.Reason{Reason: reason, Message: message}, succeeded: succeeded, at: at}
}

// suspended says whether the Job is suspended now.
func suspended(child *batchv1.Job) bool { return child.Spec.Suspend != nil && *child.Spec.Suspend }
