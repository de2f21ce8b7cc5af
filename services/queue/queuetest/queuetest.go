// Package queuetest is the suite every queue.Driver passes. It proves
// the words of the contract and no more: a driver that is as bad as they allow, like
// Hostile, passes it, too.
package queuetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarity-loop/clarity/services/queue"
)

// An Opener opens the driver over one place for these consumers. Called again it
// closes the former driver and opens the same place anew.
type Opener func(queue.Consumers) queue.Driver

// opener is an Opener for Consumers.
type opener func() queue.Driver

// Run tests a driver against the contract. fresh returns the opener of a place
// that is empty; what it opened is closed when the test ends.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open opener)
	}{
		{"a message comes as it was published, and is gone when acked", testRoundTrip},
		{"a message published before the queue is opened again is delivered", testDurable},
		{"what is illegal is refused", testRefused},
		{"a topic's messages go to its own receivers", testTopics},
		{"two consumers of a topic each get every message", testConsumers},
		{"two receives of a subscription share its messages", testCompetingReceives},
		{"each consumer has its own attempts, retries and dead letters", testConsumersApart},
		{"a dead letter is replayed or dropped once", testReplayAndDrop},
		{"a subscription that is not on the list is refused", testNoSubscription},
		{"messages of one key are handled mostly in order", testOrder},
		{"messages of different keys are handled concurrently", testConcurrency},
		{"no key waits for all that another has", testTurns},
		{"a message is not delivered before its time", testNotBefore},
		{"a retry comes back after its delay, and may be overtaken", testRetry},
		{"no number of retries makes a dead letter", testOutage},
		{"no number of postponements makes a dead letter, nor holds up others", testPostpone},
		{"what is put off did not fail, and what failed is counted", testFailures},
		{"where several keys meet an outage one message probes", testCircuit},
		{"a verdict of Dead lets the key go on", testDead},
		{"a handler that panics or ends its goroutine again and again makes a dead letter", testPanic},
		{"dead letters are listed oldest first, a page at a time", testDeadPages},
		{"dead letters outlive the queue", testDeadOutlive},
		{"a lease is extended while its handler runs", testExtension},
		{"the depth tells waiting, leased and dead", testDepth},
		{"the driver is ready", testReady},
		{"forgetting a key removes it everywhere, and no other", testForget},
		{"what is forgotten in a handler's hand leaves nothing", testForgetInHand},
		{"handlers outlive the end of Receive by its drain", testDrain},
		{"errors are faults of the room and name no person", testFaults},
		{"many publishers and receivers lose nothing", testMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			c.test(t, func() queue.Driver { return open(Consumers()) })
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

func publish(t *testing.T, q queue.Driver, msgs ...queue.Message) {
	t.Helper()
	if err := q.Publish(context.Background(), msgs...); err != nil {
		t.Fatal(err)
	}
}

// traceparent is a trace that a message has.
const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func message(key, body string) queue.Message {
	return queue.Message{Topic: topic, Key: key, Body: []byte(body)}
}

// receive runs Receive until the function returned is called, which waits for it.
func receive(t *testing.T, q queue.Driver, sub queue.Subscription, h queue.Handler) (stop func()) {
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

// all waits until each of the bodies has come, in whatever order, and no other.
func (r *recorder) all(t *testing.T, bodies ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, b := range bodies {
		missing[b] = true
	}
	for len(missing) > 0 {
		b := string(r.one(t).Body)
		if !slices.Contains(bodies, b) {
			t.Errorf("%q is delivered, which is not of %q", b, bodies)
		}
		delete(missing, b)
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
func settled(t *testing.T, q queue.Driver, want queue.Depth) {
	t.Helper()
	settledOf(t, q, topic, name, want)
}

// settledOf waits until the subscription has the depth.
func settledOf(t *testing.T, q queue.Driver, topic, name string, want queue.Depth) {
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

// died waits until the subscription has so many dead letters, at least, and else nothing.
func died(t *testing.T, q queue.Driver, topic, name string, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		d, err := q.Depth(context.Background(), topic, name)
		switch {
		case err != nil:
			t.Fatal(err)
		case d.Waiting == 0 && d.Leased == 0 && d.Dead >= n:
			return
		case time.Now().After(deadline):
			t.Fatalf("depth of %s for %s: %+v, want %d dead", topic, name, d, n)
		}
	}
}

func testRoundTrip(t *testing.T, open opener) {
	q := open()
	before := time.Now()
	want := []queue.Message{
		{Topic: topic, Key: "k", Body: []byte("body")},
		{Topic: topic, Key: "k", Body: []byte{}},
		{Topic: topic, Key: "k", Body: bytes.Repeat([]byte{0xff, 0, '\''}, queue.MaxBody/3)},
		{Topic: topic, Key: "k", Body: []byte("traced"), Trace: traceparent},
		{Topic: topic, Key: "k", Body: []byte("late"), NotBefore: before.Add(20 * time.Millisecond).UTC().Round(0)},
	}
	publish(t, q, want...)
	r := record(acks)
	stop := receive(t, q, queue.Subscription{}, r.handle)
	got := map[string]queue.Delivery{}
	for len(got) < len(want) {
		d := r.one(t)
		got[string(d.Body)] = d
	}
	for i, m := range want {
		d := got[string(m.Body)]
		if diff := gocmp.Diff(m, d.Message, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("message %d (-published +delivered):\n%s", i, diff)
		}
		if d.Attempt < 1 {
			t.Errorf("message %d came with attempt %d", i, d.Attempt)
		}
		if d.Published.Before(before.Add(-time.Second)) || d.Published.After(time.Now().Add(time.Second)) {
			t.Errorf("message %d was published at %v, now is %v", i, d.Published, before)
		}
	}
	settled(t, q, queue.Depth{})
	stop()
	settled(t, open(), queue.Depth{})
}

func testDurable(t *testing.T, open opener) {
	publish(t, open(), message("a", "1"), message("a", "2"), message("b", "3"))
	r := record(acks)
	receive(t, open(), queue.Subscription{}, r.handle)
	r.all(t, "1", "2", "3")
}

func testRefused(t *testing.T, open opener) {
	q := open()
	huge := message("k", "")
	huge.Body = make([]byte, queue.MaxBody+1)
	if err := q.Publish(context.Background(), huge); err == nil {
		t.Error("a body over MaxBody is accepted")
	}
	if err := q.Publish(context.Background(), queue.Message{Key: "k"}); err == nil {
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
	if _, err := q.Dead(context.Background(), topic, name, "", queue.MaxDead+1); err == nil {
		t.Error("more dead letters than MaxDead can be asked for")
	}
	r := record(acks)
	receive(t, q, queue.Subscription{}, r.handle)
	publish(t, q, message("k", "behind what failed"))
	r.all(t, "behind what failed")
}

func testReady(t *testing.T, open opener) {
	if err := open().Ready(context.Background()); err != nil {
		t.Error(err)
	}
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
		return queue.Postpone(time.Hour, "later")
	}
	for _, topic := range []string{topic, "other"} {
		var mu sync.Mutex
		seen := map[string]bool{}
		stop := receive(t, q, queue.Subscription{Topic: topic, Concurrency: 3}, func(_ context.Context, d queue.Delivery) queue.Verdict {
			mu.Lock()
			defer mu.Unlock()
			seen[d.Key+" "+string(d.Body)] = true
			return dies(d)
		})
		for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
			mu.Lock()
			n := len(seen)
			mu.Unlock()
			if n == 12 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of 12 messages came", n)
			}
		}
		stop()
	}
	for range 2 { // it can be repeated
		if err := q.Forget(ctx, "u1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{topic, "other"} {
		if d, err := q.Depth(ctx, topic, name); err != nil || d.Waiting < 4 || d.Dead < 4 {
			t.Errorf("%s: %+v, %v; want 4 waiting and 4 dead, at least", topic, d, err)
		}
		letters, err := q.Dead(ctx, topic, name, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for _, l := range letters {
			keys[l.Key] = true
		}
		if diff := gocmp.Diff(map[string]bool{"u10": true, "u": true, "u1-": true, "U1": true}, keys); diff != "" {
			t.Errorf("%s: dead letters of these keys are left (-want +got):\n%s", topic, diff)
		}
	}
}

func testForgetInHand(t *testing.T, open opener) {
	q := open()
	publish(t, q, message("u1", "in hand"), message("u1", "behind"))
	in, let := make(chan struct{}, 100), make(chan struct{})
	stop := receive(t, q, queue.Subscription{}, func(context.Context, queue.Delivery) queue.Verdict {
		in <- struct{}{}
		<-let
		return queue.Ack()
	})
	<-in
	if err := q.Forget(context.Background(), "u1"); err != nil {
		t.Fatal(err)
	}
	close(let)
	settled(t, q, queue.Depth{})
	stop()
}

func testMany(t *testing.T, open opener) {
	q := open()
	const publishers, each, keys = 4, 50, 10
	var mu sync.Mutex
	seen := map[string]bool{}
	h := func(_ context.Context, d queue.Delivery) queue.Verdict {
		if d.Attempt == 1 && d.Body[len(d.Body)-1] == '7' {
			return queue.Retry(time.Millisecond, "not yet")
		}
		mu.Lock()
		defer mu.Unlock()
		seen[string(d.Body)] = true
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
}
