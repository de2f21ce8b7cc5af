package modelversion

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
)

// An event tells of a transition.
type event struct{ kind, reason, action, note string }

// events are what the write of this status tells.
func (m *versionPass) events() []event {
	was, is := m.before.Status, m.mv.Status
	var list []event
	note := cmp.Or(is.Message, string(is.Stage))
	switch ended := is.Stage == v1alpha1.StageRejected || is.Stage == v1alpha1.StageRolledBack; {
	case was.Stage != is.Stage && ended:
		list = append(list, event{corev1.EventTypeWarning, is.Reason, string(is.Stage), note})
	case was.Stage != is.Stage || is.Stage == v1alpha1.StageCanary && was.Traffic.Weight != is.Traffic.Weight:
		if is.Stage == v1alpha1.StageCanary || is.Stage == v1alpha1.StageActive {
			note = fmt.Sprintf("%d %% of the traffic", is.Traffic.Weight)
		}
		list = append(list, event{corev1.EventTypeNormal, string(is.Stage), "Rollout", note})
	}
	for _, c := range condition.Changed(was.Conditions, is.Conditions) {
		switch {
		case c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue && is.Stage != v1alpha1.StageRejected && is.Stage != v1alpha1.StageRolledBack:
			list = append(list, event{corev1.EventTypeWarning, c.Reason, "Stalled", cmp.Or(c.Message, c.Type)})
		case c.Type == v1alpha1.ConditionAvailable && c.Status == metav1.ConditionFalse && is.Stage == v1alpha1.StageActive:
			list = append(list, event{corev1.EventTypeWarning, c.Reason, "Serve", cmp.Or(c.Message, c.Type)})
		}
	}
	return list
}
