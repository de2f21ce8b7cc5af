package modelversion

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// planRecord is a plan, the rollout's state, and the object that holds both.
type planRecord struct {
	plan  traffic.Plan
	state rollout.State
	// object is the ConfigMap as read; nil where there is none.
	object *corev1.ConfigMap
	// lost says that plan and state were made up from the versions' statuses.
	lost bool
}

// readRecord reads plan and state. An object that does not hold them as they
// were written is as good as none: ok is false.
func readRecord(model string, object *corev1.ConfigMap) (l planRecord, ok bool) {
	l.object = object
	if object != nil {
		l.plan, l.state, ok = rollout.Decode(model, object.Data)
	}
	return l, ok
}

// readRecord reads plan and state. Where they are missing, or not as
// they were written, they are made up from the versions' statuses: who was
// active stays so.
func (r *Reconciler) readRecord(ctx context.Context, p *modelPass) error {
	var object corev1.ConfigMap
	key := client.ObjectKey{Namespace: p.namespace, Name: traffic.ConfigMapName(p.model)}
	err := r.Client.Get(ctx, key, &object)
	if apierrors.IsNotFound(err) && slices.ContainsFunc(p.versions, func(m *versionPass) bool { return m.mv.Status.Traffic.Revision > 0 }) {
		err = r.Live.Get(ctx, key, &object) // the cache may be behind: ask before calling it gone
	}
	found := &object
	switch {
	case apierrors.IsNotFound(err):
		found = nil
	case err != nil:
		return fmt.Errorf("get traffic plan %q: %w", key, err)
	}
	l, ok := readRecord(p.model, found)
	if !ok {
		p.recover(&l)
	}
	p.record = l
	return nil
}

// recover makes up plan and state from the versions' statuses. A candidate
// starts anew: how far it had come is not worth a guess.
func (p *modelPass) recover(l *planRecord) {
	l.plan = traffic.Plan{Model: p.model, Entries: []traffic.Entry{}}
	for _, m := range p.versions {
		status := m.mv.Status
		l.plan.Revision = max(l.plan.Revision, status.Traffic.Revision)
		place := traffic.Slot{Version: m.mv.Spec.Version, UID: string(m.mv.UID)}
		if status.Rollout != nil && status.Rollout.Promoted != nil {
			place.Promoted = status.Rollout.Promoted.Time
		}
		switch {
		case isTrue(m.mv, v1alpha1.ConditionPromoted):
			if l.state.Stable == nil {
				l.state.Stable = &place
			}
		case status.Rollout != nil && status.Rollout.Demoted != nil && !m.over():
			place.Demoted = status.Rollout.Demoted.Time
			l.state.Former = append(l.state.Former, place)
		}
	}
	slices.SortStableFunc(l.state.Former, func(a, b traffic.Slot) int { return b.Demoted.Compare(a.Demoted) })
	if l.plan.Revision == 0 {
		return
	}
	l.lost = true
	l.state.Changed = p.now
	s := p.input()
	entries := rollout.Render(&s, l.state).Entries
	l.plan.Entries = entries
}

// writePlan writes plan and state where they changed.
func (r *Reconciler) writePlan(ctx context.Context, p *modelPass, d rollout.Decision) error {
	l := p.record
	same := !l.lost && reflect.DeepEqual(d.Plan, l.plan) && reflect.DeepEqual(d.State, l.state)
	nothing := l.object == nil && len(d.Plan.Entries) == 0
	l.plan, l.state = d.Plan, d.State
	if same || nothing {
		p.record.plan, p.record.state = d.Plan, d.State
		return nil
	}
	data, err := rollout.Encode(l.plan, l.state)
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
			label.ManagedBy: label.Manager, label.Name: "clarity-traffic-plan", label.Component: label.Plan, label.Model: p.model,
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
		return fmt.Errorf("write traffic plan %q: %w", object.Name, pass.ErrStale)
	case err != nil:
		return fmt.Errorf("write traffic plan %q: %w", object.Name, err)
	}
	l.object, l.lost = object, false
	p.record = l
	return nil
}
