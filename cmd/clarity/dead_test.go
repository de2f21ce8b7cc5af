package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
)

// giveUp leaves dead letters of the bodies in the directory.
func giveUp(t *testing.T, dir string, bodies ...string) {
	t.Helper()
	q, err := embedded.Queue(t.Context(), dir, platform.Env{Now: time.Now, Closing: func(_ string, c io.Closer) {
		t.Cleanup(func() { _ = c.Close() })
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		if err := q.Publish(t.Context(), queue.Message{Topic: flow.TopicUploads, Key: body, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	died := 0
	err = q.Receive(ctx, queue.Subscription{Topic: flow.TopicUploads, Name: flow.Intake}, func(context.Context, queue.Delivery) queue.Verdict {
		if died++; died == len(bodies) {
			stop()
		}
		return queue.Dead("unreadable")
	})
	if err != nil || died != len(bodies) {
		t.Fatalf("%d of %d died: %v", died, len(bodies), err)
	}
	if err := q.(io.Closer).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDeadLettersAreListedReplayedAndDropped(t *testing.T) {
	dir := t.TempDir()
	giveUp(t, dir, "a", "b")
	for _, step := range []struct {
		words []string
		want  string
		lines int
	}{
		{[]string{"dead"}, "unreadable", 3},
		{[]string{"dead", "list"}, "unreadable", 3},
		{[]string{"dead", "replay", "1"}, "dead letter 1 is a message again\n", 1},
		{[]string{"dead", "drop", "2"}, "dead letter 2 is removed\n", 1},
		{[]string{"dead", "list"}, "no dead letters\n", 1},
	} {
		stdout, stderr, code := clarity(t, append(step.words, "--data", dir)...)
		if code != 0 || !strings.Contains(stdout, step.want) || strings.Count(stdout, "\n") != step.lines {
			t.Errorf("%v: exit %d, %q %q", step.words, code, stdout, stderr)
		}
	}
}
