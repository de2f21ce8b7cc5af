// Package why says in one sentence what an object waits for, since when, and
// who can change it. It reads nothing itself: it judges a survey.
package why

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// An Answer is the sentence in parts.
type Answer struct {
	Object    string       `json:"object"`
	Namespace string       `json:"namespace"`
	State     string       `json:"state"`
	Since     *metav1.Time `json:"since,omitempty"`
	What      string       `json:"what"`
	Reason    string       `json:"reason,omitempty"`
	Who       Actor        `json:"who"`
	Do        string       `json:"do,omitempty"`
	Facts     []string     `json:"facts,omitempty"`
}

// Sentence is the answer for a person.
func (a Answer) Sentence(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", a.Object, a.stands(now), strings.TrimRight(a.What, ". "))
	if a.Reason != "" {
		fmt.Fprintf(&b, " (%s)", a.Reason)
	}
	switch a.Who {
	case Nobody:
		b.WriteString("; nobody has to act")
	case Autoscaler, Kueue:
		fmt.Fprintf(&b, "; %s acts", the(a.Who))
	default:
		fmt.Fprintf(&b, "; %s can fix it", the(a.Who))
	}
	if a.Do != "" {
		fmt.Fprintf(&b, ": %s", a.Do)
	}
	b.WriteString(".")
	return b.String()
}

// stands says the state and since when.
func (a Answer) stands(now time.Time) string {
	if a.Since == nil {
		return "is " + a.State
	}
	age := Age(now, a.Since.Time)
	switch a.State {
	case string(v1alpha1.StateSucceeded), string(v1alpha1.StateFailed):
		return fmt.Sprintf("%s %s ago", a.State, age)
	case string(v1alpha1.StateCancelled), string(v1alpha1.StageRejected), string(v1alpha1.StageRolledBack), string(v1alpha1.StageRetired):
		return fmt.Sprintf("was %s %s ago", a.State, age)
	}
	return fmt.Sprintf("has been %s for %s", a.State, age)
}

func the(who Actor) string {
	switch who {
	case MLEngineer:
		return "an ML engineer"
	case PlatformEngineer:
		return "a platform engineer"
	case Autoscaler:
		return "the cluster autoscaler"
	}
	return string(who)
}

// Age words the time since, as kubectl does.
func Age(now, since time.Time) string {
	return duration.HumanDuration(max(now.Sub(since), 0))
}

// apply takes who and what to do from a row, and what it means where no message says more.
func (a *Answer) apply(row Row, message string) {
	a.Reason, a.Who, a.Do = row.Reason, row.Who, row.Do
	a.What = message
	if a.What == "" {
		a.What = row.Means
	}
	if a.What == "" {
		a.What = "no message says why"
	}
}

func (a *Answer) since(t metav1.Time) {
	if !t.IsZero() {
		a.Since = &t
	}
}
