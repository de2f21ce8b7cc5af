package analysisjob

import (
	"context"
	"fmt"

	batchac "k8s.io/client-go/applyconfigurations/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// steer suspends and resumes. In a queue the suspension of the Job is Kueue's
// to decide, and is asked of its Workload.
func (r *Reconciler) steer(ctx context.Context, p *jobPass) (outcome.Outcome, error) {
	if _, ending := p.child.Annotations[endedAnnotation]; ending || p.job.Spec.Cancel {
		return outcome.Continue{}, nil
	}
	if p.job.Spec.QueueName != "" {
		return outcome.Continue{}, r.steerQueue(ctx, p)
	}
	if suspended(p.child) == p.job.Spec.Suspend {
		return outcome.Continue{}, nil
	}
	wish := batchac.Job(p.child.Name, p.child.Namespace).WithUID(p.child.UID).
		WithSpec(batchac.JobSpec().WithSuspend(p.job.Spec.Suspend))
	if err := r.Client.Apply(ctx, wish, client.FieldOwner(manager), client.ForceOwnership); err != nil {
		return nil, fmt.Errorf("set suspend of job %q to %v: %w", p.child.Name, p.job.Spec.Suspend, err)
	}
	p.child.Spec.Suspend = &p.job.Spec.Suspend
	return outcome.Continue{}, nil
}
