package modelversion

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving/probe"
)

// modelField selects ModelVersions by their model: an index of the cache, and
// a selectable field of the API server.
const modelField = "spec.model"

// podMonitoringInstalled says whether the API server has the kind.
func podMonitoringInstalled(mapper meta.RESTMapper) (bool, error) {
	kind := serving.PodMonitoring().GroupVersionKind()
	_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case meta.IsNoMatchError(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask whether pod monitoring is installed: %w", err)
	}
	return true, nil
}

// CacheOptions is what the manager's cache holds for this controller: what it
// made for versions, by component, without what no pass reads; all of the one
// namespace that is served.
func CacheOptions(config Config, mapper meta.RESTMapper) (map[client.Object]cache.ByObject, error) {
	there := map[string]cache.Config{config.Namespace: {}}
	held := func(strip func(any) (any, error), components ...string) (cache.ByObject, error) {
		of, err := labels.NewRequirement(label.Component, selection.In, components)
		if err != nil {
			return cache.ByObject{}, fmt.Errorf("select what is cached: %w", err)
		}
		return cache.ByObject{Label: labels.NewSelector().Add(*of), Namespaces: there, Transform: strip}, nil
	}
	server, err := held(strip, label.Server)
	if err != nil {
		return nil, err
	}
	jobs, err := held(strip, label.Verify, label.Validate)
	if err != nil {
		return nil, err
	}
	pods, err := held(strip, label.Server, label.Verify, label.Validate)
	if err != nil {
		return nil, err
	}
	plans, err := held(strip, label.Plan)
	if err != nil {
		return nil, err
	}
	options := map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: server, &corev1.Service{}: server, &autoscalingv2.HorizontalPodAutoscaler{}: server,
		&policyv1.PodDisruptionBudget{}: server, &networkingv1.NetworkPolicy{}: server,
		&batchv1.Job{}: jobs, &corev1.Pod{}: pods, &corev1.ConfigMap{}: plans,
	}
	installed, err := podMonitoringInstalled(mapper)
	if err != nil {
		return nil, err
	}
	if installed {
		options[serving.PodMonitoring()] = server
	}
	return options, nil
}

// strip drops what no pass reads. Templates of pods are never compared with
// what a newer operator would make of them, so that an upgrade restarts nothing.
func strip(o any) (any, error) {
	if object, ok := o.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	switch o := o.(type) {
	case *appsv1.Deployment:
		o.Spec.Template = corev1.PodTemplateSpec{}
	case *batchv1.Job:
		o.Spec.Template = corev1.PodTemplateSpec{}
		o.Spec.PodFailurePolicy = nil
	case *corev1.Pod:
		o.Spec = corev1.PodSpec{}
		o.Status = corev1.PodStatus{
			Phase: o.Status.Phase, PodIP: o.Status.PodIP, Reason: o.Status.Reason, Conditions: o.Status.Conditions,
			ContainerStatuses: o.Status.ContainerStatuses, InitContainerStatuses: o.Status.InitContainerStatuses,
		}
	}
	return o, nil
}

// SetupWithManager adds the controller to the manager, whose cache should be
// made with CacheOptions. The observers, if any, are told what versions go through.
func SetupWithManager(ctx context.Context, mgr ctrl.Manager, config Config, options controller.Options, observers ...Observer) error {
	config = config.WithDefaults()
	gates, err := gate.New(config.Prometheus, clock.RealClock{})
	if err != nil {
		return err
	}
	needs := Needs{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(manager), Clock: clock.RealClock{},
		Probe: probe.NewHTTP(config.ProbeTimeout.Duration), Gates: gates, Observers: observers,
	}
	return setup(ctx, mgr, config, options, needs)
}

func setup(ctx context.Context, mgr ctrl.Manager, config Config, options controller.Options, needs Needs) error {
	installed, err := podMonitoringInstalled(mgr.GetRESTMapper())
	if err != nil {
		return err
	}
	needs.PodMonitoring = installed
	r, err := New(config, needs)
	if err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.ModelVersion{}, modelField, modelOf); err != nil {
		return fmt.Errorf("index versions by model: %w", err)
	}
	byLabel := handler.EnqueueRequestsFromMapFunc(modelOfLabel)
	b := ctrl.NewControllerManagedBy(mgr).Named("modelversion").WithOptions(options).
		Watches(&v1alpha1.ModelVersion{}, handler.EnqueueRequestsFromMapFunc(modelOfVersion))
	for _, kind := range []client.Object{
		&appsv1.Deployment{}, &corev1.Service{}, &autoscalingv2.HorizontalPodAutoscaler{}, &policyv1.PodDisruptionBudget{},
		&networkingv1.NetworkPolicy{}, &batchv1.Job{}, &corev1.Pod{}, &corev1.ConfigMap{},
	} {
		b = b.Watches(kind, byLabel)
	}
	if installed {
		b = b.Watches(serving.PodMonitoring(), byLabel)
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("add controller of model versions: %w", err)
	}
	return nil
}

func modelOf(o client.Object) []string {
	if mv, ok := o.(*v1alpha1.ModelVersion); ok {
		return []string{mv.Spec.Model}
	}
	return nil
}

// modelOfVersion names the model whose version it is: the key of a pass.
func modelOfVersion(_ context.Context, o client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, model := range modelOf(o) {
		requests = append(requests, request(o.GetNamespace(), model))
	}
	return requests
}

// modelOfLabel names the model that the object was made for; none for the Jobs
// and pods of other controllers, which share the cache.
func modelOfLabel(_ context.Context, o client.Object) []reconcile.Request {
	model := o.GetLabels()[label.Model]
	switch o.GetLabels()[label.Component] {
	case label.Server, label.Verify, label.Validate, label.Plan:
		if model != "" {
			return []reconcile.Request{request(o.GetNamespace(), model)}
		}
	}
	return nil
}

func request(namespace, model string) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKey{Namespace: namespace, Name: model}}
}
