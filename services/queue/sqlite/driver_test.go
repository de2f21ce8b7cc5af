package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/sqlite"
)

const topic, name = "uploads", "intake"

var background = context.Background()

func publish(t *testing.T, q *sqlite.Queue, key, body string) {
	t.Helper()
	if err := q.Publish(background, queue.Message{Topic: topic, Key: key, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

func depth(t *testing.T, q *sqlite.Queue) queue.Depth {
	t.Helper()
	d, err := q.Depth(background, topic, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// receive runs Receive until the function returned is called, which returns its error.
func receive(q *sqlite.Queue, sub queue.Subscription, h queue.Handler) (stop func() error) {
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error, 1)
	go func() { ended <- q.Receive(ctx, sub, h) }()
	return func() error { cancel(); return <-ended }
}

// clock is a time of day that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A lease is lost when the clock jumps over its end before it is extended. What
// the first handler then says must not count, whatever it is.
func TestAVerdictOnALostLeaseIsIgnored(t *testing.T) {
	for _, c := range []struct {
		name    string
		verdict queue.Verdict
	}{
		{"ack", queue.Ack()},
		{"retry", queue.Retry(0, "late")},
		{"dead", queue.Dead("late")},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			now := &clock{now: time.Now()}
			q := open(t, t.TempDir(), now.Now)
			defer q.Close()
			publish(t, q, "k", "x")
			attempts := make(chan int, 4)
			say := map[int]chan queue.Verdict{1: make(chan queue.Verdict), 2: make(chan queue.Verdict)}
			sub := queue.Subscription{Topic: topic, Name: name, Concurrency: 2, Lease: time.Hour}
			stop := receive(q, sub, func(_ context.Context, d queue.Delivery) queue.Verdict {
				if d.Key == "wake-up" {
					return queue.Ack()
				}
				attempts <- d.Attempt
				return <-say[d.Attempt]
			})
			for want := 1; want <= 2; want++ {
				select {
				case got := <-attempts:
					if got != want {
						t.Fatalf("attempt %d is told as %d", want, got)
					}
				case <-time.After(time.Minute):
					t.Fatalf("attempt %d does not come", want)
				}
				if want == 1 {
					now.Advance(2 * time.Hour)
					publish(t, q, "wake-up", "")
				}
			}
			say[1] <- c.verdict // of the handler whose lease is lost
			for i := 0; i < 20; i++ {
				if d := depth(t, q); d.Leased < 1 || d.Dead != 0 {
					t.Fatalf("the second delivery is disturbed: %+v", d)
				}
				time.Sleep(time.Millisecond)
			}
			say[2] <- queue.Ack()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if d := depth(t, q); d != (queue.Depth{}) {
				t.Errorf("after the second handler's ack: %+v", d)
			}
		})
	}
}

func TestAHandlerWhoseLeaseIsLostSeesItsContextEnd(t *testing.T) {
	q := open(t, t.TempDir(), time.Now)
	defer q.Close()
	publish(t, q, "u", "x")
	in, ended := make(chan struct{}), make(chan struct{})
	stop := receive(q, queue.Subscription{Topic: topic, Name: name, Lease: 30 * time.Millisecond}, func(ctx context.Context, _ queue.Delivery) queue.Verdict {
		close(in)
		<-ctx.Done()
		close(ended)
		return queue.Ack()
	})
	<-in
	if err := q.Forget(background, "u"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("its context lives on")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A process that dies leaves its leases behind. The directory's lock tells that
// it is dead, so that they are void at once, however long they had to run.
func TestLeasesOfAProcessThatDiedAreVoid(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, time.Now)
	publish(t, q, "k", "x")
	sub := queue.Subscription{Topic: topic, Name: name, Lease: time.Hour, MaxAttempts: 2}
	for attempt := 1; attempt <= 2; attempt++ {
		in, let := make(chan int, 1), make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			ended <- q.Receive(background, sub, func(_ context.Context, d queue.Delivery) queue.Verdict {
				in <- d.Attempt
				<-let
				return queue.Ack()
			})
		}()
		select {
		case got := <-in:
			if got != attempt {
				t.Errorf("attempt %d is told as %d", attempt, got)
			}
		case <-time.After(time.Minute):
			t.Fatalf("attempt %d does not come", attempt)
		}
		if err := q.Close(); err != nil { // as if it died: no verdict is stored
			t.Fatal(err)
		}
		close(let)
		if err := <-ended; !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Receive on a closed queue: %v, want ErrClosed", err)
		}
		q = open(t, dir, time.Now)
	}
	defer q.Close()
	// The message took two processes with it: it is not given a third.
	stop := receive(q, sub, func(context.Context, queue.Delivery) queue.Verdict {
		t.Error("a third attempt")
		return queue.Ack()
	})
	for deadline := time.Now().Add(time.Minute); depth(t, q).Dead == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	letters, err := q.Dead(background, topic, name, 0, 10)
	if err != nil || len(letters) != 1 || !strings.Contains(letters[0].Reason, "without a verdict") {
		t.Errorf("dead letters: %+v, %v", letters, err)
	}
}

func TestDeadLettersAreReplayedAndDropped(t *testing.T) {
	q := open(t, t.TempDir(), time.Now)
	defer q.Close()
	for _, body := range []string{"1", "2", "3"} {
		publish(t, q, "k", body)
	}
	poison := true
	var got []string
	all := make(chan struct{}, 10)
	stop := receive(q, queue.Subscription{Topic: topic, Name: name}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		defer func() { all <- struct{}{} }()
		if poison && string(d.Body) != "3" {
			return queue.Dead("poison")
		}
		got = append(got, string(d.Body))
		if d.Attempt != 1 {
			t.Errorf("%q comes back with attempt %d", d.Body, d.Attempt)
		}
		return queue.Ack()
	})
	for range 3 {
		<-all
	}
	for deadline := time.Now().Add(time.Minute); depth(t, q).Dead < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	poison = false
	letters, err := q.Dead(background, topic, name, 0, 10)
	if err != nil || len(letters) != 2 {
		t.Fatalf("dead letters: %+v, %v", letters, err)
	}
	if err := q.Replay(background, letters[1].Sequence); err != nil {
		t.Fatal(err)
	}
	<-all
	if err := q.Drop(background, letters[0].Sequence); err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if err := q.Replay(background, l.Sequence); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("replay of what is gone: %v, want ErrNoLetter", err)
		}
		if err := q.Drop(background, l.Sequence); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("drop of what is gone: %v, want ErrNoLetter", err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"3", "2"}, got); diff != "" {
		t.Error(diff)
	}
	if d := depth(t, q); d != (queue.Depth{}) {
		t.Errorf("in the end: %+v", d)
	}
}

func TestAMessageWhoseIDWaitsIsNotStoredTwice(t *testing.T) {
	q := open(t, t.TempDir(), time.Now)
	defer q.Close()
	m := func(topic, key, id string) queue.Message {
		return queue.Message{Topic: topic, Key: key, ID: id, Body: []byte("x")}
	}
	for range 3 {
		if err := q.Publish(background, m(topic, "k", "window"), m(topic, "k", "other"), m(topic, "l", "window"), m("other", "k", "window"), m(topic, "k", "")); err != nil {
			t.Fatal(err)
		}
	}
	if d := depth(t, q); d.Waiting != 3+3 {
		t.Errorf("%d messages wait: want 3 with an id of their own, and 3 without one", d.Waiting)
	}
}

func TestForgottenBytesAreInNoFile(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, time.Now)
	defer q.Close()
	const secret, bystander = "c0ffee-secret", "c0ffee-bystander"
	for i := range 200 {
		publish(t, q, secret, strings.Repeat(secret+".", 1+i*(i%3)))
		publish(t, q, bystander, strings.Repeat(bystander+".", 1+i*(i%3)))
	}
	seen := make(chan struct{}, 400)
	stop := receive(q, queue.Subscription{Topic: topic, Name: name, Concurrency: 4}, func(_ context.Context, _ queue.Delivery) queue.Verdict {
		defer func() { seen <- struct{}{} }()
		return queue.Dead("poison")
	})
	for range 200 {
		<-seen
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if grep(t, dir, secret) == 0 {
		t.Fatal("the secret is not in the files before: this test would prove nothing")
	}
	if err := q.Forget(background, secret); err != nil {
		t.Fatal(err)
	}
	if n := grep(t, dir, secret); n != 0 {
		t.Errorf("%d copies of the secret are in the files", n)
	}
	if grep(t, dir, bystander) == 0 {
		t.Error("the other key's messages are gone too")
	}
}

func grep(t *testing.T, dir, mark string) (n int) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(content, []byte(mark))
	}
	return n
}

func TestAfterCloseEverythingIsRefused(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	q := open(t, dir, time.Now)
	var inUse *dirlock.InUseError
	if _, err := sqlite.Open(background, dir, nil, time.Now); !errors.As(err, &inUse) {
		t.Errorf("second Open: %v, want an InUseError", err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- q.Receive(background, queue.Subscription{Topic: topic, Name: name}, func(context.Context, queue.Delivery) queue.Verdict { return queue.Ack() })
	}()
	if err := errors.Join(q.Close(), q.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Receive: %v, want ErrClosed", err)
	}
	if err := q.Publish(background, queue.Message{Topic: topic}); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Publish: %v, want ErrClosed", err)
	}
	open(t, dir, time.Now).Close()
}
