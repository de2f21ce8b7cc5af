package modelversion

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// serve makes the servers that should run, and stops those that should not.
func (r *Reconciler) serve(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	for _, m := range p.versions {
		switch m.want {
		case wantWarm:
			p.addError(r.warm(ctx, p, m))
		case wantCold:
			if m.deployment != nil && replicasOf(m.deployment) > 0 {
				p.addError(r.scale(ctx, m, 0))
			}
		}
	}
	return outcome.Continue{}, nil
}

func replicasOf(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// warm brings the version's servers up. The pods' template is written once and
// never again: an operator that would write another restarts nothing.
func (r *Reconciler) warm(ctx context.Context, p *modelPass, m *versionPass) error {
	class, known := r.config.ServingClasses[m.mv.Spec.Serving.Class]
	if m.deployment == nil {
		if !known { // it was, when the version was accepted
			m.stall(v1alpha1.ReasonUnknownServingClass, fmt.Sprintf("the operator's configuration has no serving class %q", m.mv.Spec.Serving.Class))
			return nil
		}
		if !m.mv.DeletionTimestamp.IsZero() {
			return nil // nothing is made for it any more
		}
		if err := r.createDeployment(ctx, m, class); err != nil || m.deployment == nil {
			return err
		}
	}
	if !m.deployment.DeletionTimestamp.IsZero() {
		p.WakeIn(time.Second) // someone else deletes it: it is made again once it is gone
		return nil
	}
	scaled := known && scales(m.mv, class)
	least := m.mv.Spec.Serving.Replicas.Min
	if have := replicasOf(m.deployment); have == 0 || !scaled && have != least {
		if err := r.scale(ctx, m, least); err != nil {
			return err
		}
	}
	if !known || !m.mv.DeletionTimestamp.IsZero() {
		return nil // what there is stays as it is
	}
	for _, c := range []struct{ want, have client.Object }{
		{r.servers.Service(m.mv), nilIfNone(m.service)},
		{r.servers.NetworkPolicy(m.mv), nilIfNone(m.policy)},
		{r.servers.DisruptionBudget(m.mv), nilIfNone(m.budget)},
	} {
		if err := r.ensure(ctx, p, m, c.want, c.have); err != nil {
			return err
		}
	}
	if r.PodMonitoring {
		if err := r.ensure(ctx, p, m, r.servers.Monitoring(m.mv), nilIfNone(m.monitoring)); err != nil {
			return err
		}
	}
	if scaled {
		return r.ensure(ctx, p, m, r.servers.Autoscaler(m.mv, *class.Autoscaling), nilIfNone(m.scaler))
	}
	if m.scaler != nil && m.scaler.DeletionTimestamp.IsZero() {
		return r.remove(ctx, m.scaler)
	}
	return nil
}

// nilIfNone turns a nil pointer into a nil object.
func nilIfNone[T any, O object[T]](o O) client.Object {
	if o == nil {
		return nil
	}
	return o
}

// scales says whether the number of replicas follows the load.
func scales(mv *v1alpha1.ModelVersion, class serving.Class) bool {
	return class.Autoscaling != nil && mv.Spec.Serving.Replicas.Max > mv.Spec.Serving.Replicas.Min
}
