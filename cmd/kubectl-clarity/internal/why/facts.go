package why

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

// How many of the many are facts.
const (
	maxPods   = 5
	maxEvents = 5
)

// facts are what the answer was made of, a line each.
func (e explainer) facts() []string {
	var facts []string
	say := func(format string, args ...any) { facts = append(facts, fmt.Sprintf(format, args...)) }
	if v := e.s.Version; v != nil {
		facts = append(facts, e.conditions(v.Status.Conditions)...)
		for _, g := range v.Status.Gates {
			say("gate %s: %s, %d failures in a row, asked %s ago", g.Name, strings.TrimSpace(string(g.Verdict)+" "+g.Value), g.Failures, Age(e.now, g.At.Time))
		}
		if f := v.Status.LastFailure; f != nil {
			exit := ""
			if f.ExitCode != nil {
				exit = fmt.Sprintf(", exit code %d", *f.ExitCode)
			}
			say("last failure %s ago in %s: %s%s: %s", Age(e.now, f.At.Time), f.Stage, f.Reason, exit, bound(f.Message))
		}
	} else {
		facts = append(facts, e.conditions(e.s.Job.Status.Conditions)...)
		for _, f := range e.s.Job.Status.FailureSummary {
			say("failed for %s: %d", f.Reason, f.Count)
		}
		if e.s.Workload != nil {
			for _, c := range workloadConditions(e.s.Workload) {
				say("Kueue %s=%s %s %s", c.Type, c.Status, c.Reason, bound(c.Message))
			}
		}
	}
	facts = append(facts, e.pods()...)
	facts = append(facts, e.events()...)
	for _, u := range e.s.Unread {
		say("not read: %s", u)
	}
	for i := range facts {
		facts[i] = strings.TrimRight(facts[i], " :,")
	}
	return facts
}

func (e explainer) conditions(conditions []metav1.Condition) []string {
	facts := make([]string, len(conditions))
	for i, c := range conditions {
		facts[i] = fmt.Sprintf("condition %s=%s %s for %s: %s", c.Type, c.Status, c.Reason, Age(e.now, c.LastTransitionTime.Time), bound(c.Message))
	}
	return facts
}

func (e explainer) pods() []string {
	var facts []string
	troubled := survey.Troubled(e.s.Pods)
	for _, t := range troubled[:min(len(troubled), maxPods)] {
		facts = append(facts, fmt.Sprintf("pod %s %s %s for %s: %s", t.Pod.Name, t.State, t.Reason, Age(e.now, t.Since), bound(t.Message)))
	}
	if more := len(troubled) - maxPods; more > 0 {
		facts = append(facts, fmt.Sprintf("and %d more pods that are not well", more))
	}
	return facts
}

// quotable are the events whose messages are about nodes and quotas. Others
// may quote a command line, which for a shard holds a subject's pseudonym.
var quotable = []string{"FailedScheduling", "TriggeredScaleUp", "NotTriggerScaleUp", "FailedCreate", "Scheduled"}

func (e explainer) events() []string {
	list := e.s.Events
	list = list[max(0, len(list)-maxEvents):]
	facts := make([]string, 0, len(list))
	for _, event := range list {
		o := event.InvolvedObject
		message := ""
		if slices.Contains(quotable, event.Reason) || strings.HasPrefix(o.APIVersion, "clarityloop.dev/") {
			message = bound(event.Message)
		}
		facts = append(facts, fmt.Sprintf("event %s ago on %s/%s: %s: %s", Age(e.now, survey.EventTime(event)), strings.ToLower(o.Kind), o.Name, event.Reason, message))
	}
	return facts
}

// fill puts the object's own names into what to do.
func (a *Answer) fill(s *survey.Survey) {
	target := s.Target()
	pairs := []string{"{name}", target.Name, "{ns}", a.Namespace, "{object}", target.Kind.Short() + "/" + target.Name}
	if v := s.Version; v != nil {
		pairs = append(pairs, "{model}", v.Spec.Model, "{version}", v.Spec.Version, "{class}", v.Spec.Serving.Class)
	} else {
		pairs = append(pairs, "{queue}", s.Job.Spec.QueueName, "{job}", s.Job.Status.Job)
		if m := s.Job.Spec.Model; m != nil {
			pairs = append(pairs, "{model}", m.Name, "{version}", m.Version)
		}
	}
	r := strings.NewReplacer(pairs...)
	a.What, a.Do = r.Replace(a.What), r.Replace(a.Do)
}
