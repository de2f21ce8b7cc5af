package queuetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarity-loop/clarity/services/queue"
)

func shared(key, body string) queue.Message {
	return queue.Message{Topic: "shared", Key: key, Body: []byte(body)}
}

func testConsumers(t *testing.T, open opener) {
	q := open()
	publish(t, q, shared("k", "1"), shared("k", "2"))
	all := map[string]*recorder{"one": record(acks), "two": record(acks)}
	stop := receive(t, q, queue.Subscription{Topic: "shared", Name: "one"}, all["one"].handle)
	all["one"].all(t, "1", "2")
	settledOf(t, q, "shared", "one", queue.Depth{})
	stop()
	q = open() // what the one has handled, the other has not
	publish(t, q, shared("k", "3"))
	receive(t, q, queue.Subscription{Topic: "shared", Name: "two"}, all["two"].handle)
	all["two"].all(t, "1", "2", "3")
	settledOf(t, q, "shared", "one", queue.Depth{Waiting: 1})
}

func testCompetingReceives(t *testing.T, open opener) {
	q := open()
	r := record(acks)
	for range 2 {
		receive(t, q, queue.Subscription{Topic: "shared", Name: "one", Concurrency: 2}, r.handle)
	}
	const n = 40
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("%02d", i))
		publish(t, q, shared(fmt.Sprintf("key-%d", i%4), want[i]))
	}
	r.all(t, want...)
	settledOf(t, q, "shared", "one", queue.Depth{})
	if more := len(r.got); more > n/2 {
		t.Errorf("the two are given %d deliveries more than there are messages: they do not share them", more)
	}
}

func testConsumersApart(t *testing.T, open opener) {
	q, ctx := open(), context.Background()
	publish(t, q, shared("k", "x"), shared("k", "behind it"))
	fails := record(func(d queue.Delivery) queue.Verdict {
		if string(d.Body) == "x" {
			return queue.Dead("poison")
		}
		return queue.Postpone(time.Hour, "later")
	})
	works := record(acks)
	stop := receive(t, q, queue.Subscription{Topic: "shared", Name: "one"}, fails.handle)
	receive(t, q, queue.Subscription{Topic: "shared", Name: "two"}, works.handle)
	fails.all(t, "x", "behind it")
	works.all(t, "x", "behind it")
	settledOf(t, q, "shared", "one", queue.Depth{Waiting: 1, Dead: 1})
	settledOf(t, q, "shared", "two", queue.Depth{})
	letters, err := q.Dead(ctx, "shared", "one", "", 10)
	if err != nil || len(letters) != 1 || letters[0].Consumer != "one" || letters[0].Topic != "shared" {
		t.Fatalf("dead letters of the one: %+v, %v", letters, err)
	}
	if letters, err := q.Dead(ctx, "shared", "two", "", 10); err != nil || len(letters) > 0 {
		t.Errorf("dead letters of the other: %+v, %v", letters, err)
	}
	stop() // what is replayed may be delivered at once, whatever waits of its key
	if err := q.Replay(ctx, letters[0].ID); err != nil {
		t.Fatal(err)
	}
	settledOf(t, q, "shared", "one", queue.Depth{Waiting: 2})
	if err := q.Forget(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	settledOf(t, q, "shared", "one", queue.Depth{})
}

func testNoSubscription(t *testing.T, open opener) {
	q, ctx := open(), context.Background()
	if err := q.Publish(ctx, message("k", "x"), queue.Message{Topic: "nobody's", Key: "k"}); !errors.Is(err, queue.ErrNoSubscription) {
		t.Errorf("Publish: %v, want ErrNoSubscription", err)
	}
	settled(t, q, queue.Depth{})
	for _, s := range []queue.Subscription{{Topic: "nobody's", Name: name}, {Topic: topic, Name: "nobody"}, {Topic: topic}} {
		if err := q.Receive(ctx, s, func(context.Context, queue.Delivery) queue.Verdict { return queue.Ack() }); !errors.Is(err, queue.ErrNoSubscription) {
			t.Errorf("Receive %+v: %v, want ErrNoSubscription", s, err)
		}
		if _, err := q.Depth(ctx, s.Topic, s.Name); !errors.Is(err, queue.ErrNoSubscription) {
			t.Errorf("Depth %+v: %v, want ErrNoSubscription", s, err)
		}
		if _, err := q.Dead(ctx, s.Topic, s.Name, "", 1); !errors.Is(err, queue.ErrNoSubscription) {
			t.Errorf("Dead %+v: %v, want ErrNoSubscription", s, err)
		}
	}
}

func testUnclaimed(t *testing.T, open Opener) {
	q, ctx := open(Consumers()), context.Background()
	publish(t, q, shared("k", "x"), shared("l", "y"), queue.Message{Topic: "a", Key: "k", Body: []byte("z")})
	stop := receive(t, q, queue.Subscription{Topic: "shared", Name: "one"}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if d.Key == "k" {
			return queue.Dead("poison")
		}
		return queue.Postpone(time.Hour, "later")
	})
	settledOf(t, q, "shared", "one", queue.Depth{Waiting: 1, Dead: 1})
	unclaimed(t, q, nil)
	stop()
	q = open(queue.Consumers{"shared": {"two"}})
	unclaimed(t, q, []queue.Backlog{{Topic: "a", Consumer: name, Depth: queue.Depth{Waiting: 1}},
		{Topic: "shared", Consumer: "one", Depth: queue.Depth{Waiting: 1, Dead: 1}}})
	letters, err := q.Dead(ctx, "shared", "one", "", 10)
	if err != nil || len(letters) != 1 || letters[0].Key != "k" || letters[0].Consumer != "one" || letters[0].Reason != "poison" {
		t.Fatalf("unclaimed letters: %+v, %v", letters, err)
	}
	if more, err := q.Dead(ctx, "shared", "one", letters[0].ID, 10); err != nil || len(more) > 0 {
		t.Errorf("behind them: %+v, %v", more, err)
	}
	if _, err := q.Dead(ctx, "a", name, "", 10); !errors.Is(err, queue.ErrNoSubscription) {
		t.Errorf("letters of a consumer that has none: %v, want ErrNoSubscription", err)
	}
	if err := q.Replay(ctx, letters[0].ID); !errors.Is(err, queue.ErrNoSubscription) {
		t.Errorf("Replay: %v, want ErrNoSubscription", err)
	}
	if err := q.Drop(ctx, letters[0].ID); err != nil {
		t.Error(err)
	}
	if err := q.Forget(ctx, "l"); err != nil {
		t.Error(err)
	}
	unclaimed(t, q, []queue.Backlog{{Topic: "a", Consumer: name, Depth: queue.Depth{Waiting: 1}}})
	q = open(Consumers()) // the list is as it was, and so is what waited
	unclaimed(t, q, nil)
	r := record(acks)
	receive(t, q, queue.Subscription{Topic: "a", Name: name}, r.handle)
	r.all(t, "z")
}

func unclaimed(t *testing.T, q queue.Driver, want []queue.Backlog) {
	t.Helper()
	got, err := q.Unclaimed(context.Background())
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("unclaimed %v (-want +got):\n%s", err, diff)
	}
}
