package kube

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
const tries = 5

// Patch reads the target, lets decide look at it, and writes the change as a
// merge patch that holds only for the very object that was read: its UID and
// resourceVersion are in it. It returns the object as it is then, and whether
// anything was written. With dryRun the API server only says what would be.
func (c *Cluster) Patch(ctx context.Context, t Target, dryRun bool, decide Decide) (client.Object, bool, error) {
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
		last = c.write(ctx, o, change, dryRun)
		if !apierrors.IsConflict(last) {
			return o, last == nil, fault.Of(last, c.place("patch", t.Kind.Resource(), t.Name))
		}
	}
	return nil, false, fault.Of(last, c.place("patch", t.Kind.Resource(), t.Name))
}

func (c *Cluster) write(ctx context.Context, o client.Object, change Change, dryRun bool) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": o.GetUID(), "resourceVersion": o.GetResourceVersion()},
		"spec":     change,
	})
	if err != nil {
		return fmt.Errorf("write patch: %w", err)
	}
	options := []client.PatchOption{client.FieldOwner(FieldManager)}
	if dryRun {
		options = append(options, client.DryRunAll)
	}
	return c.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), options...)
}
