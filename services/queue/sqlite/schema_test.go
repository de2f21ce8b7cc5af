package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
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
	dir := t.TempDir()
	script, err := os.ReadFile(filepath.Join("testdata", "schema1.sql"))
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
	defer q.Close()
	dead, err := q.Dead(t.Context(), flow.TopicEvents, flow.Feed, 0, 10)
	if err != nil || len(dead) != 1 || string(dead[0].Body) != "dead" || dead[0].Reason != "why" {
		t.Errorf("dead letters %+v, %v", dead, err)
	}
	unclaimed, err := q.Unclaimed(t.Context())
	wantUnclaimed := []queue.Backlog{{Topic: "unknown", Depth: queue.Depth{Waiting: 2, Dead: 1}}}
	if diff := cmp.Diff(wantUnclaimed, unclaimed); err != nil || diff != "" {
		t.Errorf("unclaimed %v (-want +got):\n%s", err, diff)
	}
	lost, err := q.Dead(t.Context(), "unknown", "", 0, 10)
	if err != nil || len(lost) != 1 || string(lost[0].Body) != "lost" {
		t.Errorf("dead letters of nobody %+v, %v", lost, err)
	}
	for sub, want := range map[queue.Subscription][]string{
		{Topic: flow.TopicEvents, Name: flow.Feed}:    {"event 1", "event 2"},
		{Topic: flow.TopicUploads, Name: flow.Intake}: {"upload"},
	} {
		var got []string
		all := make(chan struct{})
		stop := receive(q, sub, func(_ context.Context, d queue.Delivery) queue.Verdict {
			if got = append(got, string(d.Body)); len(got) == len(want) {
				close(all)
			}
			return queue.Ack()
		})
		select {
		case <-all:
		case <-time.After(time.Minute):
			t.Errorf("%s: the messages from before are not handled", sub.Topic)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", sub.Topic, diff)
		}
	}
}
