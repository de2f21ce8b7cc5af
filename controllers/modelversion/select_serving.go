package modelversion

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// selectServing says whose servers should run: the stable version's and the candidate's,
// the successor's while the stable one leaves, the last known good's while it is kept
// warm, and for a while those of a version that has just left the plan.
func (r *Reconciler) selectServing(_ context.Context, p *modelPass) (outcome.Outcome, error) {
	in, state := p.input(), p.record.state
	var candidate *rollout.VersionState
	if p.candidate != nil {
		candidate = in.Version(p.candidate.mv.UID)
	}
	successor := in.Successor(candidate)
	for _, m := range p.versions {
		uid := m.mv.UID
		switch {
		case state.Holds(uid) && in.Version(uid) != nil:
			m.want = wantWarm
		case r.guarded(p, m):
			m.want = wantHeld
		case m.leaving():
			m.want = wantNone
		case m.excluded:
			m.want = wantCold
		case candidate != nil && candidate.UID == uid && m.verified(), successor != nil && successor.UID == uid && m.verified():
			m.want = wantWarm
		case p.keptWarm(m):
			m.want = wantWarm
		default:
			m.want = wantCold
		}
	}
	return outcome.Continue{}, nil
}

// guarded says whether workers may still follow a plan that names the version.
func (r *Reconciler) guarded(p *modelPass, m *versionPass) bool {
	if p.record.object == nil || !controllerutil.ContainsFinalizer(m.mv, finalizer) {
		return false
	}
	left := p.record.state.Changed.Add(r.config.Propagation.Duration).Sub(p.now)
	p.WakeIn(left)
	return left > 0
}

// keptWarm says whether the version is the last known good, and still kept ready.
func (p *modelPass) keptWarm(m *versionPass) bool {
	rec := p.record.state
	if len(rec.Former) == 0 || types.UID(rec.Former[0].UID) != m.mv.UID || rec.Stable == nil {
		return false
	}
	keep := time.Hour
	if stable := p.version(types.UID(rec.Stable.UID)); stable != nil && stable.mv.Spec.Rollout.KeepWarm != nil {
		keep = stable.mv.Spec.Rollout.KeepWarm.Duration
	}
	left := rec.Former[0].Demoted.Add(keep).Sub(p.now)
	p.WakeIn(left)
	return left > 0
}
