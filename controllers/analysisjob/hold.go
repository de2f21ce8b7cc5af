package analysisjob

import (
	"context"

	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// hold keeps a queued job that is suspended before its creation without a Job: a queue
// would admit and start it. Without a queue the Job is created suspended.
func (r *Reconciler) hold(_ context.Context, p *jobPass) (outcome.Outcome, error) {
	if p.child == nil && p.job.Spec.Suspend && p.job.Spec.QueueName != "" {
		return outcome.Done{}, nil
	}
	return outcome.Continue{}, nil
}
