package modelversion

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// cast says whose servers should run: the stable version's and the candidate's,
// the heir's while the stable one leaves, the last known good's while it is kept
// warm, and for a while those of a version that has just left the plan.
func (r *Reconciler) cast(_ context.Context, p *pass) (outcome.Outcome, error) {
	s, rec := p.situation(), p.ledger.record
	stable := s.at(rec.Stable)
	var candidate, heir *standing
	if p.candidate != nil {
		candidate = s.find(p.candidate.mv.UID)
	}
	if s.leaves(stable, candidate) {
		heir = s.heir(stable, candidate)
	}
	for _, m := range p.members {
		uid := m.mv.UID
		switch {
		case rec.holds(uid) && s.find(uid) != nil:
			m.want = wantWarm
		case r.guarded(p, m):
			m.want = wantHeld
		case m.leaving():
			m.want = wantNone
		case m.barred:
			m.want = wantCold
		case candidate != nil && candidate.uid == uid && m.verified(), heir != nil && heir.uid == uid && m.verified():
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
func (r *Reconciler) guarded(p *pass, m *member) bool {
	if p.ledger.object == nil || !controllerutil.ContainsFinalizer(m.mv, finalizer) {
		return false
	}
	left := p.ledger.record.Changed.Add(r.config.Propagation.Duration).Sub(p.now)
	p.wakeIn(left)
	return left > 0
}

// keptWarm says whether the version is the last known good, and still kept ready.
func (p *pass) keptWarm(m *member) bool {
	rec := p.ledger.record
	if len(rec.Former) == 0 || rec.Former[0].UID != m.mv.UID || rec.Stable == nil {
		return false
	}
	keep := time.Hour
	if stable := p.member(rec.Stable.UID); stable != nil && stable.mv.Spec.Rollout.KeepWarm != nil {
		keep = stable.mv.Spec.Rollout.KeepWarm.Duration
	}
	left := rec.Former[0].Demoted.Add(keep).Sub(p.now)
	p.wakeIn(left)
	return left > 0
}

// serve makes the servers that should run, and stops those that should not.
func (r *Reconciler) serve(ctx context.Context, p *pass) (outcome.Outcome, error) {
	for _, m := range p.members {
		switch m.want {
		case wantWarm:
			p.trouble(r.warm(ctx, p, m))
		case wantCold:
			if m.deployment != nil && replicasOf(m.deployment) > 0 {
				p.trouble(r.scale(ctx, m, 0))
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
func (r *Reconciler) warm(ctx context.Context, p *pass, m *member) error {
	class, known := r.config.ServingClasses[m.mv.Spec.Serving.Class]
	if m.deployment == nil {
		if !known { // it was, when the version was accepted
			m.stick(v1alpha1.ReasonUnknownServingClass, fmt.Sprintf("the operator's configuration has no serving class %q", m.mv.Spec.Serving.Class))
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
		p.wakeIn(time.Second) // someone else deletes it: it is made again once it is gone
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
		{serviceFor(m), nilIfNone(m.service)},
		{policyFor(m, r.config.Network), nilIfNone(m.policy)},
		{budgetFor(m), nilIfNone(m.budget)},
	} {
		if err := r.ensure(ctx, p, m, c.want, c.have); err != nil {
			return err
		}
	}
	if r.PodMonitoring {
		if err := r.ensure(ctx, p, m, monitoringFor(m), nilIfNone(m.monitoring)); err != nil {
			return err
		}
	}
	if scaled {
		return r.ensure(ctx, p, m, scalerFor(m, *class.Autoscaling), nilIfNone(m.scaler))
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
func scales(mv *v1alpha1.ModelVersion, class ServingClass) bool {
	return class.Autoscaling != nil && mv.Spec.Serving.Replicas.Max > mv.Spec.Serving.Replicas.Min
}

func (r *Reconciler) createDeployment(ctx context.Context, m *member, class ServingClass) error {
	if err := r.confirm(ctx, m); err != nil {
		return err
	}
	d := r.deploymentFor(m, class)
	err := r.Client.Create(ctx, d, client.FieldOwner(manager))
	switch {
	case apierrors.IsAlreadyExists(err):
		var there appsv1.Deployment
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(d), &there); err != nil {
			return fmt.Errorf("get deployment %q: %w", d.Name, err)
		}
		if there.Labels[instanceLabel] != m.name || there.Labels[managedByLabel] != "clarity" {
			m.stick(v1alpha1.ReasonChildNameTaken, fmt.Sprintf("Deployment %q exists and is not this version's: delete it", d.Name))
			return nil
		}
		m.deployment = &there
		return nil
	case refused(err):
		m.stick(v1alpha1.ReasonChildRefused, fmt.Sprintf("the API server refuses Deployment %q: %v", d.Name, apierrors.ReasonForError(err)))
		return nil
	case err != nil:
		return fmt.Errorf("create deployment %q: %w", d.Name, err)
	}
	m.deployment = d
	return nil
}

// scale writes the number of replicas, and nothing else of the Deployment.
func (r *Reconciler) scale(ctx context.Context, m *member, replicas int32) error {
	wish := appsac.Deployment(m.deployment.Name, m.deployment.Namespace).WithUID(m.deployment.UID).
		WithSpec(appsac.DeploymentSpec().WithReplicas(replicas))
	if err := r.Client.Apply(ctx, wish, client.FieldOwner(manager), client.ForceOwnership); err != nil {
		return fmt.Errorf("scale deployment %q to %d: %w", m.deployment.Name, replicas, err)
	}
	m.deployment.Spec.Replicas = &replicas
	return nil
}

// ensure makes the object what it should be, where it is not. It belongs to the
// Deployment, and the collector takes it along.
func (r *Reconciler) ensure(ctx context.Context, p *pass, m *member, wish, have client.Object) error {
	wish.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(m.deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))})
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wish)
	if err != nil {
		return fmt.Errorf("write out %T %q: %w", wish, wish.GetName(), err)
	}
	u := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	switch {
	case have == nil:
		if err := r.confirm(ctx, m); err != nil {
			return err
		}
	case !have.GetDeletionTimestamp().IsZero() || metav1.GetControllerOf(have) != nil && !metav1.IsControlledBy(have, m.deployment):
		p.wakeIn(time.Second) // the collector takes it with the Deployment it was for
		return nil
	default:
		there, err := runtime.DefaultUnstructuredConverter.ToUnstructured(have)
		if err != nil {
			return fmt.Errorf("read %T %q: %w", have, have.GetName(), err)
		}
		if covers(u.Object["spec"], there["spec"]) && covers(u.Object["metadata"], there["metadata"]) {
			return nil
		}
		u.SetUID(have.GetUID())
	}
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(manager), client.ForceOwnership)
	switch {
	case refused(err):
		m.stick(v1alpha1.ReasonChildRefused, fmt.Sprintf("the API server refuses %s %q: %v", u.GetKind(), u.GetName(), apierrors.ReasonForError(err)))
	case err != nil:
		return fmt.Errorf("apply %s %q: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}

// covers says whether everything that is wished for is there. Lists are the
// same where they are as long as each other, whatever their order.
func covers(wish, have any) bool {
	switch wish := wish.(type) {
	case map[string]any:
		there, ok := have.(map[string]any)
		if !ok && len(wish) > 0 {
			return false
		}
		for key, value := range wish {
			if !covers(value, there[key]) {
				return false
			}
		}
		return true
	case []any:
		there, _ := have.([]any)
		if len(wish) != len(there) {
			return false
		}
		for _, value := range wish {
			if !slices.ContainsFunc(there, func(other any) bool { return covers(value, other) }) {
				return false
			}
		}
		return true
	}
	return wish == have
}

// remove deletes the object that was read, not another of the same name.
func (r *Reconciler) remove(ctx context.Context, o client.Object) error {
	err := r.Client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: new(o.GetUID())})
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %q: %w", o.GetName(), err)
	}
	return nil
}
