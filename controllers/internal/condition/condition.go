// Package condition reads and writes lists of conditions and tells what
// changed between two of them.
package condition

import (
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxMessage bounds a condition's message in bytes.
const MaxMessage = 512

// Writer sets conditions of one object in one pass.
type Writer struct {
	list       *[]metav1.Condition
	generation int64
	now        metav1.Time
}

// NewWriter returns a Writer to list. A condition whose status changes gets
// the time now; every one that is set gets the generation.
func NewWriter(list *[]metav1.Condition, generation int64, now metav1.Time) Writer {
	return Writer{list: list, generation: generation, now: now}
}

// Set sets the condition, adding it where it is missing.
func (w Writer) Set(kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(w.list, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: Bound(message, MaxMessage),
		ObservedGeneration: w.generation, LastTransitionTime: w.now,
	})
}

// True sets the condition to True.
func (w Writer) True(kind, reason, message string) {
	w.Set(kind, metav1.ConditionTrue, reason, message)
}

// False sets the condition to False.
func (w Writer) False(kind, reason, message string) {
	w.Set(kind, metav1.ConditionFalse, reason, message)
}

// If sets the condition to True or False.
func (w Writer) If(is bool, kind, reason, message string) {
	if is {
		w.True(kind, reason, message)
	} else {
		w.False(kind, reason, message)
	}
}

// While has the condition there, True, as long as it is; one that would be False
// is not kept. It is for what is out of the ordinary or comes once, where absence
// says no: an object in good order has a short status.
func (w Writer) While(is bool, kind, reason, message string) {
	if is {
		w.True(kind, reason, message)
	} else {
		meta.RemoveStatusCondition(w.list, kind)
	}
}

// Changed returns the conditions of after whose status or reason differs from
// before's, in after's order: the transitions an event may tell of.
func Changed(before, after []metav1.Condition) []metav1.Condition {
	var changed []metav1.Condition
	for _, c := range after {
		old := meta.FindStatusCondition(before, c.Type)
		if old == nil || old.Status != c.Status || old.Reason != c.Reason {
			changed = append(changed, c)
		}
	}
	return changed
}

// Bound cuts s to at most n bytes at a rune's edge, ending in an ellipsis where it cut.
func Bound(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const ellipsis = "…"
	cut := n - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}
