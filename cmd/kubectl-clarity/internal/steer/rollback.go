package steer

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

// Model is what is known of a model's versions and traffic.
type Model struct {
	Name      string
	Namespace string
	Versions  []v1alpha1.ModelVersion
	Plan      *traffic.Plan // nil where there is none
	// Former are the UIDs of the versions that the operator falls back to, the first one first.
	Former []types.UID
}

// Choose returns the version that `rollback` aborts: the candidate where
// requests reach it already, be it as copies; otherwise the active version.
// Where only names a version, it must be that one; one that was rolled back
// already is returned as it is, so that a script may say it twice.
func (m Model) Choose(only string) (*v1alpha1.ModelVersion, error) {
	if len(m.Versions) == 0 {
		return nil, fault.New(fault.NotFound, "kubectl get modelversions -n "+m.Namespace, "roll back model %q: namespace %q has no version of it", m.Name, m.Namespace)
	}
	for i := range m.Versions {
		v := &m.Versions[i]
		gone := v.Status.Stage == v1alpha1.StageRolledBack
		if only == v.Spec.Version && only != "" && (gone || v.Spec.Rollout.Abort) {
			return v, nil
		}
		if v.Spec.Rollout.Abort && !gone && v.Status.Traffic.Weight > 0 {
			return nil, fault.New(fault.CouldNot, fmt.Sprintf("kubectl clarity why mv/%s -n %s", v.Name, v.Namespace),
				"roll back model %q: %s (%s) is being rolled back already", m.Name, ref(v), describe(v))
		}
	}
	chosen := m.reached()
	switch {
	case chosen == nil:
		return nil, fault.New(fault.CouldNot, "kubectl clarity traffic "+m.Name+" -n "+m.Namespace,
			"roll back model %q: no version of it gets requests, so there is nothing to take back; `kubectl clarity abort mv/NAME` ends a rollout before that", m.Name)
	case only != "" && chosen.Spec.Version != only:
		return nil, fault.New(fault.CouldNot, "kubectl clarity traffic "+m.Name+" -n "+m.Namespace,
			"roll back model %q: its requests reached version %q last, not %q", m.Name, chosen.Spec.Version, only)
	}
	return chosen, nil
}

// reached is the version that requests reached last, or nil.
func (m Model) reached() *v1alpha1.ModelVersion {
	for _, stages := range [][]v1alpha1.Stage{{v1alpha1.StageShadow, v1alpha1.StageCanary}, {v1alpha1.StageActive}} {
		for i := range m.Versions {
			if v := &m.Versions[i]; slices.Contains(stages, v.Status.Stage) && usable(v) {
				return v
			}
		}
	}
	return nil
}

// Abort ends a version for good, and says who serves then. It refuses to leave
// a model without a server unless outage allows it.
func (m Model) Abort(v *v1alpha1.ModelVersion, outage bool) (Step, error) {
	if v.Spec.Rollout.Abort || v.Status.Stage == v1alpha1.StageRolledBack {
		return Step{}, nil
	}
	if !usable(v) {
		return Step{}, ended(kube.ModelVersion, v.Name, v.Namespace, "abort", endOf(v))
	}
	announce := fmt.Sprintf("%s (%s) is aborted for good: spec.rollout.abort.", ref(v), describe(v))
	what, err := m.after(v, outage)
	if err != nil {
		return Step{}, err
	}
	return Step{kube.Change{"rollout": map[string]any{"abort": true}}, announce + "\n" + what}, nil
}

// after says who serves once v is aborted, and who comes then.
func (m Model) after(v *v1alpha1.ModelVersion, outage bool) (string, error) {
	next := m.next(v)
	coming := m.coming(v, next)
	serves, err := m.serves(v, next, coming, outage)
	if err != nil || coming == nil {
		return serves, err
	}
	what := "then becomes the candidate and starts over"
	if older(v, coming) {
		what = "is already rolling out and continues"
	}
	return fmt.Sprintf("%s\n%s (%s) %s; `kubectl clarity abort mv/%s -n %s` aborts that one, too.",
		serves, ref(coming), describe(coming), what, coming.Name, coming.Namespace), nil
}

// serves says who serves once v is aborted.
func (m Model) serves(v, next, coming *v1alpha1.ModelVersion, outage bool) (string, error) {
	active := v.Status.Stage == v1alpha1.StageActive
	switch {
	case !active && v.Status.Traffic.Weight == 0 && v.Status.Stage != v1alpha1.StageShadow:
		return "No request goes to it now, so nobody's traffic moves.", nil
	case next == nil && coming != nil && older(v, coming) && coming.Spec.Rollout.Strategy != v1alpha1.StrategyHold && !coming.Spec.Rollout.Paused:
		return fmt.Sprintf("No version has served before it: %s takes over once it can, and %s serves until then.", ref(coming), ref(v)), nil
	case next == nil && !outage:
		return "", fault.New(fault.CouldNot, "kubectl clarity traffic "+m.Name+" -n "+m.Namespace,
			"abort %s: no other version of model %q could serve, so nobody would; apply one first, or add --leave-unserved", ref(v), m.Name)
	case next == nil:
		return fmt.Sprintf("No other version could serve: model %q is left without a server.", m.Name), nil
	case !active:
		return fmt.Sprintf("%s (version %s) serves 100 %%, as it did before.", ref(next), next.Spec.Version), nil
	case next.Status.Serving.Loaded == 0:
		return fmt.Sprintf("%s (version %s) serves next. It is cold: it is started first, and %s serves until it is ready.", ref(next), next.Spec.Version, ref(v)), nil
	}
	return fmt.Sprintf("%s (version %s) serves next; it is warm (%s).", ref(next), next.Spec.Version, next.Status.Serving.Summary), nil
}

// next is the version that serves once v does not: the active one, or the last
// known good: the first of the operator's record that still could, or else the
// one that served last by its own word.
func (m Model) next(v *v1alpha1.ModelVersion) *v1alpha1.ModelVersion {
	var best *v1alpha1.ModelVersion
	for i := range m.Versions {
		other := &m.Versions[i]
		if other.UID == v.UID || !usable(other) {
			continue
		}
		if other.Status.Stage == v1alpha1.StageActive {
			return other
		}
		if served(other) && (best == nil || m.before(other, best)) {
			best = other
		}
	}
	return best
}

// before says whether a takes over rather than b.
func (m Model) before(a, b *v1alpha1.ModelVersion) bool {
	at, bt := slices.Index(m.Former, a.UID), slices.Index(m.Former, b.UID)
	if at >= 0 && bt >= 0 {
		return at < bt
	}
	if at >= 0 || bt >= 0 {
		return at >= 0
	}
	return demoted(b).Before(demoted(a))
}

// coming is the candidate once v is aborted and next serves: the newest version
// that has not served, and is newer than the one that serves.
func (m Model) coming(v, next *v1alpha1.ModelVersion) *v1alpha1.ModelVersion {
	var newest *v1alpha1.ModelVersion
	for i := range m.Versions {
		other := &m.Versions[i]
		if other.UID == v.UID || next != nil && (other.UID == next.UID || !older(next, other)) || !usable(other) || served(other) {
			continue
		}
		if newest == nil || older(newest, other) {
			newest = other
		}
	}
	return newest
}

// inFront is a newer version that keeps v from being a candidate.
func inFront(v *v1alpha1.ModelVersion, versions []v1alpha1.ModelVersion) *v1alpha1.ModelVersion {
	for i := range versions {
		if other := &versions[i]; other.UID != v.UID && usable(other) && older(v, other) {
			return other
		}
	}
	return nil
}

// usable says whether a version may still get traffic.
func usable(v *v1alpha1.ModelVersion) bool {
	switch v.Status.Stage {
	case v1alpha1.StageRejected, v1alpha1.StageRolledBack, v1alpha1.StageRetired:
		return false
	}
	return !v.Spec.Rollout.Abort && !v.Spec.Retire && v.DeletionTimestamp.IsZero()
}

// served says whether a version has carried all of its model's traffic and could again.
func served(v *v1alpha1.ModelVersion) bool {
	r := v.Status.Rollout
	return r != nil && r.Promoted != nil && meta.IsStatusConditionTrue(v.Status.Conditions, v1alpha1.ConditionValidated)
}

func demoted(v *v1alpha1.ModelVersion) *metav1.Time {
	if r := v.Status.Rollout; r != nil {
		return r.Demoted
	}
	return nil
}

// older says whether a was there before b.
func older(a, b *v1alpha1.ModelVersion) bool {
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}
