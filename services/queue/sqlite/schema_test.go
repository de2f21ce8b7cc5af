package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/sqlite"
)

// A directory of the first release opens: what waits and what is dead is still
// there, under the topic's name of today, and is handled.
func TestADirectoryFromBeforeOpens(t *testing.T) {
	q := openFrom(t, "schema1.sql")
	dead, err := q.Dead(t.Context(), flow.TopicEvents, flow.Feed, "", 10)
	if err != nil || len(dead) != 1 || string(dead[0].Body) != "dead" || dead[0].Reason != "why" {
		t.Errorf("dead letters %+v, %v", dead, err)
	}
	unclaimed, err := q.Unclaimed(t.Context())
	wantUnclaimed := []queue.Backlog{{Topic: "unknown", Depth: queue.Depth{Waiting: 2, Dead: 1}}}
	if diff := cmp.Diff(wantUnclaimed, unclaimed); err != nil || diff != "" {
		t.Errorf("unclaimed %v (-want +got):\n%s", err, diff)
	}
	lost, err := q.Dead(t.Context(), "unknown", "", "", 10)
	if err != nil || len(lost) != 1 || string(lost[0].Body) != "lost" {
		t.Errorf("dead letters of nobody %+v, %v", lost, err)
	}
	handledOf(t, q, flow.TopicEvents, flow.Feed, "event 1", "event 2")
	handledOf(t, q, flow.TopicUploads, flow.Intake, "upload")
}

// So does one of the release before, counted, and with nothing that a clock which
// was ahead holds up.
func TestADirectoryOfTheReleaseBeforeOpens(t *testing.T) {
	q := openFrom(t, "schema3.sql")
	for sub, want := range map[[2]string]queue.Depth{
		{flow.TopicUploads, flow.Intake}: {Waiting: 2, Dead: 1}, {flow.TopicAnalyses, flow.Analyse}: {Waiting: 1},
		{flow.TopicResults, flow.Insights}: {Waiting: 1}, {flow.TopicEvents, flow.Feed}: {Waiting: 1},
	} {
		if got, err := q.Depth(t.Context(), sub[0], sub[1]); err != nil || got != want {
			t.Errorf("%v: %+v, %v; want %+v", sub, got, err, want)
		}
	}
	dead, err := q.Dead(t.Context(), flow.TopicUploads, flow.Intake, "", 10)
	if err != nil || len(dead) != 1 || string(dead[0].Body) != "dead" || dead[0].ID != "5" {
		t.Fatalf("dead letters %+v, %v", dead, err)
	}
	if err := q.Replay(t.Context(), dead[0].ID); err != nil {
		t.Fatal(err)
	}
	handledOf(t, q, flow.TopicUploads, flow.Intake, "upload 1", "dead", "upload 2")
	handledOf(t, q, flow.TopicAnalyses, flow.Analyse, "window")
	handledOf(t, q, flow.TopicResults, flow.Insights, "result")
	handledOf(t, q, flow.TopicEvents, flow.Feed, "event")
	if left, err := q.Unclaimed(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// What was published before messages had a trace has none, and is handled; what is dead is
// replayed.
func TestADirectoryWithoutTracesOpens(t *testing.T) {
	q := openFrom(t, "schema6.sql")
	dead, err := q.Dead(t.Context(), flow.TopicUploads, flow.Intake, "", 10)
	if err != nil || len(dead) != 1 || dead[0].Trace != "" || dead[0].Reason != "poison" {
		t.Fatalf("dead letters %+v, %v", dead, err)
	}
	traced := queue.Message{Topic: flow.TopicUploads, Key: "ben", Body: []byte("traced"), Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	if err := errors.Join(q.Replay(t.Context(), dead[0].ID), q.Publish(t.Context(), traced)); err != nil {
		t.Fatal(err)
	}
	handledOf(t, q, flow.TopicUploads, flow.Intake, "upload 1", "upload 2", "dead", "traced")
	handledOf(t, q, flow.TopicResults, flow.Insights, "result")
}

// openFrom opens the queue of an earlier schema.
func openFrom(t *testing.T, schema string) *sqlite.Queue {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile(filepath.Join("testdata", schema))
	if err != nil {
		t.Fatal(err)
	}
	before, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.ExecContext(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	q, err := sqlite.Open(t.Context(), dir, flow.Consumers(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// handledOf has everything of the subscription handled, which is to be these bodies.
func handledOf(t *testing.T, q *sqlite.Queue, topic, name string, want ...string) {
	t.Helper()
	var got []string
	all := make(chan struct{})
	stop := receive(q, queue.Subscription{Topic: topic, Name: name}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if got = append(got, string(d.Body)); len(got) == len(want) {
			close(all)
		}
		return queue.Ack()
	})
	select {
	case <-all:
	case <-time.After(20 * time.Second):
		t.Errorf("%s: the messages from before are not handled", topic)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", topic, diff)
	}
}
