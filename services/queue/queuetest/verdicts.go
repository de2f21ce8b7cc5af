package queuetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/queue"
)

func testOrder(t *testing.T, open opener) {
	q := open()
	const n = 40
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		publish(t, q, message("k", fmt.Sprint(i)))
	}
	var mu sync.Mutex
	inHand := 0
	r := record(func(queue.Delivery) queue.Verdict {
		mu.Lock()
		inHand++
		if inHand > 1 {
			t.Error("two messages of one key are in hand at once")
		}
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		inHand--
		mu.Unlock()
		return queue.Ack()
	})
	receive(t, q, queue.Subscription{Concurrency: 8}, r.handle)
	if diff := cmp.Diff(want, r.next(t, n)); diff != "" {
		t.Errorf("order (-published +delivered):\n%s", diff)
	}
}

func testConcurrency(t *testing.T, open opener) {
	q := open()
	const hands = 4
	for i := range hands + 1 {
		publish(t, q, message(fmt.Sprintf("key-%d", i), "x"))
	}
	in, let := make(chan string, hands+1), make(chan struct{})
	receive(t, q, queue.Subscription{Concurrency: hands}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		in <- d.Key
		<-let
		return queue.Ack()
	})
	for range hands {
		select {
		case <-in:
		case <-time.After(patience):
			t.Fatalf("fewer than %d handlers run at once", hands)
		}
	}
	select {
	case <-in:
		t.Errorf("more than %d handlers run at once", hands)
	case <-time.After(60 * time.Millisecond):
	}
	close(let)
	settled(t, q, queue.Depth{})
}

func testNotBefore(t *testing.T, open opener) {
	q := open()
	due := time.Now().Add(300 * time.Millisecond)
	later := message("k", "later")
	later.NotBefore = due
	publish(t, q, later, message("k", "behind it"), message("other", "at once"))
	r := record(acks)
	receive(t, q, queue.Subscription{Concurrency: 2}, r.handle)
	if got := r.next(t, 1); got[0] != "at once" {
		t.Errorf("first comes %q", got[0])
	}
	if got := r.next(t, 1); got[0] != "later" || time.Now().Before(due) {
		t.Errorf("%q came %v before its time", got[0], time.Until(due))
	}
	if late := time.Since(due); late > 2*time.Second {
		t.Errorf("it came %v late", late)
	}
	if got := r.next(t, 1); got[0] != "behind it" {
		t.Errorf("last comes %q", got[0])
	}
}

func testDebounce(t *testing.T, open opener) {
	q := open()
	m := message("k", "1")
	m.ID = "window"
	publish(t, q, m)
	in, let := make(chan string), make(chan struct{})
	receive(t, q, queue.Subscription{}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		in <- string(d.Body)
		<-let
		return queue.Ack()
	})
	if got := <-in; got != "1" {
		t.Fatalf("first comes %q", got)
	}
	// The first is in a handler's hands: what it read may be old already.
	m.Body = []byte("2")
	publish(t, q, m)
	close(let)
	select {
	case got := <-in:
		if got != "2" {
			t.Errorf("then comes %q", got)
		}
	case <-time.After(patience):
		t.Error("a message was dropped for one that had been delivered")
	}
}

func testRetry(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("k", "fails once"), message("k", "behind it"), message("other", "at once"))
	const delay = 300 * time.Millisecond
	var failed time.Time
	r := record(func(d queue.Delivery) queue.Verdict {
		if string(d.Body) == "fails once" && d.Attempt == 1 {
			failed = time.Now()
			return queue.Retry(delay, "not yet")
		}
		return queue.Ack()
	})
	receive(t, q, queue.Subscription{}, r.handle)
	if diff := cmp.Diff([]string{"fails once", "at once"}, r.next(t, 2)); diff != "" {
		t.Error(diff)
	}
	d := r.one(t)
	if string(d.Body) != "fails once" || d.Attempt != 2 {
		t.Errorf("then comes %q, attempt %d: the retry does not hold its key", d.Body, d.Attempt)
	}
	if waited := time.Since(failed); waited < delay {
		t.Errorf("it came after %v, want at least %v", waited, delay)
	}
	if got := r.next(t, 1); got[0] != "behind it" {
		t.Errorf("last comes %q", got[0])
	}
	settled(t, q, queue.Depth{})
}

func testMaxAttempts(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("k", "never"), message("k", "behind it"))
	r := record(func(d queue.Delivery) queue.Verdict {
		if string(d.Body) == "never" {
			return queue.Retry(0, fmt.Sprintf("reason %d", d.Attempt))
		}
		return queue.Ack()
	})
	receive(t, q, queue.Subscription{MaxAttempts: 3}, r.handle)
	if diff := cmp.Diff([]string{"never", "never", "never", "behind it"}, r.next(t, 4)); diff != "" {
		t.Error(diff)
	}
	settled(t, q, queue.Depth{Dead: 1})
	l := letters(t, q, 0, 10)[0]
	if l.Reason != "reason 3" || l.Attempt != 3 || string(l.Body) != "never" || l.Key != "k" || l.Died.Before(l.Published) {
		t.Errorf("the dead letter is %+v", l)
	}
}

func letters(t *testing.T, q queue.Queue, after int64, limit int) []queue.DeadLetter {
	t.Helper()
	ls, err := q.Dead(context.Background(), topic, name, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

func testDead(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("k", "poison"), message("k", "behind it"))
	r := record(func(d queue.Delivery) queue.Verdict {
		if string(d.Body) == "poison" {
			return queue.Dead("unreadable")
		}
		return queue.Ack()
	})
	receive(t, q, queue.Subscription{}, r.handle)
	if diff := cmp.Diff([]string{"poison", "behind it"}, r.next(t, 2)); diff != "" {
		t.Error(diff)
	}
	settled(t, q, queue.Depth{Dead: 1})
	l := letters(t, q, 0, 10)[0]
	if l.Reason != "unreadable" || l.Attempt != 1 || string(l.Body) != "poison" {
		t.Errorf("the dead letter is %+v", l)
	}
}

func testPanic(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("k", "panics"), message("k", "exits"), message("k", "fine"))
	const secret = "a health value"
	r := record(func(d queue.Delivery) queue.Verdict {
		switch {
		case d.Attempt > 2:
			return queue.Ack()
		case string(d.Body) == "panics":
			panic(secret)
		case string(d.Body) == "exits" && d.Attempt == 1:
			runtime.Goexit()
		}
		return queue.Ack()
	})
	stop := receive(t, q, queue.Subscription{MaxAttempts: 2}, r.handle)
	if diff := cmp.Diff([]string{"exits", "fine"}, r.next(t, 2)); diff != "" {
		t.Error(diff)
	}
	settled(t, q, queue.Depth{Dead: 1})
	l := letters(t, q, 0, 10)[0]
	if string(l.Body) != "panics" || l.Attempt != 2 || !strings.Contains(l.Reason, "panicked") {
		t.Errorf("the dead letter is %+v", l)
	}
	if strings.Contains(l.Reason, secret) {
		t.Errorf("the reason holds the panic's value: %q", l.Reason)
	}
	stop()
}

func testDeadPages(t *testing.T, open opener) {
	q := open()
	const n = 7
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		publish(t, q, message("k", fmt.Sprint(i)))
	}
	stop := receive(t, q, queue.Subscription{}, func(context.Context, queue.Delivery) queue.Verdict { return queue.Dead("x") })
	settled(t, q, queue.Depth{Dead: n})
	stop()
	var got []string
	var after int64
	for {
		page := letters(t, q, after, 3)
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			if l.Sequence <= after {
				t.Fatalf("sequence %d comes after %d", l.Sequence, after)
			}
			after = l.Sequence
			got = append(got, string(l.Body))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func testReplayAndDrop(t *testing.T, open opener) {
	q, ctx := open(), context.Background()
	publish(t, q, message("k", "replayed"), message("k", "dropped"))
	stop := receive(t, q, queue.Subscription{}, func(context.Context, queue.Delivery) queue.Verdict { return queue.Dead("poison") })
	settled(t, q, queue.Depth{Dead: 2})
	stop()
	dead := letters(t, q, 0, 10)
	if err := errors.Join(q.Replay(ctx, dead[0].Sequence), q.Drop(ctx, dead[1].Sequence)); err != nil {
		t.Fatal(err)
	}
	for _, l := range dead {
		if err := q.Replay(ctx, l.Sequence); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("replay of what is gone: %v, want ErrNoLetter", err)
		}
		if err := q.Drop(ctx, l.Sequence); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("drop of what is gone: %v, want ErrNoLetter", err)
		}
	}
	r := record(acks)
	receive(t, q, queue.Subscription{}, r.handle)
	if d := r.one(t); string(d.Body) != "replayed" || d.Attempt != 1 {
		t.Errorf("%q comes back, attempt %d", d.Body, d.Attempt)
	}
	settled(t, q, queue.Depth{})
}

func testAttemptsOutlive(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("a", "poison"), message("b", "fails"))
	r := record(func(d queue.Delivery) queue.Verdict {
		if string(d.Body) == "poison" {
			return queue.Dead("unreadable")
		}
		return queue.Retry(100*time.Millisecond, "again")
	})
	for attempt := 1; attempt <= 3; attempt++ {
		stop := receive(t, q, queue.Subscription{MaxAttempts: 3}, r.handle)
		d := r.one(t)
		if string(d.Body) == "poison" {
			d = r.one(t)
		}
		stop()
		if d.Attempt != attempt {
			t.Fatalf("attempt %d is told as %d", attempt, d.Attempt)
		}
		q = open()
	}
	ls := letters(t, q, 0, 10)
	if len(ls) != 2 || string(ls[0].Body) != "poison" || ls[0].Reason != "unreadable" || string(ls[1].Body) != "fails" || ls[1].Attempt != 3 {
		t.Errorf("after opening again the dead letters are %+v", ls)
	}
	settled(t, q, queue.Depth{Dead: 2})
}

func testExtension(t *testing.T, open opener) {
	const lease = time.Second // a machine that is busy stops a process for tenths of one, and that loses no lease
	q := open()
	publish(t, q, message("k", "slow"))
	r := record(func(queue.Delivery) queue.Verdict {
		time.Sleep(lease * 5 / 2) // extending it once is not enough
		return queue.Ack()
	})
	for range 2 { // the second would take what the first lost
		receive(t, q, queue.Subscription{Concurrency: 2, Lease: lease}, r.handle)
	}
	if d := r.one(t); d.Attempt != 1 {
		t.Errorf("attempt %d", d.Attempt)
	}
	settled(t, q, queue.Depth{})
	r.none(t)
}

func testVerdictDurable(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("k", "1"), message("k", "2"))
	second := make(chan struct{})
	hold := make(chan struct{})
	stop := receive(t, q, queue.Subscription{}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if string(d.Body) == "2" {
			close(second)
			<-hold
			return queue.Retry(0, "held")
		}
		return queue.Ack()
	})
	<-second
	close(hold)
	stop()
	r := record(acks)
	receive(t, open(), queue.Subscription{}, r.handle)
	if d := r.one(t); string(d.Body) != "2" {
		t.Errorf("%q comes again after the next of its key was delivered", d.Body)
	}
	r.none(t)
}

func testDrain(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("a", "quick"), message("b", "slow"))
	const drain = 300 * time.Millisecond
	started := make(chan struct{}, 2)
	ended := make(chan string, 2)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- q.Receive(ctx, queue.Subscription{Topic: topic, Name: name, Concurrency: 2, Drain: drain}, func(hctx context.Context, d queue.Delivery) queue.Verdict {
			started <- struct{}{}
			<-ctx.Done()
			if string(d.Body) == "quick" {
				if hctx.Err() != nil {
					t.Error("a handler's context ends with Receive's")
				}
				return queue.Ack()
			}
			<-hctx.Done()
			ended <- string(d.Body)
			return queue.Retry(0, "interrupted")
		})
	}()
	<-started
	<-started
	cancelled := time.Now()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Receive: %v, want nil", err)
		}
	case <-time.After(patience):
		t.Fatal("Receive does not end")
	}
	if waited := time.Since(cancelled); waited < drain {
		t.Errorf("handlers were given %v, want %v", waited, drain)
	}
	if len(ended) != 1 {
		t.Error("Receive has returned while a handler runs")
	}
	settled(t, q, queue.Depth{Waiting: 1}) // the quick one's ack counts
}
