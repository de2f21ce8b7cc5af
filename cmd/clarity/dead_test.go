package main

import (
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// The same, while the platform runs: it is asked.
func TestDeadLettersOfAPlatformThatRuns(t *testing.T) {
	dir := t.TempDir()
	giveUp(t, dir, "canary-a", "canary-b")
	p := startPlatform(t, dir)
	for _, step := range []struct {
		words []string
		want  string
		code  int
	}{
		{[]string{"dead"}, "unreadable", 0},
		{[]string{"dead", "drop", "2"}, "dead letter 2 is removed\n", 0},
		{[]string{"dead", "drop", "2"}, "no such dead letter", 1},
		{[]string{"dead", "replay", "nonsense/../1"}, "no such dead letter", 1},
		{[]string{"dead", "replay", "1"}, "dead letter 1 is a message again\n", 0},
	} {
		stdout, stderr, code := clarity(t, append(step.words, "--data", dir)...)
		if code != step.code || !strings.Contains(stdout+stderr, step.want) || strings.Contains(stdout+stderr, "canary") {
			t.Errorf("%v: exit %d, %q %q", step.words, code, stdout, stderr)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	p.stop(t, syscall.SIGTERM)
	if _, err := os.Stat(filepath.Join(dir, "control.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// plantOld makes the directory's queue that of the first release, in which
// messages wait whose topic nobody has known since.
func plantOld(t *testing.T, dir string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "..", "services", "queue", "sqlite", "testdata", "schema1.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatNobodyConsumesIsToldAndListed(t *testing.T) {
	dir := t.TempDir()
	plantOld(t, dir)
	p := startPlatform(t, dir)
	p.stop(t, syscall.SIGTERM)
	const line = `level=WARN msg="messages that nobody consumes" messages=2 dead=1 topics=[unknown]`
	if log := p.log.String(); strings.Count(log, line+"\n") != 1 || strings.Contains(log, "anna") || strings.Contains(log, "bert") {
		t.Errorf("the log is\n%s\nwant one line %s, and nobody named", log, line)
	}
	for i, step := range []struct {
		words []string
		want  string
		code  int
	}{
		{[]string{"dead"}, "2       unknown  -         1970-01-01T00:00:00Z  10        why\n2 messages of the topic unknown (consumer -) that nobody consumes\n", 0},
		{[]string{"dead", "replay", "2"}, "", 1}, // for whom?
		{[]string{"dead", "drop", "2"}, "dead letter 2 is removed\n", 0},
		{[]string{"dead", "list"}, "\n2 messages of the topic unknown (consumer -) that nobody consumes\n", 0},
	} {
		stdout, stderr, code := clarity(t, append(step.words, "--data", dir)...)
		if code != step.code || !strings.HasSuffix(stdout, step.want) || code != 0 && !strings.Contains(stderr, "no such subscription") || i > 0 && strings.Contains(stdout, "unknown  -") {
			t.Errorf("%v: exit %d, %q %q", step.words, code, stdout, stderr)
		}
	}
}
