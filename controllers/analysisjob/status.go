package analysisjob

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

const maxMessage = 512

// describe writes conditions, state, message, times and rates from what the phases found.
func (p *jobPass) describe(end outcome.Outcome) {
	s := &p.job.Status
	s.ObservedGeneration = p.job.Generation
	s.Shards.Total = p.job.Spec.Shards
	if s.Shards.Summary == "" {
		s.Shards.Summary = fmt.Sprintf("0/%d", s.Shards.Total)
	}
	stalled := p.stalled(end)
	w := condition.NewWriter(&s.Conditions, p.job.Generation, metav1.NewTime(p.now.Truncate(time.Second)))
	p.describeIntake(w, stalled)
	p.describeRun(w)
	p.describeEnd(w, stalled)
	p.describeTimes()
	s.State = stateOf(s.Conditions)
	s.Message = condition.Bound(p.sentence(end, stalled), maxMessage)
	if !equality.Semantic.DeepEqual(p.before.Status.Shards, s.Shards) || !equality.Semantic.DeepEqual(p.before.Status.Subjects, s.Subjects) {
		s.Updated = &metav1.Time{Time: p.now.Truncate(time.Second)}
	}
}

// stalled says what a person has to change, or nil.
func (p *jobPass) stalled(end outcome.Outcome) *pass.Reason {
	if s, ok := end.(outcome.Stalled); ok {
		return &pass.Reason{Reason: s.Reason, Message: s.Message}
	}
	return p.startBlocked
}

func (p *jobPass) describeIntake(w condition.Writer, stalled *pass.Reason) {
	if stalled != nil && stalled.Reason == v1alpha1.ReasonNamespaceNotServed {
		w.False(v1alpha1.ConditionAccepted, stalled.Reason, stalled.Message)
	} else {
		w.True(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccepted, "")
	}
	switch {
	case p.job.Spec.Model == nil:
		w.True(v1alpha1.ConditionModelResolved, v1alpha1.ReasonNoModel, "")
	case p.job.Status.Model != nil:
		w.True(v1alpha1.ConditionModelResolved, v1alpha1.ReasonResolved, "")
	case p.pending != nil:
		w.False(v1alpha1.ConditionModelResolved, p.pending.Reason, p.pending.Message)
	default:
		w.False(v1alpha1.ConditionModelResolved, v1alpha1.ReasonProgressing, "")
	}
}

func (p *jobPass) describeRun(w condition.Writer) {
	w.If(p.started(), v1alpha1.ConditionStarted, pick(p.started(), v1alpha1.ReasonShardStarted, v1alpha1.ReasonWaitingForShard), "")
	held := p.job.Spec.Suspend && p.end == nil
	w.While(held, v1alpha1.ConditionSuspended, v1alpha1.ReasonSuspendedBySpec, "")
	if p.job.Spec.QueueName == "" {
		return
	}
	switch {
	case p.end != nil:
		w.False(v1alpha1.ConditionQueued, v1alpha1.ReasonFinished, "")
	case p.child == nil || suspended(p.child):
		w.True(v1alpha1.ConditionQueued, v1alpha1.ReasonWaitingForQueue, p.queueMessage())
	default:
		w.False(v1alpha1.ConditionQueued, v1alpha1.ReasonAdmitted, "")
	}
}

func (p *jobPass) describeEnd(w condition.Writer, stalled *pass.Reason) {
	going := p.end == nil
	end, stop := pointedAt(p.end), pointedAt(stalled)
	w.While(!going && end.succeeded, v1alpha1.ConditionSucceeded, end.why.Reason, end.why.Message)
	w.While(!going && !end.succeeded, v1alpha1.ConditionFailed, end.why.Reason, end.why.Message)
	w.While(going && stalled == nil, v1alpha1.ConditionReconciling, v1alpha1.ReasonProgressing, "")
	w.While(going && stalled != nil, v1alpha1.ConditionStalled, stop.Reason, stop.Message)
}

// pointedAt is what p points at, or the zero value.
func pointedAt[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (p *jobPass) describeTimes() {
	s := &p.job.Status
	if s.StartTime == nil && p.started() {
		at := firstStart(p.pods)
		if at.IsZero() {
			at = p.now
		}
		s.StartTime = &metav1.Time{Time: at.Truncate(time.Second)}
	}
	s.Rate, s.ETA = "", ""
	if p.end != nil {
		s.Shards.Active = 0
		s.CompletionTime = &metav1.Time{Time: p.end.at.Truncate(time.Second)}
		if s.StartTime != nil {
			s.Rate = rateOf(s.Subjects.Done, max(s.CompletionTime.Sub(s.StartTime.Time), time.Second))
		}
		return
	}
	if p.job.Spec.Suspend || p.child == nil || suspended(p.child) {
		return
	}
	s.Rate, s.ETA = p.pace()
}

// pace is the rate and the time left, from how long the counted shards ran and
// how many run at a time. Time alone changes neither: nothing is written while
// nothing ends.
func (p *jobPass) pace() (rate, eta string) {
	s := p.job.Status
	ended := s.Shards.Succeeded + s.Shards.Failed
	left := s.Shards.Total - ended
	if s.Shards.Seconds == 0 || ended == 0 || left == 0 {
		return "", ""
	}
	wide := min(parallelism(p.job), left)
	each := time.Duration(s.Shards.Seconds) * time.Second / time.Duration(ended)
	rounds := (left + wide - 1) / wide
	return rateOf(s.Subjects.Done*int64(wide), time.Duration(s.Shards.Seconds)*time.Second), short(each * time.Duration(rounds))
}

func rateOf(subjects int64, in time.Duration) string {
	perSecond := float64(subjects) / in.Seconds()
	switch {
	case subjects == 0:
		return ""
	case perSecond >= 10:
		return fmt.Sprintf("%.0f/s", perSecond)
	case perSecond >= 0.1:
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return fmt.Sprintf("%.0f/h", max(perSecond*3600, 1))
}

// short words a duration in its two largest units.
func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 1))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// stateOf derives the one word from the conditions.
func stateOf(conditions []metav1.Condition) v1alpha1.State {
	is := func(kind string) bool { return meta.IsStatusConditionTrue(conditions, kind) }
	failed := meta.FindStatusCondition(conditions, v1alpha1.ConditionFailed)
	switch {
	case is(v1alpha1.ConditionSucceeded):
		return v1alpha1.StateSucceeded
	case is(v1alpha1.ConditionFailed) && failed.Reason == v1alpha1.ReasonCancelled:
		return v1alpha1.StateCancelled
	case is(v1alpha1.ConditionFailed):
		return v1alpha1.StateFailed
	case is(v1alpha1.ConditionSuspended):
		return v1alpha1.StateSuspended
	case is(v1alpha1.ConditionQueued):
		return v1alpha1.StateQueued
	case is(v1alpha1.ConditionStarted):
		return v1alpha1.StateRunning
	}
	return v1alpha1.StatePending
}

// sentence tells a person how it stands, and what it waits for.
func (p *jobPass) sentence(end outcome.Outcome, stalled *pass.Reason) string {
	s := p.job.Status
	switch {
	case p.end != nil && s.Shards.Uncounted > 0:
		return fmt.Sprintf("%s; the reports of %d shards were lost with their pods", p.end.why.Message, s.Shards.Uncounted)
	case p.end != nil:
		return p.end.why.Message
	case stalled != nil:
		return stalled.Message
	case p.child != nil && p.child.Annotations[endedAnnotation] != "":
		return "stopping the shards: " + p.endReason(p.child.Annotations[endedAnnotation]).Message
	case p.job.Spec.Suspend:
		return "suspended by spec.suspend"
	}
	if waiting, ok := end.(outcome.Waiting); ok {
		return waiting.Message
	}
	switch s.State {
	case v1alpha1.StateQueued:
		return cmp.Or(p.queueMessage(), fmt.Sprintf("waiting for queue %q", p.job.Spec.QueueName))
	case v1alpha1.StateRunning:
		return fmt.Sprintf("%d of %d shards ended", s.Shards.Succeeded+s.Shards.Failed, s.Shards.Total)
	default:
		return "waiting for the first shard to start"
	}
}

// writeDelay is how long the write of this status has to wait, because counts alone
// changed and were written a moment ago. Transitions never wait.
func (p *jobPass) writeDelay(interval time.Duration) time.Duration {
	last := p.before.Status.Updated
	if last == nil || !equality.Semantic.DeepEqual(transitionsOf(p.before.Status), transitionsOf(p.job.Status)) {
		return 0
	}
	// Updated is in whole seconds, rounded down.
	return last.Add(interval + time.Second).Sub(p.now)
}

// transitionsOf is the status without what changes with every shard.
func transitionsOf(s v1alpha1.AnalysisJobStatus) v1alpha1.AnalysisJobStatus {
	s.Shards, s.Subjects, s.FailureSummary = v1alpha1.ShardCounts{}, v1alpha1.SubjectCounts{}, nil
	s.Rate, s.ETA, s.Message, s.Updated = "", "", "", nil
	conditions := make([]metav1.Condition, len(s.Conditions))
	for i, c := range s.Conditions {
		c.Message = ""
		conditions[i] = c
	}
	s.Conditions = conditions
	return s
}

// eventOf says how an event tells of a condition, if one should.
func eventOf(c metav1.Condition) (kind, action string, tell bool) {
	yes := c.Status == metav1.ConditionTrue
	switch c.Type {
	case v1alpha1.ConditionFailed, v1alpha1.ConditionStalled:
		return corev1.EventTypeWarning, c.Type, yes
	case v1alpha1.ConditionModelResolved:
		return corev1.EventTypeNormal, c.Type, c.Reason != v1alpha1.ReasonNoModel && c.Reason != v1alpha1.ReasonProgressing
	case v1alpha1.ConditionStarted, v1alpha1.ConditionSucceeded, v1alpha1.ConditionQueued, v1alpha1.ConditionSuspended:
		return corev1.EventTypeNormal, c.Type, yes
	}
	return "", "", false
}

func pick(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}
