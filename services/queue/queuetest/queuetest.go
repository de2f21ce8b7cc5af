// Package queuetest is the suite every queue.Queue passes.
package queuetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarity-loop/clarity/services/queue"
)

// An Opener opens the driver over one place for these consumers. Called again it
// closes the former driver and opens the same place anew.
type Opener func(queue.Consumers) queue.Queue

// opener is an Opener for Consumers.
type opener func() queue.Queue

// Run tests a driver against the contract. fresh returns the opener of a place
// that is empty; what it opened is closed when the test ends.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open opener)
	}{
		{"a message comes as it was published, once, and is gone when acked", testRoundTrip},
		{"a message published before the queue is opened again is delivered", testDurable},
		{"messages of one publish are stored all or none", testAllOrNone},
		{"a topic's messages go to its own receivers", testTopics},
		{"two consumers of a topic each get every message", testConsumers},
		{"two receives of a subscription share its messages", testCompetingReceives},
		{"each consumer has its own attempts, retries and dead letters", testConsumersApart},
		{"a dead letter is replayed or dropped once", testReplayAndDrop},
		{"a subscription that is not on the list is refused", testNoSubscription},
		{"messages of one key are handled one at a time, in order", testOrder},
		{"messages of different keys are handled concurrently", testConcurrency},
		{"a message is not delivered before its time, and its key waits with it", testNotBefore},
		{"a message of the same ID that was delivered before drops nothing", testDebounce},
		{"a retry comes back after its delay, and holds its key", testRetry},
		{"a message that came to its last attempt is dead, with the last reason", testMaxAttempts},
		{"a verdict of Dead lets the key go on", testDead},
		{"a handler that panics or ends its goroutine counts as a retry", testPanic},
		{"dead letters are listed oldest first, a page at a time", testDeadPages},
		{"dead letters and attempts outlive the queue", testAttemptsOutlive},
		{"a lease is extended while its handler runs", testExtension},
		{"a verdict is durable before the next of its key is delivered", testVerdictDurable},
		{"the depth tells waiting, leased and dead", testDepth},
		{"forgetting a key removes it everywhere, and no other", testForget},
		{"a verdict on a forgotten message changes nothing", testForgetInHand},
		{"handlers outlive the end of Receive by its drain", testDrain},
		{"errors are faults of the room and name no person", testFaults},
		{"many publishers and receivers lose nothing", testMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			c.test(t, func() queue.Queue { return open(Consumers()) })
		})
	}
	t.Run("what is kept of a consumer that is taken off the list is unclaimed", func(t *testing.T) { testUnclaimed(t, fresh(t)) })
}

const (
	topic = "uploads"
	name  = "intake"
)

// Consumers are those that the driver under test is opened with, but where it is
// said otherwise.
func Consumers() queue.Consumers {
	return queue.Consumers{topic: {name}, "a": {name}, "b": {name}, "other": {name}, "shared": {"one", "two"}}
}

// patience is how long anything may take that ought to happen at once.
const patience = 10 * time.Second

func publish(t *testing.T, q queue.Queue, msgs ...queue.Message) {
	t.Helper()
	if err := q.Publish(context.Background(), msgs...); err != nil {
		t.Fatal(err)
	}
}

func message(key, body string) queue.Message {
	return queue.Message{Topic: topic, Key: key, Body: []byte(body)}
}

// receive runs Receive until the function returned is called, which waits for it.
func receive(t *testing.T, q queue.Queue, sub queue.Subscription, h queue.Handler) (stop func()) {
	t.Helper()
	sub.Topic = cmp.Or(sub.Topic, topic)
	sub.Name = cmp.Or(sub.Name, name)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Receive(ctx, sub, h) }()
	stop = sync.OnceFunc(func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Receive: %v, want nil", err)
			}
		case <-time.After(patience):
			t.Error("Receive does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// recorder is a handler that tells what it was given.
type recorder struct {
	got     chan queue.Delivery
	verdict func(queue.Delivery) queue.Verdict
}

func record(verdict func(queue.Delivery) queue.Verdict) *recorder {
	return &recorder{make(chan queue.Delivery, 10_000), verdict}
}

func acks(queue.Delivery) queue.Verdict { return queue.Ack() }

func (r *recorder) handle(_ context.Context, d queue.Delivery) queue.Verdict {
	v := r.verdict(d)
	r.got <- d
	return v
}

// next waits for n deliveries and returns their bodies.
func (r *recorder) next(t *testing.T, n int) []string {
	t.Helper()
	var bodies []string
	for range n {
		bodies = append(bodies, string(r.one(t).Body))
	}
	return bodies
}

func (r *recorder) one(t *testing.T) queue.Delivery {
	t.Helper()
	select {
	case d := <-r.got:
		return d
	case <-time.After(patience):
		t.Fatal("no delivery")
		panic("unreachable")
	}
}

// none makes sure that nothing more comes for a while.
func (r *recorder) none(t *testing.T) {
	t.Helper()
	select {
	case d := <-r.got:
		t.Fatalf("%q of key %s is delivered, attempt %d; want nothing", d.Body, d.Key, d.Attempt)
	case <-time.After(60 * time.Millisecond):
	}
}

// settled waits until the topic has the depth.
func settled(t *testing.T, q queue.Queue, want queue.Depth) {
	t.Helper()
	settledOf(t, q, topic, name, want)
}

// settledOf waits until the subscription has the depth.
func settledOf(t *testing.T, q queue.Queue, topic, name string, want queue.Depth) {
	t.Helper()
	var got queue.Depth
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		var err error
		if got, err = q.Depth(context.Background(), topic, name); err != nil {
			t.Fatal(err)
		}
		if got == want {
			return
		}
	}
	t.Fatalf("depth of %s for %s: %+v, want %+v", topic, name, got, want)
}

func testRoundTrip(t *testing.T, open opener) {
	q := open()
	before := time.Now()
	want := []queue.Message{
		{Topic: topic, Key: "k", ID: "id", Body: []byte("body")},
		{Topic: topic, Key: "k", Body: []byte{}},
		{Topic: topic, Key: "k", Body: bytes.Repeat([]byte{0xff, 0, '\''}, 64<<10/3)},
		{Topic: topic, Key: "k", Body: []byte("late"), NotBefore: before.Add(20 * time.Millisecond).UTC().Round(0)},
	}
	publish(t, q, want...)
	r := record(acks)
	stop := receive(t, q, queue.Subscription{}, r.handle)
	for i, m := range want {
		d := r.one(t)
		if diff := gocmp.Diff(m, d.Message, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("message %d (-published +delivered):\n%s", i, diff)
		}
		if d.Attempt != 1 {
			t.Errorf("message %d came with attempt %d, want 1", i, d.Attempt)
		}
		if d.Published.Before(before.Add(-time.Second)) || d.Published.After(time.Now().Add(time.Second)) {
			t.Errorf("message %d was published at %v, now is %v", i, d.Published, before)
		}
	}
	settled(t, q, queue.Depth{})
	stop()
	again := record(acks)
	receive(t, open(), queue.Subscription{}, again.handle)
	again.none(t)
}

func testDurable(t *testing.T, open opener) {
	publish(t, open(), message("a", "1"), message("a", "2"), message("b", "3"))
	r := record(acks)
	q := open()
	receive(t, q, queue.Subscription{}, r.handle)
	if diff := gocmp.Diff([]string{"1", "2", "3"}, r.next(t, 3)); diff != "" {
		t.Error(diff)
	}
}

func testAllOrNone(t *testing.T, open opener) {
	q := open()
	huge := message("k", "")
	huge.Body = make([]byte, 64<<10+1)
	if err := q.Publish(context.Background(), message("k", "small"), huge); err == nil {
		t.Error("a body over 64 KiB is accepted")
	}
	if err := q.Publish(context.Background(), message("k", "small"), queue.Message{Key: "k"}); err == nil {
		t.Error("a message without a topic is accepted")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := q.Publish(ctx, message("k", "small")); !errors.Is(err, context.Canceled) {
		t.Errorf("publish with a context that has ended: %v", err)
	}
	if err := q.Publish(context.Background()); err != nil {
		t.Errorf("publish of nothing: %v", err)
	}
	settled(t, q, queue.Depth{})
}

func testTopics(t *testing.T, open opener) {
	q := open()
	a, b := record(acks), record(acks)
	receive(t, q, queue.Subscription{Topic: "a"}, a.handle)
	receive(t, q, queue.Subscription{Topic: "b"}, b.handle)
	publish(t, q, queue.Message{Topic: "a", Key: "k", Body: []byte("for a")}, queue.Message{Topic: "b", Key: "k", Body: []byte("for b")})
	if got := a.one(t); got.Topic != "a" || string(got.Body) != "for a" {
		t.Errorf("a gets %q of %s", got.Body, got.Topic)
	}
	if got := b.one(t); got.Topic != "b" || string(got.Body) != "for b" {
		t.Errorf("b gets %q of %s", got.Body, got.Topic)
	}
	a.none(t)
	b.none(t)
}

func testDepth(t *testing.T, open opener) {
	q := open()
	settled(t, q, queue.Depth{})
	publish(t, q, message("a", "1"), message("a", "2"), message("b", "dies"))
	settled(t, q, queue.Depth{Waiting: 3})
	let := make(chan struct{})
	receive(t, q, queue.Subscription{Concurrency: 4}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if string(d.Body) == "dies" {
			return queue.Dead("poison")
		}
		<-let
		return queue.Ack()
	})
	settled(t, q, queue.Depth{Waiting: 1, Leased: 1, Dead: 1})
	close(let)
	settled(t, q, queue.Depth{Dead: 1})
	if d, err := q.Depth(context.Background(), "other", name); err != nil || d != (queue.Depth{}) {
		t.Errorf("another topic has %+v, %v", d, err)
	}
}

func testForget(t *testing.T, open opener) {
	q := open()
	ctx := context.Background()
	for _, topic := range []string{topic, "other"} {
		for _, key := range []string{"u1", "u1/day", "u10", "u", "u1-", "U1"} {
			publish(t, q, queue.Message{Topic: topic, Key: key, Body: []byte("dies")}, queue.Message{Topic: topic, Key: key, Body: []byte("stays")})
		}
	}
	dies := func(d queue.Delivery) queue.Verdict {
		if string(d.Body) == "dies" {
			return queue.Dead("poison")
		}
		return queue.Retry(time.Hour, "later")
	}
	for _, topic := range []string{topic, "other"} {
		r := record(dies)
		stop := receive(t, q, queue.Subscription{Topic: topic, Concurrency: 3}, r.handle)
		r.next(t, 12)
		stop()
	}
	for range 2 { // it can be repeated
		if err := q.Forget(ctx, "u1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{topic, "other"} {
		if d, err := q.Depth(ctx, topic, name); err != nil || d != (queue.Depth{Waiting: 4, Dead: 4}) {
			t.Errorf("%s: %+v, %v; want 4 waiting, 4 dead", topic, d, err)
		}
		letters, err := q.Dead(ctx, topic, name, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			if l.Key == "u1" || l.Key == "u1/day" {
				t.Errorf("%s: a dead letter of key %s is left", topic, l.Key)
			}
		}
	}
}

func testForgetInHand(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("u1", "in hand"), message("u1", "behind"))
	in, let := make(chan struct{}), make(chan struct{})
	stop := receive(t, q, queue.Subscription{}, func(context.Context, queue.Delivery) queue.Verdict {
		close(in)
		<-let
		return queue.Dead("poison")
	})
	<-in
	if err := q.Forget(context.Background(), "u1"); err != nil {
		t.Fatal(err)
	}
	close(let)
	stop()
	settled(t, q, queue.Depth{})
}

func testMany(t *testing.T, open opener) {
	q := open()
	const publishers, each, keys = 4, 50, 10
	var mu sync.Mutex
	seen, inHand := map[string]int{}, map[string]bool{}
	h := func(_ context.Context, d queue.Delivery) queue.Verdict {
		mu.Lock()
		if inHand[d.Key] {
			t.Errorf("two messages of key %s are in hand at once", d.Key)
		}
		inHand[d.Key] = true
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			inHand[d.Key] = false
		}()
		if d.Attempt == 1 && d.Body[len(d.Body)-1] == '7' {
			return queue.Retry(time.Millisecond, "not yet")
		}
		mu.Lock()
		defer mu.Unlock()
		seen[string(d.Body)]++
		return queue.Ack()
	}
	for range 2 {
		receive(t, q, queue.Subscription{Concurrency: 4}, h)
	}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				m := message(fmt.Sprintf("key-%d", i%keys), fmt.Sprintf("%d-%d", p, i))
				if err := q.Publish(context.Background(), m); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	settled(t, q, queue.Depth{})
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != publishers*each {
		t.Errorf("%d messages are acked, %d were published", len(seen), publishers*each)
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%s is acked %d times", body, n)
		}
	}
}
