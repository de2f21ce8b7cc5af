package condition_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/controllers/internal/condition"
)

func TestSetMovesTheTimeOnlyWithTheStatus(t *testing.T) {
	first, second := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(200, 0))
	var list []metav1.Condition
	condition.NewWriter(&list, 1, first).False("Ready", "Starting", "one replica is missing")
	condition.NewWriter(&list, 2, second).False("Ready", "Waiting", "for a node")
	if !list[0].LastTransitionTime.Equal(&first) || list[0].Reason != "Waiting" || list[0].ObservedGeneration != 2 {
		t.Errorf("same status: %+v; want the first time, the new reason, generation 2", list[0])
	}
	condition.NewWriter(&list, 2, second).True("Ready", "Succeeded", "")
	if !list[0].LastTransitionTime.Equal(&second) {
		t.Errorf("other status: time %v, want %v", list[0].LastTransitionTime, second)
	}
}

func TestChangedTellsTransitionsAlone(t *testing.T) {
	at := func(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
	}
	before := []metav1.Condition{at("A", "True", "X", "1 of 2"), at("B", "True", "X", ""), at("C", "True", "X", "")}
	after := []metav1.Condition{at("A", "True", "X", "2 of 2"), at("B", "False", "X", ""), at("C", "True", "Y", ""), at("D", "True", "X", "")}
	if diff := cmp.Diff(after[1:], condition.Changed(before, after)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

func TestBoundKeepsRunesWhole(t *testing.T) {
	for n := 3; n < 40; n++ {
		got := condition.Bound(strings.Repeat("é", 30), n)
		if len(got) > n || !utf8.ValidString(got) {
			t.Errorf("Bound to %d bytes gave %d bytes, %q", n, len(got), got)
		}
	}
	if got := condition.Bound("short", 5); got != "short" {
		t.Errorf("Bound cut %q, which fits", got)
	}
}
