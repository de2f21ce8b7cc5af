package modelversion

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// finalizer keeps a version that carries traffic, or did a moment ago, until
// another carries it.
const finalizer = "clarityloop.dev/traffic"

// applyPlan writes the plan and the state as they should be: once, over what was
// read, with the reason in it. Who is to get traffic that it had not is asked
// again first, and held; while one of those does not answer nothing moves, as long
// as that may pass for a hiccup.
func (r *Reconciler) applyPlan(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	d := rollout.Decide(p.input())
	for range p.versions { // each that is not ready after all makes it another decision
		gains := p.gains(d.Plan)
		unready := false
		for _, m := range gains {
			if m.loaded = r.count(ctx, p, m, true); m.loaded > 0 {
				continue
			}
			if m.unanswered {
				m.wait(v1alpha1.ReasonProgressing, "whether it is ready still will be asked again")
				return outcome.Done{}, nil
			}
			unready = true
		}
		if !unready {
			break
		}
		d = rollout.Decide(p.input())
	}
	for _, m := range p.gains(d.Plan) {
		if m.loaded == 0 {
			return nil, fmt.Errorf("move traffic of model %q: version %q is not ready after all", p.model, m.mv.Spec.Version)
		}
		if err := r.hold(ctx, m); err != nil {
			return nil, err
		}
	}
	if m := p.candidate; p.gates.Evaluated && !rollout.SamePlan(d.Plan, p.record.plan) {
		ro := m.rollout()
		d.State.Evaluation = &rollout.Evaluation{UID: m.mv.UID, At: p.now, Samples: ro.Samples, Gates: m.mv.Status.Gates}
	}
	if err := r.writePlan(ctx, p, d); err != nil {
		return nil, err
	}
	for _, e := range d.Outcomes {
		if m := p.version(e.UID); m != nil {
			m.end(e)
		}
	}
	for uid, why := range d.Waiting {
		if m := p.version(uid); m != nil {
			m.wait(why.Reason, why.Message)
		}
	}
	return outcome.Continue{}, nil
}

// gains are the versions that the plan gives what they did not have. What a
// candidate loses goes back to the stable version, ready or not: there is
// nowhere better, and the way back waits for nobody.
func (p *modelPass) gains(plan traffic.Plan) []*versionPass {
	var list []*versionPass
	for _, m := range p.versions {
		version, before := m.mv.Spec.Version, p.record.plan
		if m.excluded || p.record.state.IsStable(m.mv.UID) {
			continue
		}
		if plan.Weight(version) > before.Weight(version) || percentOf(plan, version) > percentOf(before, version) {
			list = append(list, m)
		}
	}
	return list
}

func percentOf(plan traffic.Plan, version string) int32 {
	if plan.Shadow == nil || plan.Shadow.Version != version {
		return 0
	}
	return plan.Shadow.Percent
}

// hold puts the finalizer on the version before it gets traffic. The write
// itself, or the question where there is nothing to write, makes sure that the
// version is still what was read.
func (r *Reconciler) hold(ctx context.Context, m *versionPass) error {
	if controllerutil.ContainsFinalizer(m.mv, finalizer) {
		m.confirmed = false
		return r.confirm(ctx, m)
	}
	return r.patchFinalizers(ctx, m, func(o client.Object) { controllerutil.AddFinalizer(o, finalizer) })
}

// patchFinalizers changes the version's finalizers, over what was read.
func (r *Reconciler) patchFinalizers(ctx context.Context, m *versionPass, change func(client.Object)) error {
	wish := m.before.DeepCopy()
	change(wish)
	patch := client.MergeFromWithOptions(m.before, client.MergeFromWithOptimisticLock{})
	switch err := r.Client.Patch(ctx, wish, patch); {
	case apierrors.IsNotFound(err): // it was deleted since
		return fmt.Errorf("write finalizers of %q: %w", m.mv.Name, pass.ErrStale)
	case err != nil:
		return fmt.Errorf("write finalizers of %q: %w", m.mv.Name, err)
	}
	before := m.before.DeepCopy() // what was read may be the cache's
	before.ResourceVersion, before.Finalizers = wish.ResourceVersion, wish.Finalizers
	m.before = before
	m.mv.ResourceVersion, m.mv.Finalizers = wish.ResourceVersion, wish.Finalizers
	return nil
}
