package queuetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/queue"
)

func testOrder(t *testing.T, open opener) {
	q := open()
	const n = 200
	for i := range n {
		publish(t, q, message("k", fmt.Sprint(i)))
	}
	r := record(acks)
	receive(t, q, queue.Subscription{Concurrency: 8}, r.handle)
	seen, before, behind := map[string]bool{}, -1, 0
	for len(seen) < n {
		body := string(r.one(t).Body)
		if seen[body] {
			continue
		}
		seen[body] = true
		i, err := strconv.Atoi(body)
		if err != nil {
			t.Fatal(err)
		}
		if i < before {
			behind++
		}
		before = i
	}
	if behind > n/4 {
		t.Errorf("%d of %d messages of one key come behind one that was published later", behind, n)
	}
}

func testConcurrency(t *testing.T, open opener) {
	q := open()
	const hands = 4
	for i := range hands + 1 {
		publish(t, q, message(fmt.Sprintf("key-%d", i), "x"))
	}
	in, let := make(chan string, 100), make(chan struct{})
	receive(t, q, queue.Subscription{Concurrency: hands}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		in <- d.Key
		<-let
		return queue.Ack()
	})
	keys := map[string]bool{}
	for wait := patience; ; wait = 60 * time.Millisecond {
		select {
		case key := <-in:
			keys[key] = true
			if len(keys) < hands {
				continue
			}
		case <-time.After(wait):
			if len(keys) < hands {
				t.Fatalf("%d of %d handlers run at once", len(keys), hands)
			}
			close(let)
			settled(t, q, queue.Depth{})
			return
		}
		if len(keys) > hands {
			t.Fatalf("more than %d handlers run at once", hands)
		}
	}
}

func testTurns(t *testing.T, open opener) {
	q := open()
	const n = 100
	for i := range n {
		publish(t, q, message("much", fmt.Sprint(i)))
	}
	for i := range n {
		publish(t, q, message("much too", fmt.Sprint(i)))
	}
	publish(t, q, message("little", "x"))
	r := record(acks)
	receive(t, q, queue.Subscription{Concurrency: 2}, r.handle)
	for before := 0; r.one(t).Key != "little"; before++ {
		if before > n {
			t.Fatalf("more than %d messages of two other keys come first", n)
		}
	}
	settled(t, q, queue.Depth{})
}

func testNotBefore(t *testing.T, open opener) {
	q := open()
	due := time.Now().Add(300 * time.Millisecond)
	later := message("k", "later")
	later.NotBefore = due
	publish(t, q, later, message("other", "at once"))
	r := record(acks)
	receive(t, q, queue.Subscription{Concurrency: 2}, r.handle)
	for d := r.one(t); string(d.Body) != "later"; d = r.one(t) {
	}
	if time.Now().Before(due) {
		t.Errorf("it came %v before its time", time.Until(due))
	}
	if late := time.Since(due); late > 5*time.Second {
		t.Errorf("it came %v late", late)
	}
}

func testRetry(t *testing.T, open opener) {
	q := open()
	once := message("k", "fails once")
	once.Trace = traceparent
	publish(t, q, once, message("k", "behind it"), message("other", "at once"))
	const delay = 300 * time.Millisecond
	var mu sync.Mutex
	var failed, back time.Time
	r := record(func(d queue.Delivery) queue.Verdict {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case string(d.Body) != "fails once":
		case d.Trace != traceparent:
			t.Errorf("attempt %d has the trace %q", d.Attempt, d.Trace)
		case failed.IsZero():
			failed = time.Now()
			return queue.Retry(delay, "not yet")
		case back.IsZero():
			back = time.Now()
		}
		return queue.Ack()
	})
	receive(t, q, queue.Subscription{}, r.handle)
	settled(t, q, queue.Depth{})
	if waited := back.Sub(failed); waited < delay {
		t.Errorf("it came after %v, want at least %v", waited, delay)
	}
}

// testOutage has one key alone meet an outage: the circuit stays closed.
func testOutage(t *testing.T, open opener) {
	notForEver(t, open, func(n int) queue.Verdict { return queue.Retry(0, fmt.Sprintf("away %d", n)) })
}

func testPostpone(t *testing.T, open opener) {
	notForEver(t, open, func(n int) queue.Verdict { return queue.Postpone(0, fmt.Sprintf("not now %d", n)) })
}

// testFailures has messages fail, and be put off, as often: it is told of those that failed.
func testFailures(t *testing.T, open opener) {
	q := open()
	verdicts := map[string]queue.Verdict{
		"is put off": queue.Postpone(0, "not now"), "fails": queue.Postpone(0, "damaged").Failing(), "is tried again": queue.Retry(0, "away"),
	}
	for body := range verdicts {
		publish(t, q, message(body, body))
	}
	const times = 12
	var mu sync.Mutex
	came, failed := map[string]int{}, map[string]int{}
	r := record(func(d queue.Delivery) queue.Verdict {
		mu.Lock()
		defer mu.Unlock()
		body := string(d.Body)
		if came[body]++; came[body] > times {
			failed[body] = max(failed[body], d.Failed)
			return queue.Ack()
		}
		return verdicts[body]
	})
	receive(t, q, queue.Subscription{}, r.handle)
	settled(t, q, queue.Depth{})
	mu.Lock()
	defer mu.Unlock()
	if failed["is put off"] > times/4 || failed["fails"] < times/2 || failed["is tried again"] < times/2 {
		t.Errorf("after %d times each have failed so often: %v", times, failed)
	}
}

func notForEver(t *testing.T, open opener, verdict func(n int) queue.Verdict) {
	t.Helper()
	q := open()
	publish(t, q, message("k", "waits"), message("k", "behind it"))
	for i := range 10 {
		publish(t, q, message(fmt.Sprint(i), "another's"))
	}
	const most = 40
	var n atomic.Int32
	r := record(func(d queue.Delivery) queue.Verdict {
		if string(d.Body) != "waits" || n.Add(1) > most {
			return queue.Ack()
		}
		return verdict(int(n.Load()))
	})
	receive(t, q, queue.Subscription{MaxAttempts: 3}, r.handle)
	settled(t, q, queue.Depth{})
	if n.Load() <= most {
		t.Errorf("it came %d times", n.Load())
	}
}

func testCircuit(t *testing.T, open opener) {
	q := open()
	const people = 40
	for i := range people {
		publish(t, q, message(fmt.Sprintf("key-%d", i), "x"))
	}
	var away atomic.Bool
	away.Store(true)
	var tried atomic.Int32
	receive(t, q, queue.Subscription{Concurrency: 4}, func(context.Context, queue.Delivery) queue.Verdict {
		if away.Load() {
			tried.Add(1)
			return queue.Retry(0, "away")
		}
		return queue.Ack()
	})
	time.Sleep(500 * time.Millisecond)
	if n := tried.Load(); n > people/2 {
		t.Errorf("half a second of an outage was tried with %d messages of %d people", n, people)
	}
	away.Store(false)
	settled(t, q, queue.Depth{})
}

func letters(t *testing.T, q queue.Driver, after string, limit int) []queue.DeadLetter {
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
	r.all(t, "poison", "behind it")
	settled(t, q, queue.Depth{Dead: 1})
	l := letters(t, q, "", 10)[0]
	if l.Reason != "unreadable" || l.Attempt < 1 || l.Died.Before(l.Published) || string(l.Body) != "poison" {
		t.Errorf("the dead letter is %+v", l)
	}
}

func testPanic(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("k", "panics"), message("l", "exits"), message("m", "panics once"), message("k", "fine"))
	const secret = "a health value"
	var once atomic.Bool
	r := record(func(d queue.Delivery) queue.Verdict {
		switch string(d.Body) {
		case "panics":
			panic(secret)
		case "exits":
			runtime.Goexit()
		case "panics once":
			if once.CompareAndSwap(false, true) {
				panic(secret)
			}
		}
		return queue.Ack()
	})
	receive(t, q, queue.Subscription{MaxAttempts: 2}, r.handle)
	settled(t, q, queue.Depth{Dead: 2})
	r.all(t, "fine", "panics once")
	for _, l := range letters(t, q, "", 10) {
		if want := map[string]string{"panics": "panicked", "exits": "ended"}[string(l.Body)]; want == "" || !strings.Contains(l.Reason, want) || l.Attempt < 2 {
			t.Errorf("the dead letter is %+v", l)
		}
		if strings.Contains(l.Reason, secret) {
			t.Errorf("the reason holds the panic's value: %q", l.Reason)
		}
	}
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
	died(t, q, topic, name, n)
	stop()
	var got []string
	after := ""
	for {
		page := letters(t, q, after, 3)
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			after = l.ID
			got = append(got, string(l.Body))
		}
	}
	slices.Sort(got) // they died in about the order of publication, some of them twice
	got = slices.Compact(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func testReplayAndDrop(t *testing.T, open opener) {
	q, ctx := open(), context.Background()
	first, second := message("k", "replayed"), message("k", "dropped")
	first.Trace, second.Trace = traceparent, traceparent
	publish(t, q, first, second)
	stop := receive(t, q, queue.Subscription{}, func(context.Context, queue.Delivery) queue.Verdict { return queue.Dead("poison") })
	settled(t, q, queue.Depth{Dead: 2})
	stop()
	dead := letters(t, q, "", 10)
	if err := errors.Join(q.Replay(ctx, dead[0].ID), q.Drop(ctx, dead[1].ID)); err != nil {
		t.Fatal(err)
	}
	for _, l := range dead {
		if l.Trace != traceparent {
			t.Errorf("a dead letter has the trace %q", l.Trace)
		}
		if err := q.Replay(ctx, l.ID); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("replay of what is gone: %v, want ErrNoLetter", err)
		}
		if err := q.Drop(ctx, l.ID); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("drop of what is gone: %v, want ErrNoLetter", err)
		}
	}
	r := record(func(d queue.Delivery) queue.Verdict {
		if d.Trace != traceparent {
			t.Errorf("what is replayed has the trace %q", d.Trace)
		}
		return queue.Ack()
	})
	receive(t, q, queue.Subscription{}, r.handle)
	r.all(t, string(dead[0].Body))
	settled(t, q, queue.Depth{})
}

func testDeadOutlive(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("a", "poison"))
	stop := receive(t, q, queue.Subscription{}, func(context.Context, queue.Delivery) queue.Verdict { return queue.Dead("unreadable") })
	settled(t, q, queue.Depth{Dead: 1})
	stop()
	q = open()
	if ls := letters(t, q, "", 10); len(ls) != 1 || string(ls[0].Body) != "poison" || ls[0].Reason != "unreadable" {
		t.Errorf("after opening again the dead letters are %+v", ls)
	}
	settled(t, q, queue.Depth{Dead: 1})
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
	settled(t, q, queue.Depth{}) // an ack on a lost lease would change nothing
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
