package survey

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Explaining is the condition that says why the job is where it is.
func Explaining(s v1alpha1.AnalysisJobStatus) metav1.Condition {
	at := func(kind string) metav1.Condition {
		if c := meta.FindStatusCondition(s.Conditions, kind); c != nil {
			return *c
		}
		return metav1.Condition{Reason: v1alpha1.ReasonProgressing}
	}
	is := func(kind string) bool { return meta.IsStatusConditionTrue(s.Conditions, kind) }
	for _, kind := range []string{v1alpha1.ConditionSucceeded, v1alpha1.ConditionFailed, v1alpha1.ConditionStalled,
		v1alpha1.ConditionSuspended, v1alpha1.ConditionQueued} {
		if is(kind) {
			return at(kind)
		}
	}
	if !is(v1alpha1.ConditionModelResolved) {
		return at(v1alpha1.ConditionModelResolved)
	}
	return at(v1alpha1.ConditionStarted)
}
