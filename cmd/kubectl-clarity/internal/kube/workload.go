package kube

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

const (
	kueueGroup       = "kueue.x-k8s.io"
	workloadJobLabel = "kueue.x-k8s.io/job-uid"
)

// Workload returns Kueue's object for a Job; nil where there is none.
func (c *Cluster) Workload(ctx context.Context, job *batchv1.Job) (*unstructured.Unstructured, error) {
	version, installed, err := c.preferred(ctx, kueueGroup)
	if err != nil || !installed {
		return nil, err
	}
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(version.WithKind("Workload"), meta.RESTScopeNamespace)
	kueue, err := client.New(c.config, client.Options{Scheme: Scheme(), Mapper: m})
	if err != nil {
		return nil, fault.OfConfig(err)
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(version.WithKind("WorkloadList"))
	err = kueue.List(ctx, list, client.InNamespace(c.Namespace), client.MatchingLabels{workloadJobLabel: string(job.UID)})
	if err != nil || len(list.Items) == 0 {
		return nil, fault.Of(err, c.place("list", "workloads."+kueueGroup, ""))
	}
	return &list.Items[0], nil
}

// preferred asks which version of a group the API server prefers; false if it has not the group.
func (c *Cluster) preferred(ctx context.Context, group string) (schema.GroupVersion, bool, error) {
	d, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return schema.GroupVersion{}, false, fault.OfConfig(err)
	}
	var g metav1.APIGroup
	err = d.RESTClient().Get().AbsPath("/apis/" + group).Do(ctx).Into(&g)
	switch {
	case apierrors.IsNotFound(err):
		return schema.GroupVersion{}, false, nil
	case err != nil:
		return schema.GroupVersion{}, false, fault.Of(err, c.place("get", "API group", group))
	}
	version, err := schema.ParseGroupVersion(g.PreferredVersion.GroupVersion)
	return version, err == nil, nil
}
