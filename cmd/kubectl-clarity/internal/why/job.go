package why

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

func (e explainer) job() {
	s := e.s.Job.Status
	e.a.State = string(s.State)
	if e.a.State == "" {
		e.a.State = string(v1alpha1.StatePending)
	}
	c := survey.Explaining(s)
	row, _ := find(c.Reason, JobRows(), VersionRows(), ClusterRows())
	e.a.since(c.LastTransitionTime)
	message := s.Message
	if message == "" {
		message = c.Message
	}
	e.a.apply(row, message)
	switch s.State {
	case v1alpha1.StateSucceeded, v1alpha1.StateFailed, v1alpha1.StateCancelled:
		if s.CompletionTime != nil {
			e.a.since(*s.CompletionTime)
		}
	case v1alpha1.StateQueued:
		e.queue()
	case v1alpha1.StateRunning:
		e.running()
	case v1alpha1.StatePending:
		e.refine(c.Reason)
	case v1alpha1.StateSuspended:
	}
}

// queue reads Kueue's own word.
func (e explainer) queue() {
	if e.s.Batch() == nil || len(e.s.Unread) > 0 {
		return
	}
	if e.s.Workload == nil {
		if e.a.Since != nil && e.now.Sub(e.a.Since.Time) > patience {
			row, _ := find(reasonNoQueue, ClusterRows())
			e.a.apply(row, "")
		}
		return
	}
	for _, c := range workloadConditions(e.s.Workload) {
		if c.Type == "QuotaReserved" && c.Status == metav1.ConditionFalse && c.Reason == "Inadmissible" {
			row, _ := find(c.Reason, ClusterRows())
			e.a.apply(row, bound(c.Message))
		}
	}
}

// running says how far it is, or why nothing runs although it did.
func (e explainer) running() {
	s := e.s.Job.Status
	if s.ETA != "" {
		e.a.What = fmt.Sprintf("%s, %s left at %s", e.a.What, s.ETA, s.Rate)
	}
	if b := e.s.Batch(); b != nil && b.Status.Active > 0 && b.Status.Ready != nil && *b.Status.Ready == 0 {
		e.refine(v1alpha1.ReasonWaitingForShard)
	}
}

func workloadConditions(workload *unstructured.Unstructured) []metav1.Condition {
	list, _, _ := unstructured.NestedSlice(workload.Object, "status", "conditions") // none is none
	var conditions []metav1.Condition
	word := func(c map[string]any, key string) string {
		s, _ := c[key].(string)
		return s
	}
	for _, item := range list {
		if c, ok := item.(map[string]any); ok {
			conditions = append(conditions, metav1.Condition{
				Type: word(c, "type"), Status: metav1.ConditionStatus(word(c, "status")), Reason: word(c, "reason"), Message: word(c, "message"),
			})
		}
	}
	return conditions
}
