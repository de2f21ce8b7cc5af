package analysisjob

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// create brings the Job into the world: once, ever.
//
// Its name is made of the object's UID, so a second create finds the first
// one's Job, whatever a crash or a stale cache hid. The object itself is asked
// of the API server first: nothing is created under one that is being deleted,
// or whose Job was created and then deleted by someone else.
func (r *Reconciler) create(ctx context.Context, p *jobPass) (outcome.Outcome, error) {
	if p.child != nil {
		return outcome.Continue{}, nil
	}
	var live v1alpha1.AnalysisJob
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(p.job), &live)
	switch {
	case apierrors.IsNotFound(err):
		return vanished{}, nil
	case err != nil:
		return nil, fmt.Errorf("get analysis job %q from the API server: %w", p.job.Name, err)
	case live.UID != p.job.UID || !live.DeletionTimestamp.IsZero():
		return vanished{}, nil
	case live.Generation != p.job.Generation || live.Status.Job != "":
		return nil, fmt.Errorf("create job of %q: %w", p.job.Name, pass.ErrStale)
	}
	child := r.newJob(p)
	err = r.Client.Create(ctx, child, client.FieldOwner(manager))
	if apierrors.IsAlreadyExists(err) {
		return r.findCreated(ctx, p, client.ObjectKeyFromObject(child))
	}
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
		return outcome.Stalled{
			Reason: v1alpha1.ReasonShardCannotStart, After: lookAgain,
			Message: fmt.Sprintf("the API server refuses Job %q: %v", child.Name, apierrors.ReasonForError(err)),
		}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("create job %q: %w", child.Name, err)
	}
	p.child = child
	p.job.Status.Job = child.Name
	return outcome.Continue{}, nil
}

// findCreated takes over the Job that was there already, with what was decided when it was created.
func (r *Reconciler) findCreated(ctx context.Context, p *jobPass, key client.ObjectKey) (outcome.Outcome, error) {
	child, err := getJob(ctx, r.Live, key)
	if err != nil {
		return nil, err
	}
	if child == nil {
		return nil, fmt.Errorf("create job %q: it was there and is gone", key.Name)
	}
	if !metav1.IsControlledBy(child, p.job) {
		return outcome.Stalled{
			Reason: v1alpha1.ReasonJobNameTaken, After: lookAgain,
			Message: fmt.Sprintf("Job %q exists and is not this object's: delete it", key.Name),
		}, nil
	}
	p.job.Status.Model = nil
	return outcome.Continue{}, r.adopt(ctx, p, child)
}
