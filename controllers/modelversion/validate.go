package modelversion

import (
	"context"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// validate has a Job hold the candidate's servers against its golden vectors.
func (r *Reconciler) validate(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	m := p.candidate
	if m == nil || m.ended != nil || !m.verified() || m.validated() || !m.available() {
		return outcome.Continue{}, nil
	}
	p.addError(r.check(ctx, p, m, m.validating, check{
		component: label.Validate, kind: v1alpha1.ConditionValidated, running: "holding the model against its golden vectors",
		undecided: v1alpha1.ReasonValidationIncomplete, late: v1alpha1.ReasonValidationTimeout,
		job: r.servers.ValidateJob(m.mv),
		passed: func(said *termination.Result) bool {
			n := said.Counts()
			return n.Cases > 0 && n.Passed == n.Cases && said.Reason == ""
		},
	}))
	return outcome.Continue{}, nil
}
