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

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// refused says whether the API server will not have the object, however often it is asked.
func refused(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) }

// confirm asks the API server itself, once a pass and before anything is
// created for the version: nothing is made under one that is being deleted, or
// for a state that is past.
func (r *Reconciler) confirm(ctx context.Context, m *versionPass) error {
	if m.confirmed {
		return nil
	}
	var live v1alpha1.ModelVersion
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(m.mv), &live)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("serve %q: %w", m.mv.Name, pass.ErrStale)
	case err != nil:
		return fmt.Errorf("get model version %q from the API server: %w", m.mv.Name, err)
	case live.UID != m.mv.UID || !live.DeletionTimestamp.IsZero() || live.ResourceVersion != m.before.ResourceVersion:
		return fmt.Errorf("serve %q: %w", m.mv.Name, pass.ErrStale)
	}
	m.confirmed = true
	return nil
}

func (r *Reconciler) createDeployment(ctx context.Context, m *versionPass, class serving.Class) error {
	if err := r.confirm(ctx, m); err != nil {
		return err
	}
	d := r.servers.Deployment(m.mv, class)
	err := r.Client.Create(ctx, d, client.FieldOwner(manager))
	switch {
	case apierrors.IsAlreadyExists(err):
		var there appsv1.Deployment
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(d), &there); err != nil {
			return fmt.Errorf("get deployment %q: %w", d.Name, err)
		}
		if there.Labels[label.Instance] != m.name || there.Labels[label.ManagedBy] != "clarity" {
			m.stall(v1alpha1.ReasonChildNameTaken, fmt.Sprintf("Deployment %q exists and is not this version's: delete it", d.Name))
			return nil
		}
		m.deployment = &there
		return nil
	case refused(err):
		m.stall(v1alpha1.ReasonChildRefused, fmt.Sprintf("the API server refuses Deployment %q: %v", d.Name, apierrors.ReasonForError(err)))
		return nil
	case err != nil:
		return fmt.Errorf("create deployment %q: %w", d.Name, err)
	}
	m.deployment = d
	return nil
}

// scale writes the number of replicas, and nothing else of the Deployment.
func (r *Reconciler) scale(ctx context.Context, m *versionPass, replicas int32) error {
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
func (r *Reconciler) ensure(ctx context.Context, p *modelPass, m *versionPass, wish, have client.Object) error {
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
		p.WakeIn(time.Second) // the collector takes it with the Deployment it was for
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
		m.stall(v1alpha1.ReasonChildRefused, fmt.Sprintf("the API server refuses %s %q: %v", u.GetKind(), u.GetName(), apierrors.ReasonForError(err)))
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
