// Package kube reads and writes what the plugin needs of a cluster, from a
// kubeconfig alone. It asks for no discovery: the kinds it knows are written out,
// so that a command costs the requests it is about.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// FieldManager is the name under which the plugin owns what it writes.
const FieldManager = "kubectl-clarity"

// A Cluster is an API server and the namespace that is meant.
type Cluster struct {
	client    client.Client
	config    *rest.Config
	Namespace string
	// Explicit says that the namespace was named on the command line.
	Explicit bool
}

// Scheme knows the kinds that the plugin reads and writes.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, batchv1.AddToScheme, appsv1.AddToScheme,
		autoscalingv2.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme)) // only registers types
	}
	return scheme
}

// mapper says the resource of each kind, so that nobody has to be asked.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []schema.GroupVersionKind{
		v1alpha1.GroupVersion.WithKind("ModelVersion"), v1alpha1.GroupVersion.WithKind("AnalysisJob"),
		corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithKind("Service"),
		corev1.SchemeGroupVersion.WithKind("ConfigMap"), corev1.SchemeGroupVersion.WithKind("Event"),
		batchv1.SchemeGroupVersion.WithKind("Job"),
		appsv1.SchemeGroupVersion.WithKind("Deployment"), appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"),
		policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
		networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
		podMonitoring,
	} {
		m.Add(kind, meta.RESTScopeNamespace)
	}
	return m
}

var podMonitoring = schema.GroupVersionKind{Group: "monitoring.googleapis.com", Version: "v1", Kind: "PodMonitoring"}

// noServer is where kubectl's flags lead where no kubeconfig says where.
const noServer = "http://localhost:8080"

// Connect reads the kubeconfig. It sends nothing.
func Connect(flags *genericclioptions.ConfigFlags, warnings io.Writer) (*Cluster, error) {
	loader := flags.ToRawKubeConfigLoader()
	namespace, explicit, err := loader.Namespace()
	if err != nil {
		return nil, fault.OfConfig(err)
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fault.OfConfig(err)
	}
	if raw, err := loader.RawConfig(); err == nil && clientcmdapi.IsConfigEmpty(&raw) && config.Host == noServer && *flags.APIServer == "" {
		return nil, fault.OfConfig(clientcmd.ErrEmptyConfig)
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 50, 100
	config.WarningHandler = rest.NewWarningWriter(warnings, rest.WarningWriterOptions{Deduplicate: true})
	c, err := client.New(config, client.Options{Scheme: Scheme(), Mapper: mapper()})
	if err != nil {
		return nil, fault.OfConfig(err)
	}
	return &Cluster{client: c, config: config, Namespace: namespace, Explicit: explicit}, nil
}

func (c *Cluster) place(verb, resource, name string) fault.Place {
	return fault.Place{Host: c.config.Host, Namespace: c.Namespace, Verb: verb, Resource: resource, Name: name}
}

// GetVersion returns a ModelVersion.
func (c *Cluster) GetVersion(ctx context.Context, name string) (*v1alpha1.ModelVersion, error) {
	var v v1alpha1.ModelVersion
	return &v, c.get(ctx, &v, "modelversions", name)
}

// GetJob returns an AnalysisJob.
func (c *Cluster) GetJob(ctx context.Context, name string) (*v1alpha1.AnalysisJob, error) {
	var j v1alpha1.AnalysisJob
	return &j, c.get(ctx, &j, "analysisjobs", name)
}

// Get returns the target: a ModelVersion or an AnalysisJob.
func (c *Cluster) Get(ctx context.Context, t Target) (client.Object, error) {
	if t.Kind == ModelVersion {
		return c.GetVersion(ctx, t.Name)
	}
	return c.GetJob(ctx, t.Name)
}

func (c *Cluster) get(ctx context.Context, o client.Object, resource, name string) error {
	err := c.client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, o)
	return fault.Of(err, c.place("get", resource, name))
}

// ListVersions returns the versions of a model; of every model if it is "".
func (c *Cluster) ListVersions(ctx context.Context, model string) ([]v1alpha1.ModelVersion, error) {
	var list v1alpha1.ModelVersionList
	options := []client.ListOption{client.InNamespace(c.Namespace)}
	if model != "" {
		options = append(options, client.MatchingFields{"spec.model": model})
	}
	err := c.client.List(ctx, &list, options...)
	return list.Items, fault.Of(err, c.place("list", "modelversions", ""))
}

// ListJobs returns at most limit AnalysisJobs.
func (c *Cluster) ListJobs(ctx context.Context, limit int64) ([]v1alpha1.AnalysisJob, error) {
	var list v1alpha1.AnalysisJobList
	err := c.client.List(ctx, &list, client.InNamespace(c.Namespace), client.Limit(limit))
	return list.Items, fault.Of(err, c.place("list", "analysisjobs", ""))
}

// GetPlan returns a model's traffic plan and the ConfigMap that holds it.
func (c *Cluster) GetPlan(ctx context.Context, model string) (*traffic.Plan, *corev1.ConfigMap, error) {
	var m corev1.ConfigMap
	if err := c.get(ctx, &m, "configmaps", traffic.ConfigMapName(model)); err != nil {
		return nil, nil, err
	}
	p, err := ReadPlan(&m)
	return p, &m, fault.Of(err, c.place("get", "configmaps", m.Name))
}

// ReadPlan reads the plan out of its ConfigMap. A plan that breaks a rule is
// read, too: to show it is how its fault is found.
func ReadPlan(m *corev1.ConfigMap) (*traffic.Plan, error) {
	var p traffic.Plan
	if err := json.Unmarshal([]byte(m.Data[traffic.PlanKey]), &p); err != nil {
		return nil, fmt.Errorf("read %s of configmap %q: %w", traffic.PlanKey, m.Name, err)
	}
	return &p, nil
}

// Former are the UIDs of the versions that the operator falls back to, the first
// one first. The state is the operator's own, and only a hint to us: one that
// cannot be read names nobody.
func Former(m *corev1.ConfigMap) []types.UID {
	if m == nil {
		return nil
	}
	last, _ := traffic.ParseLastGood([]byte(m.Data[traffic.StateKey])) // nobody then
	former := make([]types.UID, len(last.Former))
	for i, f := range last.Former {
		former[i] = types.UID(f.UID)
	}
	return former
}

// GetBatchJob returns a Job.
func (c *Cluster) GetBatchJob(ctx context.Context, name string) (*batchv1.Job, error) {
	var j batchv1.Job
	return &j, c.get(ctx, &j, "jobs", name)
}

// OpenLog returns the log of one of a pod's containers.
func (c *Cluster) OpenLog(ctx context.Context, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	config := rest.CopyConfig(c.config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	scheme := Scheme()
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	core, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fault.OfConfig(err)
	}
	stream, err := core.Get().Namespace(c.Namespace).Resource("pods").Name(pod).SubResource("log").
		VersionedParams(options, runtime.NewParameterCodec(scheme)).Stream(ctx)
	if err != nil {
		return nil, fault.Of(err, c.place("get", "pods/log", pod))
	}
	return stream, nil
}

// Create creates an AnalysisJob; with dryRun the API server only says what would be.
func (c *Cluster) Create(ctx context.Context, job *v1alpha1.AnalysisJob, dryRun bool) error {
	options := []client.CreateOption{client.FieldOwner(FieldManager), client.FieldValidation("Strict")}
	if dryRun {
		options = append(options, client.DryRunAll)
	}
	err := c.client.Create(ctx, job, options...)
	return fault.Of(err, c.place("create", "analysisjobs", orGenerated(job)))
}

func orGenerated(job *v1alpha1.AnalysisJob) string {
	if job.Name != "" {
		return job.Name
	}
	return fmt.Sprintf("%s…", job.GenerateName)
}
