package modelversion

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// finalizer keeps a version that carries traffic, or did a moment ago, until
// another carries it.
const finalizer = "clarityloop.dev/traffic"

// move writes the plan and the record as they should be: once, over what was
// read, with the reason in it. Who is to get traffic that it had not is asked
// again first, and held; while one of those does not answer nothing moves, as long
// as that may pass for a hiccup.
func (r *Reconciler) move(ctx context.Context, p *pass) (outcome.Outcome, error) {
	d := decide(p.situation())
	for range p.members { // each that is not ready after all makes it another decision
		gains := p.gains(d.plan)
		unready := false
		for _, m := range gains {
			if m.loaded = r.count(ctx, p, m, true); m.loaded > 0 {
				continue
			}
			if m.unheard {
				m.wait(v1alpha1.ReasonProgressing, "whether it is ready still will be asked again")
				return outcome.Done{}, nil
			}
			unready = true
		}
		if !unready {
			break
		}
		d = decide(p.situation())
	}
	for _, m := range p.gains(d.plan) {
		if m.loaded == 0 {
			return nil, fmt.Errorf("move traffic of model %q: version %q is not ready after all", p.model, m.mv.Spec.Version)
		}
		if err := r.hold(ctx, m); err != nil {
			return nil, err
		}
	}
	if m := p.candidate; p.gates.asked && !samePlan(d.plan, p.ledger.plan) {
		ro := m.rollout()
		d.record.Judged = &judged{UID: m.mv.UID, At: p.now, Samples: ro.Samples, Gates: m.mv.Status.Gates}
	}
	if err := r.write(ctx, p, d); err != nil {
		return nil, err
	}
	for _, e := range d.ends {
		if m := p.member(e.UID); m != nil {
			m.end(e)
		}
	}
	for uid, why := range d.why {
		if m := p.member(uid); m != nil {
			m.wait(why.reason, why.message)
		}
	}
	return outcome.Continue{}, nil
}

// gains are the versions that the plan gives what they did not have. What a
// candidate loses goes back to the stable version, ready or not: there is
// nowhere better, and the way back waits for nobody.
func (p *pass) gains(plan traffic.Plan) []*member {
	var list []*member
	for _, m := range p.members {
		version, before := m.mv.Spec.Version, p.ledger.plan
		if m.barred || p.ledger.record.Stable.is(m.mv.UID) {
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
func (r *Reconciler) hold(ctx context.Context, m *member) error {
	if controllerutil.ContainsFinalizer(m.mv, finalizer) {
		m.fresh = false
		return r.confirm(ctx, m)
	}
	return r.finalize(ctx, m, func(o client.Object) { controllerutil.AddFinalizer(o, finalizer) })
}

// finalize changes the version's finalizers, over what was read.
func (r *Reconciler) finalize(ctx context.Context, m *member, change func(client.Object)) error {
	wish := m.before.DeepCopy()
	change(wish)
	patch := client.MergeFromWithOptions(m.before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, wish, patch); err != nil {
		return fmt.Errorf("write finalizers of %q: %w", m.mv.Name, err)
	}
	before := m.before.DeepCopy() // what was read may be the cache's
	before.ResourceVersion, before.Finalizers = wish.ResourceVersion, wish.Finalizers
	m.before = before
	m.mv.ResourceVersion, m.mv.Finalizers = wish.ResourceVersion, wish.Finalizers
	return nil
}

// write writes plan and record where they changed.
func (r *Reconciler) write(ctx context.Context, p *pass, d decision) error {
	l := p.ledger
	same := !l.lost && reflect.DeepEqual(d.plan, l.plan) && reflect.DeepEqual(d.record, l.record)
	nothing := l.object == nil && len(d.plan.Entries) == 0
	l.plan, l.record = d.plan, d.record
	if same || nothing {
		p.ledger.plan, p.ledger.record = d.plan, d.record
		return nil
	}
	data, err := l.data()
	if err != nil {
		return err
	}
	object := &corev1.ConfigMap{}
	if l.object != nil {
		object = l.object.DeepCopy()
	}
	object.ObjectMeta = metav1.ObjectMeta{
		Name: traffic.ConfigMapName(p.model), Namespace: p.namespace, ResourceVersion: object.ResourceVersion, UID: object.UID,
		Labels: map[string]string{
			managedByLabel: "clarity", nameLabel: "clarity-traffic-plan", ComponentLabel: ComponentPlan, ModelLabel: p.model,
		},
	}
	object.Data, object.BinaryData, object.Immutable = data, nil, nil
	if l.object == nil {
		err = r.Client.Create(ctx, object, client.FieldOwner(manager))
	} else {
		err = r.Client.Update(ctx, object, client.FieldOwner(manager))
	}
	switch {
	case apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err):
		return fmt.Errorf("write traffic plan %q: %w", object.Name, errStale)
	case err != nil:
		return fmt.Errorf("write traffic plan %q: %w", object.Name, err)
	}
	l.object, l.lost = object, false
	p.ledger = l
	return nil
}
