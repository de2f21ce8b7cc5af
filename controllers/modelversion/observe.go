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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// observe reads everything that was made for the model's versions, its plan and its record.
func (r *Reconciler) observe(ctx context.Context, p *pass) (outcome.Outcome, error) {
	if p.namespace != r.config.Namespace {
		return outcome.Continue{}, nil
	}
	if err := r.readLedger(ctx, p); err != nil {
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
	monitorings.SetGroupVersionKind(podMonitoringKind.GroupVersion().WithKind(podMonitoringKind.Kind + "List"))
	lists := []client.ObjectList{&deployments, &services, &scalers, &budgets, &policies, &jobs, &pods}
	if r.PodMonitoring {
		lists = append(lists, &monitorings)
	}
	for _, list := range lists {
		if err := r.Client.List(ctx, list, client.InNamespace(p.namespace), client.MatchingLabels{ModelLabel: p.model}); err != nil {
			return nil, fmt.Errorf("list %T of model %q: %w", list, p.model, err)
		}
	}
	for _, m := range p.members {
		m.service = named(services.Items, m.name)
		m.scaler = named(scalers.Items, m.name)
		m.budget = named(budgets.Items, m.name)
		m.policy = named(policies.Items, m.name)
		m.monitoring = named(monitorings.Items, m.name)
		m.verifying = m.job(jobs.Items, ComponentVerify)
		m.validating = m.job(jobs.Items, ComponentValidate)
		for i := range pods.Items {
			switch pod := &pods.Items[i]; {
			case pod.Labels[instanceLabel] != m.name:
			case pod.Labels[ComponentLabel] == ComponentServer:
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
func (p *pass) place(d *appsv1.Deployment) {
	if d.Labels[ComponentLabel] != ComponentServer {
		return
	}
	for _, m := range p.members {
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

func jobName(m *member, component string) string { return m.name + "-" + component }

// job finds the version's Job for the component; nil where there is none that is its own.
func (m *member) job(items []batchv1.Job, component string) *batchv1.Job {
	job := named(items, jobName(m, component))
	if job == nil || !metav1.IsControlledBy(job, m.mv) {
		return nil
	}
	return job
}

// readLedger reads plan and record. Where they are not to be had, or not as
// they were written, they are made up from the versions' statuses: who was
// active stays so.
func (r *Reconciler) readLedger(ctx context.Context, p *pass) error {
	var object corev1.ConfigMap
	key := client.ObjectKey{Namespace: p.namespace, Name: traffic.ConfigMapName(p.model)}
	err := r.Client.Get(ctx, key, &object)
	if apierrors.IsNotFound(err) && slices.ContainsFunc(p.members, func(m *member) bool { return m.mv.Status.Traffic.Revision > 0 }) {
		err = r.Live.Get(ctx, key, &object) // the cache may be behind: ask before calling it gone
	}
	found := &object
	switch {
	case apierrors.IsNotFound(err):
		found = nil
	case err != nil:
		return fmt.Errorf("get traffic plan %q: %w", key, err)
	}
	l, ok := readLedger(p.model, found)
	if !ok {
		p.recover(&l)
	}
	p.ledger = l
	return nil
}

// recover makes up plan and record from the versions' statuses. A candidate
// starts anew: how far it had come is not worth a guess.
func (p *pass) recover(l *ledger) {
	l.plan = traffic.Plan{Model: p.model, Entries: []traffic.Entry{}}
	for _, m := range p.members {
		status := m.mv.Status
		l.plan.Revision = max(l.plan.Revision, status.Traffic.Revision)
		place := seat{Version: m.mv.Spec.Version, UID: m.mv.UID}
		if status.Rollout != nil && status.Rollout.Promoted != nil {
			place.Promoted = status.Rollout.Promoted.Time
		}
		switch {
		case isTrue(m.mv, v1alpha1.ConditionPromoted):
			if l.record.Stable == nil {
				l.record.Stable = &place
			}
		case status.Rollout != nil && status.Rollout.Demoted != nil && !m.over():
			place.Demoted = status.Rollout.Demoted.Time
			l.record.Former = append(l.record.Former, place)
		}
	}
	slices.SortStableFunc(l.record.Former, func(a, b seat) int { return b.Demoted.Compare(a.Demoted) })
	if l.plan.Revision == 0 {
		return
	}
	l.lost = true
	l.record.Changed = p.now
	s := p.situation()
	entries := render(&s, l.record).Entries
	l.plan.Entries = entries
}

// situation is what a decision depends on, as it is known now.
func (p *pass) situation() situation {
	s := situation{model: p.model, now: p.now, plan: p.ledger.plan, record: p.ledger.record, gates: p.gates}
	for _, m := range p.members {
		s.versions = append(s.versions, standing{
			uid: m.mv.UID, version: m.mv.Spec.Version, endpoint: endpointOf(m.mv), digest: m.mv.Spec.Artifact.Digest,
			rollout: m.mv.Spec.Rollout, stage: m.before.Status.Stage,
			deleting: !m.mv.DeletionTimestamp.IsZero(), retire: m.mv.Spec.Retire, eligible: !m.barred,
			ended: m.over() || m.ended != nil, validated: m.validated(), available: m.available(), broken: m.broken,
		})
	}
	return s
}

func (p *pass) member(uid types.UID) *member {
	for _, m := range p.members {
		if m.mv.UID == uid {
			return m
		}
	}
	return nil
}
