package modelversion

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// cleanup takes away what is not needed any more: Jobs whose result is on record,
// servers of versions that ended, and holds on versions that left the plan.
func (r *Reconciler) cleanup(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	for _, m := range p.versions {
		p.addError(r.cleanupJobs(ctx, p, m))
		if m.want == wantNone && m.deployment != nil && m.deployment.DeletionTimestamp.IsZero() && !p.record.state.Holds(m.mv.UID) {
			if err := r.remove(ctx, m.deployment); err != nil {
				p.addError(err)
				continue
			}
		}
		p.addError(r.release(ctx, p, m))
	}
	return outcome.Continue{}, r.cleanupOrphans(ctx, p)
}

// cleanupJobs removes Jobs whose result is on record, or is not asked for any
// more. What was found in this very pass is not on record yet.
func (r *Reconciler) cleanupJobs(ctx context.Context, p *modelPass, m *versionPass) error {
	for _, j := range []struct {
		job  *batchv1.Job
		kind string
	}{{m.verifying, v1alpha1.ConditionArtifactVerified}, {m.validating, v1alpha1.ConditionValidated}} {
		c := conditionOf(m.before, j.kind)
		decided := c != nil && c.Status != metav1.ConditionUnknown
		if j.job == nil || !j.job.DeletionTimestamp.IsZero() || !decided && (p.candidate == m || m.ended != nil) {
			continue
		}
		if err := r.remove(ctx, j.job); err != nil {
			return err
		}
	}
	return nil
}

// release lets go of a version that left the plan so long ago that no worker follows a plan that names it.
func (r *Reconciler) release(ctx context.Context, p *modelPass, m *versionPass) error {
	if !controllerutil.ContainsFinalizer(m.mv, finalizer) || p.record.state.Holds(m.mv.UID) || r.guarded(p, m) {
		return nil
	}
	if m.want == wantHeld && !m.mv.DeletionTimestamp.IsZero() {
		p.WakeIn(pass.CatchUp)
		return nil // its servers first, in the next pass
	}
	return r.patchFinalizers(ctx, m, func(o client.Object) { controllerutil.RemoveFinalizer(o, finalizer) })
}

// cleanupOrphans removes the servers of versions that are no more: they are not
// the version's dependents, so that no collector takes them from under the traffic.
func (r *Reconciler) cleanupOrphans(ctx context.Context, p *modelPass) error {
	p.orphans = slices.DeleteFunc(p.orphans, func(d *appsv1.Deployment) bool { return !d.DeletionTimestamp.IsZero() })
	if len(p.orphans) == 0 {
		return nil
	}
	live, err := r.liveVersions(ctx, p)
	if err != nil {
		return err
	}
	for _, d := range p.orphans {
		if slices.ContainsFunc(live, func(mv v1alpha1.ModelVersion) bool { return serving.Name(&mv) == d.Name }) {
			continue // the cache has not heard of it yet
		}
		if err := r.remove(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) liveVersions(ctx context.Context, p *modelPass) ([]v1alpha1.ModelVersion, error) {
	var list v1alpha1.ModelVersionList
	err := r.Live.List(ctx, &list, client.InNamespace(p.namespace), client.MatchingFields{modelField: p.model})
	if err != nil {
		return nil, fmt.Errorf("list versions of model %q from the API server: %w", p.model, err)
	}
	return list.Items, nil
}

// clear takes away what a model without versions leaves: its plan too.
func (r *Reconciler) clear(ctx context.Context, p *modelPass) error {
	if _, err := r.observe(ctx, p); err != nil {
		return err
	}
	if err := r.cleanupOrphans(ctx, p); err != nil || p.record.object == nil {
		return err
	}
	live, err := r.liveVersions(ctx, p)
	if err != nil || len(live) > 0 {
		return err
	}
	plan := p.record.object
	err = r.Client.Delete(ctx, plan, client.Preconditions{UID: new(plan.UID), ResourceVersion: new(plan.ResourceVersion)})
	if err = client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("delete traffic plan %q: %w", plan.Name, err)
	}
	return nil
}
