package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	letters, err := q.Dead(background, topic, name, "", 10)
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
	letters, err := q.Dead(background, topic, name, "", 10)
	if err != nil || len(letters) != 2 {
		t.Fatalf("dead letters: %+v, %v", letters, err)
	}
	if err := q.Replay(background, letters[1].ID); err != nil {
		t.Fatal(err)
	}
	<-all
	if err := q.Drop(background, letters[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if err := q.Replay(background, l.ID); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("replay of what is gone: %v, want ErrNoLetter", err)
		}
		if err := q.Drop(background, l.ID); !errors.Is(err, queue.ErrNoLetter) {
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

// What the driver keeps beyond the contract: one at a time and in order, a verdict
// before the next.
func TestAKeyIsInOneHandAndInOrder(t *testing.T) {
	q := open(t, t.TempDir(), time.Now)
	defer q.Close()
	const n = 40
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		publish(t, q, "k", fmt.Sprint(i))
	}
	var inHand atomic.Int32
	var got []string
	all := make(chan struct{})
	stop := receive(q, queue.Subscription{Topic: topic, Name: name, Concurrency: 8}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if inHand.Add(1) > 1 {
			t.Error("two messages of one key are in hand at once")
		}
		defer inHand.Add(-1)
		if got = append(got, string(d.Body)); len(got) == n {
			close(all)
		}
		return queue.Ack()
	})
	<-all
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-published +delivered):\n%s", diff)
	}
}

// A message that waits does not hold up what is behind it.
func TestAMessageThatWaitsIsOvertaken(t *testing.T) {
	for name, verdict := range map[string]queue.Verdict{"retry": queue.Retry(time.Hour, "away"), "postpone": queue.Postpone(time.Hour, "newer")} {
		t.Run(name, func(t *testing.T) {
			now := &clock{now: time.Now()}
			q := open(t, t.TempDir(), now.Now)
			defer q.Close()
			for _, body := range []string{"waits", "1", "2"} {
				publish(t, q, "k", body)
			}
			got := make(chan string, 10)
			stop := receive(q, queue.Subscription{Topic: topic, Name: "intake"}, func(_ context.Context, d queue.Delivery) queue.Verdict {
				got <- string(d.Body)
				if d.Attempt == 1 && string(d.Body) == "waits" {
					return verdict
				}
				return queue.Ack()
			})
			for _, want := range []string{"waits", "1", "2"} {
				if body := <-got; body != want {
					t.Errorf("%q comes, want %q", body, want)
				}
			}
			publish(t, q, "k", "published later")
			if body := <-got; body != "published later" {
				t.Errorf("%q comes, want what is not held up", body)
			}
			now.Advance(time.Hour)
			publish(t, q, "other", "wakes the receiver")
			if a, b := <-got, <-got; a != "waits" && b != "waits" {
				t.Errorf("an hour later come %q and %q", a, b)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A clock that was ahead holds up nothing once it is right: neither what was
// published by it nor what was put off.
func TestAClockThatWasAheadHoldsUpNothing(t *testing.T) {
	for _, opened := range []bool{true, false} {
		t.Run(fmt.Sprintf("opened anew %v", opened), func(t *testing.T) {
			dir, now := t.TempDir(), &clock{now: time.Now()}
			q := open(t, dir, now.Now)
			defer func() { q.Close() }()
			now.Advance(24 * time.Hour)
			publish(t, q, "k", "published ahead")
			late := queue.Message{Topic: topic, Key: "l", Body: []byte("in an hour"), NotBefore: now.Now().Add(2 * time.Hour)}
			if err := q.Publish(background, late); err != nil {
				t.Fatal(err)
			}
			stop := receive(q, queue.Subscription{Topic: topic, Name: name}, func(context.Context, queue.Delivery) queue.Verdict {
				return queue.Retry(0, "away")
			})
			for deadline := time.Now().Add(time.Minute); depth(t, q).Leased == 0 && time.Now().Before(deadline); {
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			now.Advance(-24 * time.Hour)
			if opened {
				if err := q.Close(); err != nil {
					t.Fatal(err)
				}
				q = open(t, dir, now.Now)
			}
			publish(t, q, "k", "published right")
			got := make(chan string, 4)
			stop = receive(q, queue.Subscription{Topic: topic, Name: name}, func(_ context.Context, d queue.Delivery) queue.Verdict {
				got <- string(d.Body)
				return queue.Ack()
			})
			come := func(want ...string) {
				t.Helper()
				for range want {
					select {
					case body := <-got:
						if !slices.Contains(want, body) {
							t.Errorf("%q comes, want one of %q", body, want)
						}
					case <-time.After(10 * time.Second):
						t.Fatalf("not all of %q come", want)
					}
				}
			}
			come("published ahead", "published right")
			now.Advance(queue.MaxDelay + time.Second) // and no more: two hours were asked for
			publish(t, q, "k", "wakes the receiver")
			come("in an hour", "wakes the receiver")
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Of the messages that a process died with, each is tried alone, so that what
// did not do it is not counted with what did.
func TestAfterADeathEachSuspectIsAlone(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, time.Now)
	for _, key := range []string{"a", "b", "c"} {
		publish(t, q, key, key)
	}
	in, let := make(chan struct{}, 3), make(chan struct{})
	stop := receive(q, queue.Subscription{Topic: topic, Name: name, Concurrency: 3}, func(context.Context, queue.Delivery) queue.Verdict {
		in <- struct{}{}
		<-let
		return queue.Ack()
	})
	for range 3 {
		<-in
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	close(let)
	_ = stop() // the database is closed
	q = open(t, dir, time.Now)
	defer q.Close()
	publish(t, q, "d", "innocent")
	var inHand atomic.Int32
	stop = receive(q, queue.Subscription{Topic: topic, Name: name, Concurrency: 3}, func(context.Context, queue.Delivery) queue.Verdict {
		if inHand.Add(1) > 1 {
			t.Error("two are in hand")
		}
		time.Sleep(10 * time.Millisecond)
		inHand.Add(-1)
		return queue.Ack()
	})
	for deadline := time.Now().Add(time.Minute); depth(t, q) != (queue.Depth{}) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if d := depth(t, q); d != (queue.Depth{}) {
		t.Errorf("in the end: %+v", d)
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
