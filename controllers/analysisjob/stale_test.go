package analysisjob

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// staleClient reads as a cache that stopped: one old AnalysisJob, and no Jobs.
type staleClient struct {
	client.Client
	old *v1alpha1.AnalysisJob
}

func (s staleClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	switch o := o.(type) {
	case *v1alpha1.AnalysisJob:
		s.old.DeepCopyInto(o)
		return nil
	case *batchv1.Job:
		return apierrors.NewNotFound(schema.GroupResource{Group: "batch", Resource: "jobs"}, key.Name)
	}
	return s.Client.Get(ctx, key, o, opts...)
}
