package pubsub_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/clarity-loop/clarity/services/internal/crashtest"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/store/sqlite"
)

const (
	topic, name = "uploads", "intake"

	// where is the file that tells a child where pubsubd is.
	where = "pubsubd"
)

var background = context.Background()

// at is a place in the pubsubd at the address.
func at(address string) pubsub.Config {
	return pubsub.Config{Project: "test", Prefix: "test-", Emulator: address}
}

// openIn opens the queue over pubsubd, with documents in the directory.
func openIn(t *testing.T, dir, address string) (q *pubsub.Queue, shut func()) {
	t.Helper()
	documents, err := sqlite.Open(background, dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	q, err = pubsub.Open(background, at(address), queuetest.Consumers(), documents, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return q, sync.OnceFunc(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if err := documents.Close(); err != nil {
			t.Error(err)
		}
	})
}

func tellWhere(t *testing.T, dir, address string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, where), []byte(address), 0o600); err != nil {
		t.Fatal(err)
	}
}

func told(t *testing.T, dir string) (address string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, where))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dies and waits are what the handler of the crash tests says of some bodies.
func dies(body []byte) bool { return len(body)%2 == 0 && body[len(body)-1] == '9' }

func waits(d queue.Delivery) bool { return d.Attempt == 1 && d.Body[len(d.Body)-1] == '5' }

func verdict(d queue.Delivery) queue.Verdict {
	switch {
	case dies(d.Body):
		return queue.Dead("poison")
	case waits(d):
		return queue.Postpone(10500*time.Millisecond, "not now") // on the shelf
	}
	return queue.Ack()
}

// TestCrashChild publishes and handles until it is killed.
func TestCrashChild(t *testing.T) {
	dir, tell := crashtest.Child(t)
	q, _ := openIn(t, dir, told(t, dir))
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				m := queue.Message{Topic: topic, Key: fmt.Sprintf("key-%d", w), Body: fmt.Appendf(nil, "%d-%d-%d", os.Getpid(), w, i)}
				if err := q.Publish(background, m); err != nil {
					t.Error(err)
					return
				}
				tell(fmt.Sprintf("published %s", m.Body))
			}
		}()
	}
	_ = q.Receive(background, queue.Subscription{Topic: topic, Name: name, Concurrency: 4}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if v := verdict(d); v != queue.Ack() {
			return v
		}
		tell(fmt.Sprintf("handled %s", d.Body))
		return queue.Ack()
	})
}

// Every message acknowledged to its publisher is handled or a dead letter, and no
// other is one, whenever the process that has it is killed.
func TestNoKillLosesWhatWasAcknowledged(t *testing.T) {
	minutes(t) // it waits for the leases of who is dead
	t.Parallel()
	address := startPubsubd(t, t.TempDir(), "").address
	if err := pubsub.Prepare(background, at(address), queuetest.Consumers()); err != nil {
		t.Fatal(err)
	}
	dir, seen := t.TempDir(), newSeen()
	tellWhere(t, dir, address)
	for range 6 {
		for _, line := range crashtest.Kill(t, "TestCrashChild", dir, 700*time.Millisecond) {
			seen.take(line)
		}
	}
	q, shut := openIn(t, dir, address)
	defer shut()
	seen.finish(t, q)
}

// seen is what was told of messages.
type seen struct {
	mu                 sync.Mutex
	published, handled map[string]bool
}

func newSeen() *seen { return &seen{published: map[string]bool{}, handled: map[string]bool{}} }

func (s *seen) take(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := strings.Fields(line); {
	case len(f) != 2 || strings.Count(f[1], "-") != 2: // the line was cut
	case f[0] == "published":
		s.published[f[1]] = true
	default:
		s.handled[f[1]] = true
	}
}

// finish handles what is left, and looks whether anything is missing.
func (s *seen) finish(t *testing.T, q *pubsub.Queue) {
	t.Helper()
	stop := receive(t, q, queue.Subscription{Topic: topic, Name: name, Concurrency: 8}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if v := verdict(d); v != queue.Ack() {
			return v
		}
		s.take("handled " + string(d.Body))
		return queue.Ack()
	})
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if d, err := q.Depth(background, topic, name); err == nil && d.Waiting+d.Leased == 0 {
			break
		}
	}
	stop()
	if d, err := q.Depth(background, topic, name); err != nil || d.Waiting+d.Leased > 0 {
		t.Fatalf("in the end: %+v, %v", d, err)
	}
	for after := ""; ; {
		letters, err := q.Dead(background, topic, name, after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(letters) == 0 {
			break
		}
		for _, l := range letters {
			after = l.ID
			s.handled[string(l.Body)] = true
			if !dies(l.Body) || l.Reason != "poison" {
				t.Errorf("a letter of %s: %s", l.Body, l.Reason)
			}
		}
	}
	missing := 0
	for body := range s.published {
		if !s.handled[body] {
			missing++
		}
	}
	if missing > 0 || len(s.published) == 0 {
		t.Errorf("%d of %d acknowledged messages are lost", missing, len(s.published))
	}
	t.Logf("%d messages were acknowledged", len(s.published))
}

// receive runs Receive until the function returned is called.
func receive(t *testing.T, q *pubsub.Queue, sub queue.Subscription, h queue.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error, 1)
	go func() { ended <- q.Receive(ctx, sub, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Receive: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// The service is killed under load, and returns: what it had said is published is
// handled, and nobody has to start anything anew.
func TestTheServiceDiesAndReturns(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	data := t.TempDir()
	service := startPubsubd(t, data, "")
	if err := pubsub.Prepare(background, at(service.address), queuetest.Consumers()); err != nil {
		t.Fatal(err)
	}
	q, shut := openIn(t, t.TempDir(), service.address)
	defer shut()
	s := newSeen()
	stop := receive(t, q, queue.Subscription{Topic: topic, Name: name, Concurrency: 4}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if v := verdict(d); v != queue.Ack() {
			return v
		}
		s.take("handled " + string(d.Body))
		return queue.Ack()
	})
	ctx, cancel := context.WithCancel(background)
	var publishers sync.WaitGroup
	for w := range 4 {
		publishers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				m := queue.Message{Topic: topic, Key: fmt.Sprintf("key-%d", w), Body: fmt.Appendf(nil, "1-%d-%d", w, i)}
				if q.Publish(ctx, m) == nil {
					s.take("published " + string(m.Body))
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	for range 2 {
		time.Sleep(600 * time.Millisecond)
		if err := service.process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		service = startPubsubd(t, data, service.address)
	}
	time.Sleep(600 * time.Millisecond)
	cancel()
	publishers.Wait()
	stop()
	s.finish(t, q)
}

// TestFatalChild handles until a message kills it.
func TestFatalChild(t *testing.T) {
	dir, tell := crashtest.Child(t)
	q, _ := openIn(t, dir, told(t, dir))
	ctx, cancel := context.WithCancel(background)
	go func() {
		for {
			if d, err := q.Depth(background, topic, name); err == nil && d == (queue.Depth{Dead: 1}) {
				cancel()
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	_ = q.Receive(ctx, queue.Subscription{Topic: topic, Name: name, Concurrency: 4, MaxAttempts: 2}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		tell(string(d.Body))
		if string(d.Body) == "fatal" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		time.Sleep(100 * time.Millisecond) // beside the fatal one
		return queue.Ack()
	})
	tell("over")
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// A message that takes its process down again and again is poison, those that were
// in hand beside it are not.
func TestAMessageThatKillsItsProcessDies(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	address := startPubsubd(t, t.TempDir(), "").address
	if err := pubsub.Prepare(background, at(address), queuetest.Consumers()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tellWhere(t, dir, address)
	q, shut := openIn(t, dir, address)
	for _, m := range []string{"innocent", "fatal", "bystander"} {
		if err := q.Publish(background, queue.Message{Topic: topic, Key: m, Body: []byte(m)}); err != nil {
			t.Fatal(err)
		}
	}
	shut()
	deaths := 0
	for ; deaths < 10; deaths++ {
		lines := crashtest.Kill(t, "TestFatalChild", dir, 24*time.Hour) // it sees to that itself
		if lines[len(lines)-1] == "over" {
			break
		}
		refuse(t, address)
	}
	if deaths != 4 { // two before it is suspect, and two alone
		t.Errorf("it took %d processes down", deaths)
	}
	q, shut = openIn(t, dir, address)
	defer shut()
	letters, err := q.Dead(background, topic, name, "", 10)
	if err != nil || len(letters) != 1 || string(letters[0].Body) != "fatal" || !strings.Contains(letters[0].Reason, "without a verdict") {
		t.Errorf("the letters are %+v, %v", letters, err)
	}
}

// refuse has all that is out come again at once, as it does when the leases of who
// is dead are over.
func refuse(t *testing.T, address string) {
	t.Helper()
	c, err := client.NewClient(background, "test", option.WithEndpoint(address), option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const of = "projects/test/subscriptions/test-uploads.intake"
	_, err = c.SubscriptionAdminClient.UpdateSubscription(background, &pubsubpb.UpdateSubscriptionRequest{
		Subscription: &pubsubpb.Subscription{Name: of}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retry_policy"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for message := 1; message <= 3; message++ {
		for attempt := 1; attempt <= 10; attempt++ {
			ids = append(ids, strconv.Itoa(message)+":"+strconv.Itoa(attempt))
		}
	}
	if err := c.SubscriptionAdminClient.ModifyAckDeadline(background, &pubsubpb.ModifyAckDeadlineRequest{Subscription: of, AckIds: ids}); err != nil {
		t.Fatal(err)
	}
}

// TestStoppedChild is stopped while its handler runs, for longer than the lease.
func TestStoppedChild(t *testing.T) {
	dir, tell := crashtest.Child(t)
	q, _ := openIn(t, dir, told(t, dir))
	var first sync.Mutex // and only: this process must not have what it has lost again
	_ = q.Receive(background, queue.Subscription{Topic: topic, Name: name, Lease: 10 * time.Second}, func(ctx context.Context, _ queue.Delivery) queue.Verdict {
		first.Lock()
		tell("has it")
		wake := exec.Command("sh", "-c", fmt.Sprintf("sleep 12; kill -CONT %d", os.Getpid()))
		if err := wake.Start(); err != nil {
			t.Error(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		for range 100 { // the time of the stop is none of it
			if ctx.Err() != nil {
				tell("lost")
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.AfterFunc(time.Second, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
		return queue.Ack()
	})
}

// A process that was stopped finds out that its messages are others', and its word
// on them does not count.
func TestAStoppedProcessHasLostItsLeases(t *testing.T) {
	minutes(t)
	t.Parallel()
	address := startPubsubd(t, t.TempDir(), "").address
	if err := pubsub.Prepare(background, at(address), queuetest.Consumers()); err != nil {
		t.Fatal(err)
	}
	child, mine := t.TempDir(), t.TempDir()
	tellWhere(t, child, address)
	q, shut := openIn(t, mine, address)
	defer shut()
	publish(t, q, "k", "x")
	again := make(chan queue.Delivery, 1)
	go func() {
		time.Sleep(3 * time.Second) // it is the child's by then
		_ = q.Receive(t.Context(), intake, func(ctx context.Context, d queue.Delivery) queue.Verdict {
			again <- d
			<-ctx.Done() // the child's ack must not be taken for this one's
			return queue.Postpone(0, "over")
		})
	}()
	lines := crashtest.Kill(t, "TestStoppedChild", child, 24*time.Hour)
	if lines[len(lines)-1] != "lost" {
		t.Errorf("the child tells %q, want that it lost its lease", lines)
	}
	next(t, again)
	if d := depth(t, q); d.Waiting+d.Leased != 1 {
		t.Errorf("the verdict of who had lost the lease counts: %+v", d)
	}
}
