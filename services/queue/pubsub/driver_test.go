package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// A clock is a time of day that tests move.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// wires counts the calls a driver makes, and fails those that it is told to.
type wires struct {
	mu    sync.Mutex
	calls map[string]int
	fail  func(method string, request any) error
}

func (w *wires) pass(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption) error {
	w.mu.Lock()
	if w.calls == nil {
		w.calls = map[string]int{}
	}
	w.calls[method[strings.LastIndex(method, "/")+1:]]++
	fail := w.fail
	w.mu.Unlock()
	if fail != nil {
		if err := fail(method, request); err != nil {
			return err
		}
	}
	return call(ctx, method, request, reply, c, options...)
}

func (w *wires) failing(fail func(method string, request any) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = fail
}

// taken are the calls since it was asked last.
func (w *wires) taken() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

// A world is a place and what a driver over it is opened with.
type world struct {
	cfg       pubsub.Config
	wires     *wires
	documents pubsub.Documents
	clock     *clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{cfg: at(startPubsubd(t, "", "").address), wires: &wires{}, clock: &clock{}}
	if err := pubsub.Prepare(background, w.cfg, queuetest.Consumers()); err != nil {
		t.Fatal(err)
	}
	w.documents = storetest.Memory(w.clock.Now)
	w.cfg = w.cfg.Dialing(grpc.WithUnaryInterceptor(w.wires.pass))
	return w
}

func (w *world) open(t *testing.T) *pubsub.Queue {
	t.Helper()
	q, err := pubsub.Open(background, w.cfg, queuetest.Consumers(), w.documents, w.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func publish(t *testing.T, q *pubsub.Queue, key, body string) {
	t.Helper()
	if err := q.Publish(background, queue.Message{Topic: topic, Key: key, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

// handled is a handler that tells what it was given.
func handled(verdict func(queue.Delivery) queue.Verdict) (queue.Handler, <-chan queue.Delivery) {
	got := make(chan queue.Delivery, 1000)
	return func(_ context.Context, d queue.Delivery) queue.Verdict {
		v := verdict(d)
		got <- d
		return v
	}, got
}

func next(t *testing.T, got <-chan queue.Delivery) queue.Delivery {
	t.Helper()
	select {
	case d := <-got:
		return d
	case <-time.After(15 * time.Second):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

func depth(t *testing.T, q *pubsub.Queue) queue.Depth {
	t.Helper()
	d, err := q.Depth(background, topic, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var intake = queue.Subscription{Topic: topic, Name: name, Concurrency: 4}

// A message that fails pauses its key in the client. Who publishes next, and who
// publishes meanwhile, is not harmed.
func TestAFailedPublishDoesNoHarmToItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.open(t)
	for round := range 20 {
		var failed atomic.Int32
		w.wires.failing(func(_ string, request any) error {
			if _, is := request.(*pubsubpb.PublishRequest); is && failed.Add(1) == 1 {
				return status.Error(codes.PermissionDenied, "no")
			}
			return nil
		})
		var all sync.WaitGroup
		var refused atomic.Int32
		for i := range 8 {
			all.Go(func() {
				err := q.Publish(background, queue.Message{Topic: topic, Key: "k", Body: fmt.Appendf(nil, "%d-%d", round, i)})
				switch {
				case err == nil:
				case strings.Contains(err.Error(), "PermissionDenied"):
					refused.Add(1)
				default:
					t.Errorf("a publish beside one that failed: %v", err)
				}
			})
		}
		all.Wait()
		if refused.Load() == 0 {
			t.Error("nothing failed")
		}
		publish(t, q, "k", "behind it")
	}
}

// What waits for longer than ten seconds waits in the store: its key goes on, no
// attempt is forgotten, and its time comes.
func TestALongRetryWaitsOnTheShelf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.open(t)
	publish(t, q, "k", "fails")
	publish(t, q, "k", "behind it")
	h, got := handled(func(d queue.Delivery) queue.Verdict {
		if string(d.Body) == "fails" && d.Attempt == 1 {
			return queue.Retry(30*time.Minute, "away")
		}
		return queue.Ack()
	})
	receive(t, q, intake, h)
	first, behind := next(t, got), next(t, got)
	if string(first.Body) != "fails" || string(behind.Body) != "behind it" {
		t.Fatalf("%q comes, and then %q", first.Body, behind.Body)
	}
	for depth(t, q) != (queue.Depth{Waiting: 1}) {
		time.Sleep(10 * time.Millisecond)
	}
	w.clock.Advance(30*time.Minute - 10*time.Second)
	select {
	case d := <-got:
		t.Fatalf("%q comes before its time", d.Body)
	case <-time.After(5 * time.Second):
	}
	w.clock.Advance(11 * time.Second)
	if d := next(t, got); string(d.Body) != "fails" || d.Attempt != 2 || !d.Published.Equal(first.Published) || d.Key != "k" {
		t.Errorf("it comes again as %+v, and was %+v", d, first)
	}
}

// One consumer's retry is not another's.
func TestWhatIsPutOffComesToItsConsumerAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.open(t)
	fails, one := handled(func(d queue.Delivery) queue.Verdict {
		if d.Attempt == 1 {
			return queue.Postpone(20*time.Minute, "not now")
		}
		return queue.Ack()
	})
	works, two := handled(func(queue.Delivery) queue.Verdict { return queue.Ack() })
	receive(t, q, queue.Subscription{Topic: "shared", Name: "one"}, fails)
	receive(t, q, queue.Subscription{Topic: "shared", Name: "two"}, works)
	if err := q.Publish(background, queue.Message{Topic: "shared", Key: "k", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	next(t, one)
	next(t, two)
	for until := time.Now().Add(15 * time.Second); len(one) == 0 && time.Now().Before(until); time.Sleep(300 * time.Millisecond) {
		w.clock.Advance(21 * time.Minute) // the verdict may be written down behind the first
	}
	if d := next(t, one); d.Attempt != 2 {
		t.Errorf("attempt %d", d.Attempt)
	}
	time.Sleep(300 * time.Millisecond)
	if len(two) > 0 {
		t.Error("the other consumer is handed it, too")
	}
}

// A clock that was two hours ahead holds nothing for longer than a right one would.
func TestAWrongClockHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.Advance(2 * time.Hour)
	wrong := w.open(t)
	if err := wrong.Publish(background, queue.Message{Topic: topic, Key: "k", Body: []byte("x"), NotBefore: w.clock.Now().Add(15 * time.Minute)}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(-2 * time.Hour)
	q := w.open(t)
	h, got := handled(func(queue.Delivery) queue.Verdict { return queue.Ack() })
	receive(t, q, intake, h)
	select {
	case <-got:
		t.Fatal("it comes before its time")
	case <-time.After(time.Second):
	}
	w.clock.Advance(15*time.Minute + time.Second)
	next(t, got)
}

// The receivers of a subscription share what they know of an outage.
func TestAnOutageIsMetOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.open(t), w.open(t)
	for i := range 30 {
		publish(t, one, fmt.Sprint(i), "x")
	}
	var met atomic.Int32
	away := func(context.Context, queue.Delivery) queue.Verdict {
		met.Add(1)
		return queue.Retry(time.Minute, "away")
	}
	alone := queue.Subscription{Topic: topic, Name: name}
	stop := receive(t, one, alone, away)
	for met.Load() < 5 {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	stop()
	before := met.Load()
	receive(t, two, alone, away)
	time.Sleep(400 * time.Millisecond)
	if n := met.Load() - before; n != 1 {
		t.Errorf("the second receiver meets the outage %d times, want once", n)
	}
}

// A form of a later release waits for who knows it.
func TestALaterFormWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.open(t)
	newer := &pubsubpb.PubsubMessage{Data: []byte("x"), OrderingKey: "k", Attributes: map[string]string{"form": "2", "new": "y"}}
	if err := pubsub.PublishRaw(q, topic, newer); err != nil {
		t.Fatal(err)
	}
	publish(t, q, "k", "behind it")
	h, got := handled(func(queue.Delivery) queue.Verdict { return queue.Ack() })
	receive(t, q, intake, h)
	if d := next(t, got); string(d.Body) != "behind it" {
		t.Errorf("%q comes", d.Body)
	}
	for depth(t, q) != (queue.Depth{Waiting: 1}) {
		time.Sleep(10 * time.Millisecond)
	}
}

// Where the store is away a message is held, and comes again; nothing is lost.
func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := &outage{Documents: w.documents}
	w.documents = broken
	q := w.open(t)
	broken.away.Store(true)
	publish(t, q, "k", "dies")
	h, got := handled(func(queue.Delivery) queue.Verdict { return queue.Dead("poison") })
	receive(t, q, intake, h)
	next(t, got)
	time.Sleep(200 * time.Millisecond)
	broken.away.Store(false)
	next(t, got) // after ten seconds
	for depth(t, q) != (queue.Depth{Dead: 1}) {
		time.Sleep(10 * time.Millisecond)
	}
}

type outage struct {
	pubsub.Documents
	away atomic.Bool
}

func (o *outage) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if o.away.Load() {
		return nil, store.Fault("write", &fault.Error{Room: "store", Op: "write", Class: fault.Unavailable})
	}
	return o.Documents.Batch(ctx, writes)
}

func TestALostLeaseEndsNoReceive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.open(t)
	publish(t, q, "k", "x")
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error, 1)
	in := make(chan struct{})
	go func() {
		ended <- q.Receive(ctx, intake, func(ctx context.Context, _ queue.Delivery) queue.Verdict {
			close(in)
			<-ctx.Done()
			return queue.Ack()
		})
	}()
	<-in
	go q.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Receive of a queue that is closed: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Receive does not end")
	}
	cancel()
	if err := q.Publish(background, queue.Message{Topic: topic, Key: "k"}); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Publish to a queue that is closed: %v", err)
	}
}

// The service's words carry names and keys: none of them is in an error.
func TestErrorsAreTheCodeAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.open(t)
	w.wires.failing(func(string, any) error {
		return status.Error(codes.PermissionDenied, "topic "+faulttest.Mark+" is not yours")
	})
	check := func(op string, err error) {
		t.Helper()
		faulttest.Of(t, err, "queue", op)
		if err != nil && !strings.HasSuffix(err.Error(), "(PermissionDenied)") {
			t.Errorf("%s: %v, want the code", op, err)
		}
	}
	check("publish", q.Publish(background, queue.Message{Topic: topic, Key: faulttest.Mark}))
	check("forget", q.Forget(background, faulttest.Mark))
	_, err := q.Depth(background, topic, name)
	check("count", err)
	_, err = q.Unclaimed(background)
	check("count unclaimed", err)
	check("ready", q.Ready(background))
	check("prepare", pubsub.Prepare(background, w.cfg, queuetest.Consumers()))
}

// A token that cannot be fetched, and rights that come late, end no process.
func TestARefusalThatPassesEndsNoReceive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var refused atomic.Int32
	w.cfg = w.cfg.Dialing(grpc.WithUnaryInterceptor(w.wires.pass), grpc.WithStreamInterceptor(
		func(ctx context.Context, desc *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
			if n := refused.Add(1); n <= 3 {
				return nil, status.Error([]codes.Code{codes.PermissionDenied, codes.Unauthenticated, codes.Unknown}[n-1], "topic "+faulttest.Mark+" is not yours")
			}
			return open(ctx, desc, c, method, options...)
		}))
	q := w.open(t)
	publish(t, q, "k", "x")
	ctx, cancel := context.WithTimeout(background, 30*time.Second)
	defer cancel()
	took := false
	err := q.Receive(ctx, intake, func(context.Context, queue.Delivery) queue.Verdict {
		took = true
		cancel()
		return queue.Ack()
	})
	if err != nil || !took || refused.Load() < 4 {
		t.Errorf("%v, taken: %v, after %d calls", err, took, refused.Load())
	}
}

func TestReceiveOfASubscriptionThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q, err := pubsub.Open(background, w.cfg, queue.Consumers{faulttest.Mark: {name}}, w.documents, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	err = q.Receive(background, queue.Subscription{Topic: faulttest.Mark, Name: name}, nil)
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != "NotFound" || f.Op != "receive" || strings.Contains(f.Error(), faulttest.Mark) {
		t.Errorf("Receive: %v", err)
	}
	if err := q.Ready(background); err == nil || strings.Contains(err.Error(), faulttest.Mark) {
		t.Errorf("Ready: %v", err)
	}
}

// What a call costs, in calls to the service.
func TestCostOfACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.CountEvery = time.Minute
	q := w.open(t)
	w.wires.taken()
	cost := func(what string, want map[string]int, do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := w.wires.taken(); !equal(got, want) {
			t.Errorf("%s costs %v, want %v", what, got, want)
		}
	}
	cost("the first Ready", map[string]int{"GetTopic": 1}, func() error { return q.Ready(background) })
	cost("another", nil, func() error { return q.Ready(background) })
	cost("Publish", map[string]int{"Publish": 1}, func() error {
		return q.Publish(background, queue.Message{Topic: topic, Key: "k"}, queue.Message{Topic: topic, Key: "k"})
	})
	cost("Ready after it", nil, func() error { w.clock.Advance(8 * time.Second); return q.Ready(background) })
	cost("Publish of what waits", nil, func() error {
		return q.Publish(background, queue.Message{Topic: topic, Key: "k", NotBefore: w.clock.Now().Add(time.Minute)})
	})
	cost("Depth", map[string]int{"ListTimeSeries": 1}, func() error { _, err := q.Depth(background, topic, name); return err })
	cost("another of another", nil, func() error { _, err := q.Depth(background, "a", name); return err })
	cost("Dead", nil, func() error { _, err := q.Dead(background, topic, name, "", 10); return err })
	cost("Forget", map[string]int{"ListSubscriptions": 1}, func() error { return q.Forget(background, "k") })
}

func equal(a, b map[string]int) bool {
	keys := func(m map[string]int) (all []string) {
		for k, n := range m {
			all = append(all, fmt.Sprint(k, n))
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(keys(a), keys(b))
}

func TestNamesThatNothingCanHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []queue.Consumers{{"a.b": {name}}, {topic: {"a:b"}}, {"": {name}}, {topic: {"lost"}}, {topic: {strings.Repeat("a", 81)}}} {
		if q, err := pubsub.Open(background, w.cfg, c, w.documents, time.Now); err == nil {
			t.Errorf("%v is accepted", c)
			_ = q.Close()
		}
	}
	q := w.open(t)
	for _, id := range []string{"", "x", "a.b", "uploads.intake.", "uploads.intake.none", "uploads.intake." + strings.Repeat("a", 300), "up/loads.intake.x", "..."} {
		if err := q.Drop(background, id); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("drop %q: %v, want ErrNoLetter", id, err)
		}
	}
	if _, err := q.Dead(background, topic, name, "other.intake.x", 1); !errors.Is(err, queue.ErrNoLetter) {
		t.Errorf("letters behind another subscription's: %v", err)
	}
	if err := q.Forget(background, ""); err == nil {
		t.Error("nobody is forgotten")
	}
}
