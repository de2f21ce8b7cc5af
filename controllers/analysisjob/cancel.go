package analysisjob

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchac "k8s.io/client-go/applyconfigurations/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// manager is the name under which the operator owns fields.
const manager = "clarity-analysisjob"

// endedAnnotation says on the Job itself why it is being ended, in the same
// write that ends it: the reason survives a crash in between.
const endedAnnotation = "clarityloop.dev/ended"

// cancel ends the job where it was cancelled or ran out of time.
//
// A Job that runs is given a deadline that has passed: its own controller then
// stops the shards (which checkpoint within the grace period) and keeps Job
// and pods, so that the counts stay exact. A suspended Job runs nothing and its
// controller would not end it: the end goes on record, and the Job is deleted
// afterwards, or a queue would start it again. Where there is no Job yet, there
// never will be.
func (r *Reconciler) cancel(ctx context.Context, p *jobPass) (outcome.Outcome, error) {
	why := p.overdue()
	if why == nil {
		return outcome.Continue{}, nil
	}
	if p.child == nil {
		p.endWith(false, p.now, why.Reason, why.Message)
		return outcome.Done{}, nil
	}
	if !suspended(p.child) {
		if _, ending := p.child.Annotations[endedAnnotation]; ending {
			return outcome.Continue{}, nil // count on while the shards stop
		}
		return outcome.Continue{}, r.stop(ctx, p, why)
	}
	if stopping(p.child) {
		return outcome.Continue{}, nil // the Job's controller still stops shards
	}
	if err := r.finalize(ctx, p); err != nil {
		return nil, err
	}
	p.endWith(false, p.now, why.Reason, why.Message)
	return outcome.Done{}, nil
}

// stopping says whether shards of a suspended Job are still around.
func stopping(child *batchv1.Job) bool {
	return child.Status.Active > 0 || child.Status.Terminating != nil && *child.Status.Terminating > 0
}

// overdue says why the job is to end, or nil; it asks to be woken when the next deadline passes.
func (p *jobPass) overdue() *pass.Reason {
	if p.child != nil {
		if reason, ok := p.child.Annotations[endedAnnotation]; ok {
			return p.endReason(reason)
		}
	}
	if p.job.Spec.Cancel {
		return p.endReason(v1alpha1.ReasonCancelled)
	}
	d := p.job.Spec.Deadline
	if d == nil {
		return nil
	}
	age := p.now.Sub(p.job.CreationTimestamp.Time)
	if d.CompleteWithin != nil {
		if age >= d.CompleteWithin.Duration {
			return p.endReason(v1alpha1.ReasonDeadlineExceeded)
		}
		p.WakeIn(d.CompleteWithin.Duration - age)
	}
	if d.StartWithin != nil && !p.started() {
		if age >= d.StartWithin.Duration {
			return p.endReason(v1alpha1.ReasonNotStartedInTime)
		}
		p.WakeIn(d.StartWithin.Duration - age)
	}
	return nil
}

// endReason words one of the reasons a cancelled or late job ends with.
func (p *jobPass) endReason(reason string) *pass.Reason {
	var d v1alpha1.Deadline
	if p.job.Spec.Deadline != nil {
		d = *p.job.Spec.Deadline
	}
	switch {
	case reason == v1alpha1.ReasonCancelled:
		return &pass.Reason{Reason: reason, Message: "cancelled by spec.cancel"}
	case reason == v1alpha1.ReasonNotStartedInTime && d.StartWithin != nil:
		return &pass.Reason{Reason: reason, Message: fmt.Sprintf("no shard started within %v of creation", d.StartWithin.Duration)}
	case reason == v1alpha1.ReasonDeadlineExceeded && d.CompleteWithin != nil:
		return &pass.Reason{Reason: reason, Message: fmt.Sprintf("not finished within %v of creation", d.CompleteWithin.Duration)}
	}
	return &pass.Reason{Reason: v1alpha1.ReasonJobFailed, Message: "ended by the annotation " + endedAnnotation}
}

// stop tells the Job's controller to end the Job.
func (r *Reconciler) stop(ctx context.Context, p *jobPass, why *pass.Reason) error {
	ending := batchac.Job(p.child.Name, p.child.Namespace).WithUID(p.child.UID).
		WithAnnotations(map[string]string{endedAnnotation: why.Reason}).
		WithSpec(batchac.JobSpec().WithActiveDeadlineSeconds(1))
	if p.job.Spec.QueueName == "" {
		ending.Spec.WithSuspend(false)
	}
	if err := r.Client.Apply(ctx, ending, client.FieldOwner(manager), client.ForceOwnership); err != nil {
		return fmt.Errorf("end job %q: %w", p.child.Name, err)
	}
	metav1.SetMetaDataAnnotation(&p.child.ObjectMeta, endedAnnotation, why.Reason)
	return nil
}
