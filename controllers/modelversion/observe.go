package modelversion

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// observe reads everything that was made for the model's versions, its plan and its record.
func (r *Reconciler) observe(ctx context.Context, p *modelPass) (outcome.Outcome, error) {
	if p.namespace != r.config.Namespace {
		return outcome.Continue{}, nil
	}
	if err := r.readRecord(ctx, p); err != nil {
		return nil, err
	}
	var (
		deployments appsv1.DeploymentList
		services    corev1.ServiceList
		scalers     autoscalingv2.HorizontalPodAutoscalerList
		budgets     policyv1.PodDisruptionBudgetList
		policies    networkingv1.NetworkPolicyList
		jobs        batchv1.JobList
		pods        corev1.PodList
		monitorings unstructured.UnstructuredList
	)
	kind := serving.PodMonitoring().GroupVersionKind()
	monitorings.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	lists := []client.ObjectList{&deployments, &services, &scalers, &budgets, &policies, &jobs, &pods}
	if r.PodMonitoring {
		lists = append(lists, &monitorings)
	}
	for _, list := range lists {
		if err := r.Client.List(ctx, list, client.InNamespace(p.namespace), client.MatchingLabels{label.Model: p.model}); err != nil {
			return nil, fmt.Errorf("list %T of model %q: %w", list, p.model, err)
		}
	}
	for _, m := range p.versions {
		m.service = named(services.Items, m.name)
		m.scaler = named(scalers.Items, m.name)
		m.budget = named(budgets.Items, m.name)
		m.policy = named(policies.Items, m.name)
		m.monitoring = named(monitorings.Items, m.name)
		m.verifying = m.job(jobs.Items, label.Verify)
		m.validating = m.job(jobs.Items, label.Validate)
		for i := range pods.Items {
			switch pod := &pods.Items[i]; {
			case pod.Labels[label.Instance] != m.name:
			case pod.Labels[label.Component] == label.Server:
				m.servers = append(m.servers, *pod)
			default:
				m.workers = append(m.workers, *pod)
			}
		}
	}
	for i := range deployments.Items {
		p.place(&deployments.Items[i])
	}
	return outcome.Continue{}, nil
}

// place gives the Deployment to its version, or to those whose version is not there.
func (p *modelPass) place(d *appsv1.Deployment) {
	if d.Labels[label.Component] != label.Server {
		return
	}
	for _, m := range p.versions {
		if d.Name == m.name {
			m.deployment = d
			return
		}
	}
	p.orphans = append(p.orphans, d)
}

// object is a pointer to a T that is an object of the API.
type object[T any] interface {
	*T
	client.Object
}

// named finds the object of that name; nil where there is none.
func named[T any, O object[T]](items []T, name string) *T {
	i := slices.IndexFunc(items, func(item T) bool { return O(&item).GetName() == name })
	if i < 0 {
		return nil
	}
	return &items[i]
}

// job finds the version's Job for the component; nil where there is none that is its own.
func (m *versionPass) job(items []batchv1.Job, component string) *batchv1.Job {
	job := named(items, serving.JobName(m.mv, component))
	if job == nil || !metav1.IsControlledBy(job, m.mv) {
		return nil
	}
	return job
}

// input is what a decision depends on, as it is known now.
func (p *modelPass) input() rollout.Input {
	s := rollout.Input{Model: p.model, Now: p.now, Plan: p.record.plan, State: p.record.state, Gates: p.gates}
	for _, m := range p.versions {
		s.Versions = append(s.Versions, rollout.VersionState{
			UID: m.mv.UID, Version: m.mv.Spec.Version, Endpoint: serving.Endpoint(m.mv), Digest: m.mv.Spec.Artifact.Digest,
			Rollout: m.mv.Spec.Rollout, Stage: m.before.Status.Stage,
			Deleting: !m.mv.DeletionTimestamp.IsZero(), Retire: m.mv.Spec.Retire, Eligible: !m.excluded,
			Ended: m.over() || m.ended != nil, Validated: m.validated(), Available: m.available(), Broken: m.broken,
		})
	}
	return s
}

func (p *modelPass) version(uid types.UID) *versionPass {
	for _, m := range p.versions {
		if m.mv.UID == uid {
			return m
		}
	}
	return nil
}
