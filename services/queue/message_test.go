package queue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/queue"
)

func TestJSONIsAMessageOfItsTopicAndKey(t *testing.T) {
	got, err := queue.JSON("results", "anna", map[string]int{"end": 1})
	if err != nil {
		t.Fatal(err)
	}
	want := queue.Message{Topic: "results", Key: "anna", Body: []byte(`{"end":1}`)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if _, err := queue.JSON("results", "anna", make(chan int)); err == nil {
		t.Error("a value that has no JSON makes a message")
	}
}
