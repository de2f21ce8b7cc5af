package analysisjob

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// ttl looks after a job whose end is on record. A suspended Job that is
// left over is deleted, or a queue would start it. After its time to live the
// object itself is deleted, and the garbage collector takes the rest along.
func (r *Reconciler) ttl(ctx context.Context, p *jobPass) (reconcile.Result, error) {
	if ttl := p.job.Spec.TTLSecondsAfterFinished; ttl != nil && p.job.Status.CompletionTime != nil {
		left := p.job.Status.CompletionTime.Add(time.Duration(*ttl) * time.Second).Sub(p.now)
		if left <= 0 {
			return reconcile.Result{}, r.remove(ctx, p.job)
		}
		p.WakeIn(left)
	}
	child, err := getJob(ctx, r.Client, client.ObjectKey{Namespace: p.job.Namespace, Name: jobName(p.job)})
	if err != nil {
		return reconcile.Result{}, err
	}
	if child != nil && suspended(child) && lastCondition(child) == nil &&
		child.DeletionTimestamp.IsZero() && metav1.IsControlledBy(child, p.job) {
		if err := r.remove(ctx, child); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{RequeueAfter: p.Wake()}, nil
}

// remove deletes the object that was read, not another of the same name.
func (r *Reconciler) remove(ctx context.Context, o client.Object) error {
	err := r.Client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: new(o.GetUID())})
	if err = client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("delete %q: %w", o.GetName(), err)
	}
	return nil
}
