package why

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

// Explain answers for the object of a survey.
func Explain(s *survey.Survey, now time.Time) Answer {
	o := s.Object()
	a := Answer{Object: s.Target().String(), Namespace: o.GetNamespace()}
	e := explainer{s: s, now: now, a: &a}
	switch {
	case e.deleting():
	case e.unseen():
	case s.Version != nil:
		e.version()
	default:
		e.job()
	}
	a.fill(s)
	a.Facts = e.facts()
	return a
}

type explainer struct {
	s   *survey.Survey
	now time.Time
	a   *Answer
}

// patience is how long the operator may take before someone should look.
const patience = time.Minute

// slow is how long a deletion, or the search for a node, may take.
const slow = 10 * time.Minute

func (e explainer) deleting() bool {
	o := e.s.Object()
	at := o.GetDeletionTimestamp()
	if at.IsZero() {
		return false
	}
	row, _ := find(reasonDeleting, ClusterRows())
	e.a.State = "Terminating"
	e.a.since(*at)
	message := "it goes as soon as nothing holds it"
	if held := o.GetFinalizers(); len(held) > 0 {
		message = "finalizer " + strings.Join(held, ", ") + " is not released"
	}
	e.a.apply(row, message)
	if e.s.Job != nil {
		e.a.Do = "its Job and its pods go with it"
	}
	if e.now.Sub(at.Time) > slow {
		unseen, _ := find(reasonUnseen, ClusterRows())
		e.a.Who, e.a.Do = unseen.Who, unseen.Do
	}
	return true
}

// unseen tells that the operator has not looked at the object as it is now.
func (e explainer) unseen() bool {
	o := e.s.Object()
	var seen int64
	if e.s.Version != nil {
		seen = e.s.Version.Status.ObservedGeneration
	} else {
		seen = e.s.Job.Status.ObservedGeneration
	}
	changed := specWritten(o)
	if seen >= o.GetGeneration() || seen > 0 && e.now.Sub(changed.Time) < patience {
		return false
	}
	row, _ := find(reasonUnseen, ClusterRows())
	e.a.State = "unseen"
	message := "the operator has not looked at it yet"
	if seen > 0 {
		e.a.State, message = "out of date", row.Means
	}
	e.a.since(changed)
	e.a.apply(row, message)
	if e.now.Sub(changed.Time) < patience {
		e.a.Who, e.a.Do = Nobody, "the operator looks at it in a moment"
	}
	return true
}

// specWritten is when the spec was written last: managed fields tell.
func specWritten(o metav1.Object) metav1.Time {
	last := o.GetCreationTimestamp()
	for _, f := range o.GetManagedFields() {
		if f.Subresource == "" && f.Time != nil && f.Time.After(last.Time) {
			last = *f.Time
		}
	}
	return last
}

func (e explainer) version() {
	v := e.s.Version
	e.a.State = stateOf(v)
	row, _ := find(v.Status.Reason, VersionRows(), JobRows(), ClusterRows())
	e.a.since(sinceVersion(v))
	e.a.apply(row, v.Status.Message)
	switch v.Status.Stage {
	case v1alpha1.StageRejected, v1alpha1.StageRolledBack, v1alpha1.StageRetired:
	case v1alpha1.StageActive:
		if meta.IsStatusConditionTrue(v.Status.Conditions, v1alpha1.ConditionReady) {
			e.serves()
			return
		}
		e.refine(v.Status.Reason)
	default:
		e.refine(v.Status.Reason)
	}
}

// sinceVersion is since when the version stands as it does: the last to begin
// of its stage, its step, and the condition that gives the reason.
func sinceVersion(v *v1alpha1.ModelVersion) metav1.Time {
	last := sinceReason(v.Status.Conditions, v.Status.Reason)
	later := func(t *metav1.Time) {
		if t != nil && last.Before(t) {
			last = *t
		}
	}
	later(v.Status.Since)
	if r := v.Status.Rollout; r != nil && (v.Status.Stage == v1alpha1.StageShadow || v.Status.Stage == v1alpha1.StageCanary) {
		later(r.StepStarted)
	}
	return last
}

// serves is the answer for an active version that is well.
func (e explainer) serves() {
	v := e.s.Version
	row, _ := find(v1alpha1.ReasonSucceeded, VersionRows())
	what := fmt.Sprintf("it serves %d %% of the model's requests on %s replicas", v.Status.Traffic.Weight, v.Status.Serving.Summary)
	if v.Status.Message != "" {
		what += " and " + v.Status.Message
	}
	e.a.apply(row, what)
	e.a.Reason = ""
	if r := v.Status.Rollout; r != nil && r.Promoted != nil {
		e.a.since(*r.Promoted)
	}
}

func stateOf(v *v1alpha1.ModelVersion) string {
	switch w := v.Status.Traffic.Weight; {
	case v.Status.Stage == "":
		return "without a stage"
	case w > 0:
		return fmt.Sprintf("%s at %d %%", v.Status.Stage, w)
	}
	return string(v.Status.Stage)
}

// sinceReason is since when the condition stands that gives the reason: one that stalls, before the others.
func sinceReason(conditions []metav1.Condition, reason string) metav1.Time {
	var found metav1.Time
	for _, c := range conditions {
		if c.Reason != reason {
			continue
		}
		if c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue {
			return c.LastTransitionTime
		}
		if found.IsZero() || found.Before(&c.LastTransitionTime) {
			found = c.LastTransitionTime
		}
	}
	return found
}

// refine looks below the operator's word where pods know more.
func (e explainer) refine(reason string) {
	switch reason {
	case "", v1alpha1.ReasonProgressing, v1alpha1.ReasonWaitingForShard, v1alpha1.ReasonUnschedulable, v1alpha1.ReasonImagePull,
		v1alpha1.ReasonShardCannotStart, v1alpha1.ReasonCrashLooping, v1alpha1.ReasonUnavailable:
	default:
		return
	}
	troubled := survey.Troubled(e.s.Pods)
	if len(troubled) == 0 {
		e.refused()
		return
	}
	t := troubled[0]
	if t.State == string(corev1.PodFailed) {
		return
	}
	row, known := find(t.Reason, ClusterRows(), VersionRows())
	if !known {
		return
	}
	message := fmt.Sprintf("pod %q: %s", t.Pod.Name, row.Means)
	if t.Message != "" {
		message = fmt.Sprintf("pod %q: %s", t.Pod.Name, t.Message)
	}
	e.a.apply(row, message)
	if e.a.Since == nil || e.a.Since.Time.Before(t.Since) { // a pod may be older than what is waited for
		e.a.since(metav1.NewTime(t.Since))
	}
	if t.Reason == v1alpha1.ReasonUnschedulable {
		e.autoscaler(t)
	}
}

// refused tells why there is no pod at all: their creator could not create them.
func (e explainer) refused() {
	if len(e.s.Pods) > 0 {
		return
	}
	for i := len(e.s.Events) - 1; i >= 0; i-- {
		if event := e.s.Events[i]; event.Reason == "FailedCreate" {
			row, _ := find(event.Reason, ClusterRows())
			e.a.apply(row, bound(event.Message))
			return
		}
	}
}

// autoscaler says whether a node comes for a pod that has none.
func (e explainer) autoscaler(t survey.Stand) {
	for i := len(e.s.Events) - 1; i >= 0; i-- {
		event := e.s.Events[i]
		if event.InvolvedObject.UID != t.Pod.UID {
			continue
		}
		if event.Reason == "TriggeredScaleUp" || event.Reason == "NotTriggerScaleUp" {
			row, _ := find(event.Reason, ClusterRows())
			e.a.Who, e.a.Do = row.Who, row.Means+": "+row.Do
			return
		}
	}
	if e.now.Sub(t.Since) > slow {
		row, _ := find("NotTriggerScaleUp", ClusterRows())
		e.a.Who, e.a.Do = row.Who, "no node came in "+Age(e.now, t.Since)+": "+row.Do
	}
}

const maxMessage = 300

// bound keeps a message to a line.
func bound(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxMessage {
		return string(r[:maxMessage-1]) + "…"
	}
	return s
}
