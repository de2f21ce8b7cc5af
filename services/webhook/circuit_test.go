package webhook

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// waits is how long the delivery is put off, and why; 0 where it is not.
func waits(v queue.Verdict) (wait time.Duration, why string) {
	v.Match(queue.Cases{Ack: func() {}, Retry: func(time.Duration, string) {}, Dead: func(string) {},
		Postpone: func(after time.Duration, reason string) { wait, why = after, reason }})
	return wait, why
}

// The requests to one endpoint are so many at a time, and those to a tenant's; others'
// have room, and who finds none comes again behind those who found none before.
func TestSlowEndpointsLeaveRoom(t *testing.T) {
	now := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	c := newCircuits(func() time.Time { return now })
	var passes []*pass
	enter := func(tenant, endpoint string) (entered bool, wait time.Duration) {
		p, wait := c.enter(tenant, endpoint)
		if p != nil {
			passes = append(passes, p)
		}
		return p != nil, wait
	}
	for _, endpoint := range []string{"a", "b"} {
		for range mostAtOnce {
			if entered, _ := enter("slow", endpoint); !entered {
				t.Fatal("there is room")
			}
		}
	}
	if 2*mostAtOnce != mostOfTenant || mostOfTenant*4 > Hands {
		t.Fatalf("%d of an endpoint and %d of a tenant, of %d hands", mostAtOnce, mostOfTenant, Hands)
	}
	before := time.Duration(0)
	for n := range 100 {
		entered, wait := enter("slow", "c")
		if entered || wait < before || n > 50 && wait == before {
			t.Fatalf("the %d. of a tenant that has its share: %v after %v", n, entered, wait)
		}
		before = wait
	}
	if entered, wait := enter("slow", "a"); entered || wait <= 0 {
		t.Error("an endpoint has no bound")
	}
	if entered, _ := enter("other", "d"); !entered {
		t.Error("another tenant has no room")
	}
	now = now.Add(time.Second)
	passes[0].leave(well)
	passes[0].leave(well) // is heard once
	for n, want := range []bool{true, false} {
		if entered, _ := enter("slow", "c"); entered != want {
			t.Errorf("where one has left, the %d. enters: %v", n+1, entered)
		}
	}
}

// Behind slow requests one waits for longer than behind quick ones.
func TestWhoFindsNoRoomWaitsByHowLongRequestsTake(t *testing.T) {
	wait := func(took time.Duration) (last time.Duration) {
		now := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
		c := newCircuits(func() time.Time { return now })
		for range 50 {
			p, _ := c.enter("clinic", "a")
			now = now.Add(took)
			p.leave(well)
		}
		for range mostAtOnce {
			c.enter("clinic", "a")
		}
		for range 100 {
			_, last = c.enter("clinic", "a")
		}
		return last
	}
	if quick, slow := wait(50*time.Millisecond), wait(10*time.Second); quick > 2*time.Second || slow < 3*time.Minute || slow > longestRest {
		t.Errorf("the hundredth waits %v behind quick ones and %v behind slow ones", quick, slow)
	}
}

// counting counts what is read.
type counting struct {
	store.Driver
	mu    sync.Mutex
	reads int
}

func (c *counting) read() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
}

func (c *counting) Get(ctx context.Context, k store.Key) (store.Document, error) {
	c.read()
	return c.Driver.Get(ctx, k)
}

func (c *counting) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	c.read()
	return c.Driver.List(ctx, q)
}

// What waits for an endpoint that rests reads nothing, and comes when the rest is over.
func TestWhatWaitsReadsNothing(t *testing.T) {
	w := newWorld(t)
	driver := &counting{Driver: storetest.Memory(w.clock)}
	w.book = NewBook(store.New(driver, w.laptop.Keys), w, w.clock)
	w.stage = w.over(w.book)
	w.register("clinic", address)
	w.server.answers(500, nil)
	w.spread(canary, 1, "a", "b", "c", "d", "e", "f", "g")
	waiting := w.said
	w.tell()
	w.later(10 * time.Second)
	driver.reads = 0
	for range 3 {
		if wait, why := waits(w.stage.Handle(t.Context(), queue.Delivery{Message: waiting[6], Attempt: 2})); wait != firstRest-10*time.Second || why != "the endpoint rests" {
			t.Errorf("it comes again after %v: %s", wait, why)
		}
	}
	if driver.reads > 0 {
		t.Errorf("%d reads of what waits", driver.reads)
	}
	w.later(firstRest)
	p, _ := w.stage.circuits.enter("clinic", strings.TrimPrefix(waiting[0].Key, canary+"/")) // one asks
	if wait, _ := waits(w.stage.Handle(t.Context(), queue.Delivery{Message: waiting[6], Attempt: 3})); p == nil || wait != answerTime {
		t.Errorf("behind who asks it comes again after %v", wait)
	}
	if driver.reads > 0 {
		t.Errorf("%d reads of what waits behind who asks", driver.reads)
	}
}

// A tenant whose servers answer slowly has a part of the hands, and another tenant's
// events are sent meanwhile.
func TestATenantHasAPartOfTheHands(t *testing.T) {
	w := newWorld(t)
	for n := range 10 {
		w.register("clinic", fmt.Sprintf("https://example.com/%d", n))
	}
	w.register("other", "https://example.com/other")
	release, all := make(chan struct{}), make(chan struct{}, Hands)
	w.server.hold = func(path string) {
		if path != "/other" {
			all <- struct{}{}
			<-release
		}
	}
	w.spread(canary, 1, "a", "b", "c")
	waiting := w.said
	w.said = nil
	var running sync.WaitGroup
	var mu sync.Mutex
	put := 0
	for _, m := range waiting {
		running.Go(func() {
			if wait, _ := waits(w.stage.Handle(t.Context(), queue.Delivery{Message: m, Attempt: 1})); wait > 0 {
				mu.Lock()
				put++
				mu.Unlock()
			}
		})
	}
	for range mostOfTenant {
		<-all
	}
	w.spread("other:ben", 1, "a")
	if words := w.tell(); len(words) != 1 || words[0] != "ack" {
		t.Errorf("another's is %v", words)
	}
	close(release)
	running.Wait()
	if put != len(waiting)-mostOfTenant {
		t.Errorf("%d of %d were put off", put, len(waiting))
	}
}

// What the stage counts says nothing of whom it is.
func TestWhatIsCounted(t *testing.T) {
	w := newWorld(t)
	w.register("clinic", address)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(w.stage)
	w.spread(canary, 1, "a")
	w.later(3 * time.Second)
	w.tell()
	w.server.answers(500, nil)
	w.spread(canary, 2, "a", "b", "c", "d", "e")
	w.tell()
	w.later(20 * time.Second)
	want := `
# HELP clarity_webhook_attempts_total Requests to servers of tenants, by what became of them: taken, status (another answer), gone, or why there was no answer.
# TYPE clarity_webhook_attempts_total counter
clarity_webhook_attempts_total{outcome="address"} 0
clarity_webhook_attempts_total{outcome="address_not_public"} 0
clarity_webhook_attempts_total{outcome="certificate"} 0
clarity_webhook_attempts_total{outcome="connection"} 0
clarity_webhook_attempts_total{outcome="gone"} 0
clarity_webhook_attempts_total{outcome="name_unknown"} 0
clarity_webhook_attempts_total{outcome="status"} 5
clarity_webhook_attempts_total{outcome="taken"} 1
clarity_webhook_attempts_total{outcome="timeout"} 0
# HELP clarity_webhook_circuits_open Servers of tenants that this process leaves alone for a while, as they take nothing.
# TYPE clarity_webhook_circuits_open gauge
clarity_webhook_circuits_open 1
# HELP clarity_webhook_waiting_seconds For how long the server of a tenant takes nothing that has taken nothing for the longest, as this process knows: what is for it waits; 0 where all take what comes.
# TYPE clarity_webhook_waiting_seconds gauge
clarity_webhook_waiting_seconds 20
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "clarity_webhook_attempts_total", "clarity_webhook_circuits_open", "clarity_webhook_waiting_seconds"); err != nil {
		t.Error(err)
	}
	found, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, family := range found {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() != "outcome" {
					t.Errorf("%s has the label %s", family.GetName(), label)
				}
			}
			if h := m.GetHistogram(); h != nil {
				counts[family.GetName()] += h.GetSampleCount()
			}
		}
	}
	if counts["clarity_webhook_attempt_seconds"] != 6 || counts["clarity_webhook_event_age_seconds"] != 1 {
		t.Errorf("%v", counts)
	}
	w.later(26 * time.Hour)
	w.spread(canary, 9, "a") // of an endpoint that is asked no more for a day
	if n, _ := w.stage.circuits.away(); n != 0 {
		t.Errorf("%d are away", n)
	}
}
