package e2e

import (
	"encoding/json"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// seePlan is invariants 1 and 3: the weights of a model that serves sum to 100,
// and what a version is given it is fit for, by the servers themselves.
func (w *watcher) seePlan(event apiwatch.Event) {
	object, ok := event.Object.(*corev1.ConfigMap)
	if !ok || object.Labels[label.Component] != label.Plan || event.Type == apiwatch.Deleted {
		return
	}
	plan, err := traffic.ParsePlan([]byte(object.Data[traffic.PlanKey]))
	if err != nil {
		w.fault("ConfigMap %q: %v", object.Name, err)
		return
	}
	before := w.plans[plan.Model]
	if plan.Revision < before.Revision {
		w.fault("the plan of %q went from revision %d back to %d", plan.Model, before.Revision, plan.Revision)
	}
	if len(before.Entries) > 0 && len(plan.Entries) == 0 && w.living(plan.Model) > 0 {
		w.fault("the plan of %q lost its last version while there are others", plan.Model)
	}
	l := w.s.roles.lab(plan.Model)
	for _, e := range plan.Entries {
		if l != nil && e.Weight > before.Weight(e.Version) && !l.fit(e.Version) {
			w.fault("version %s of %q was given %d of the traffic and is not fit for it", e.Version, plan.Model, e.Weight)
		}
	}
	w.plans[plan.Model] = plan
}

// serving counts the models whose traffic goes to the version alone.
func (w *watcher) serving(version string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n int
	for _, plan := range w.plans {
		if len(plan.Entries) == 1 && plan.Entries[0].Version == version && plan.Entries[0].Weight == 100 {
			n++
		}
	}
	return n
}

// living counts the model's versions that were promoted once and may serve.
func (w *watcher) living(model string) int {
	var n int
	for _, mv := range w.named {
		if mv.Spec.Model == model && mv.DeletionTimestamp == nil && !mv.Spec.Rollout.Abort && !mv.Spec.Retire &&
			mv.Status.Rollout != nil && mv.Status.Rollout.Promoted != nil {
			n++
		}
	}
	return n
}

// seeModelVersion is invariants 4 and 5: an object that carries traffic does
// not go before another has it, and conditions, stage and weight agree.
func (w *watcher) seeModelVersion(event apiwatch.Event) {
	mv, ok := event.Object.(*v1alpha1.ModelVersion)
	if !ok {
		return
	}
	if event.Type == apiwatch.Deleted {
		if plan := w.plans[mv.Spec.Model]; plan.Weight(mv.Spec.Version) > 0 {
			w.fault("model version %q went while it carried %d of the traffic", mv.Name, plan.Weight(mv.Spec.Version))
		}
		delete(w.named, mv.Name)
		return
	}
	if mv.DeletionTimestamp != nil {
		w.gone[mv.UID] = mv.DeletionTimestamp
	}
	w.named[mv.Name] = mv
	s := mv.Status
	if seen := w.stages[mv.Name]; s.Stage != "" && (len(seen) == 0 || seen[len(seen)-1] != s.Stage) {
		w.stages[mv.Name] = append(seen, s.Stage)
	}
	is := func(kind string) bool { return meta.IsStatusConditionTrue(s.Conditions, kind) }
	carries := slices.Contains([]v1alpha1.Stage{v1alpha1.StageCanary, v1alpha1.StageActive}, s.Stage)
	size, _ := json.Marshal(s)
	switch {
	case is(v1alpha1.ConditionReady) && is(v1alpha1.ConditionStalled):
		w.fault("model version %q is ready and stalled", mv.Name)
	case is(v1alpha1.ConditionReconciling) && is(v1alpha1.ConditionStalled):
		w.fault("model version %q reconciles and is stalled", mv.Name)
	case s.Traffic.Weight > 0 && !carries:
		w.fault("model version %q is %s and carries %d of the traffic", mv.Name, s.Stage, s.Traffic.Weight)
	case s.Traffic.Weight > 0 && !is(v1alpha1.ConditionValidated):
		w.fault("model version %q carries traffic and is not validated", mv.Name)
	case is(v1alpha1.ConditionPromoted) && (s.Stage == v1alpha1.StageRejected || s.Stage == v1alpha1.StageRolledBack):
		w.fault("model version %q is %s and promoted", mv.Name, s.Stage)
	case len(size) > 8192:
		w.fault("the status of model version %q takes %d bytes", mv.Name, len(size))
	}
}

// seeDeployment is invariant 9: nothing is created under an object that is being deleted.
func (w *watcher) seeDeployment(event apiwatch.Event) {
	d, ok := event.Object.(*appsv1.Deployment)
	if !ok || event.Type != apiwatch.Added {
		return
	}
	for _, owner := range d.OwnerReferences {
		if deleted := w.gone[owner.UID]; deleted != nil && d.CreationTimestamp.After(deleted.Time) {
			w.fault("Deployment %q was created under %q, which is being deleted", d.Name, owner.Name)
		}
	}
}

// went are the stages the object went through.
func (w *watcher) went(name string) []v1alpha1.Stage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.stages[name])
}

// version is the object as it is now; nil where there is none.
func (w *watcher) version(name string) *v1alpha1.ModelVersion {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.named[name]
}

// plan is the model's plan as it is now.
func (w *watcher) plan(model string) traffic.Plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plans[model]
}
