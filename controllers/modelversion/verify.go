package modelversion

import (
	"context"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// verify has a Job look whether the bundle and the golden set are what the
// version says. Nothing else is made for it before.
func (r *Reconciler) verify(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	m := p.candidate
	if m == nil || m.ended != nil || m.verified() {
		return outcome.Continue{}, nil
	}
	job, err := r.servers.VerifyJob(m.mv, r.config.VerifyTimeout.Duration)
	if err != nil {
		return nil, err
	}
	p.addError(r.check(ctx, p, m, m.verifying, check{
		component: label.Verify, kind: v1alpha1.ConditionArtifactVerified, running: "checking the bundle's digest and contract",
		undecided: v1alpha1.ReasonVerificationFailed, job: job,
		passed: func(said *termination.Result) bool { return said.Verified && said.Reason == "" },
	}))
	return outcome.Continue{}, nil
}
