package analysisjob

import (
	"context"

	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// readWorkload reads what a queued Job waits for.
func (r *Reconciler) readWorkload(ctx context.Context, p *jobPass) (outcome.Outcome, error) {
	if p.workload != nil || p.job.Spec.QueueName == "" || r.Workloads == nil || !suspended(p.child) {
		return outcome.Continue{}, nil
	}
	workload, err := r.Workloads(ctx, p.child)
	p.workload = workload
	return outcome.Continue{}, err
}
