// Package statuspatch writes an object's status: once a pass, only what
// differs, and only over the version that was read.
package statuspatch

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Write patches after's status onto the API server where it differs from
// before's and says whether it did. The patch names the resourceVersion of
// before: a pass that worked from a stale copy gets a conflict, never a merge
// of old counts with new ones.
func Write[S any](ctx context.Context, c client.StatusClient, before, after client.Object, statusBefore, statusAfter S) (bool, error) {
	if equality.Semantic.DeepEqual(statusBefore, statusAfter) {
		return false, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, after, patch); err != nil {
		return false, fmt.Errorf("patch status of %q: %w", client.ObjectKeyFromObject(after), err)
	}
	return true, nil
}
