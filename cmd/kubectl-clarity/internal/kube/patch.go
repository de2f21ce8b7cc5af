package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// A Change is what a patch sets below spec; empty if there is nothing to set.
type Change map[string]any

// Decide looks at an object as it is now and says what to change. It refuses
// with an error. It is asked again where the object changed before the write.
type Decide func(ctx context.Context, now client.Object) (Change, error)

// tries is how often an object that changes under our hands is looked at anew.
const tries = 10

// A Write is how a patch is sent.
type Write struct {
	// Guarded patches hold only for the state that decide saw: its
	// resourceVersion is in them. Others hold for the object, whatever its
	// state: its UID is in every patch.
	Guarded bool
	// DryRun lets the API server only say what would be.
	DryRun bool
}

// Patch reads the target, lets decide look at it, and writes the change as a
// merge patch. It returns the object as it is then, and whether anything was written.
func (c *Cluster) Patch(ctx context.Context, t Target, w Write, decide Decide) (client.Object, bool, error) {
	var last error
	for range tries {
		o, err := c.Get(ctx, t)
		if err != nil {
			return nil, false, err
		}
		change, err := decide(ctx, o)
		if err != nil || len(change) == 0 {
			return o, false, err
		}
		last = c.write(ctx, o, change, w)
		if !apierrors.IsConflict(last) && !isAnother(last) {
			return o, last == nil, fault.Of(last, c.place("patch", t.Kind.Resource(), t.Name))
		}
	}
	return nil, false, fault.Of(last, c.place("patch", t.Kind.Resource(), t.Name))
}

// isAnother says whether the object of the name is no longer the one that was read.
func isAnother(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}

func (c *Cluster) write(ctx context.Context, o client.Object, change Change, w Write) error {
	of := map[string]any{"uid": o.GetUID()}
	if w.Guarded {
		of["resourceVersion"] = o.GetResourceVersion()
	}
	patch, err := json.Marshal(map[string]any{"metadata": of, "spec": change})
	if err != nil {
		return fmt.Errorf("write patch: %w", err)
	}
	options := []client.PatchOption{client.FieldOwner(FieldManager)}
	if w.DryRun {
		options = append(options, client.DryRunAll)
	}
	return c.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), options...)
}
