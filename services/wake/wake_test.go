package wake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/waking"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/device"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	anna  = "anna-canary"
	every = 5 * time.Minute
)

// A world is the stage over a laptop's store, with a clock that the test moves and a
// service that notes whom it wakes.
type world struct {
	t         *testing.T
	now       time.Time
	store     *store.Store
	teller    *Teller
	stage     *Stage
	log       bytes.Buffer
	said      []queue.Message
	woken     []string
	fails     map[string]error // by token
	meanwhile func()
}

func (w *world) clock() time.Time { return w.now }

// Publish keeps what is said.
func (w *world) Publish(_ context.Context, msgs ...queue.Message) error {
	w.said = append(w.said, msgs...)
	return nil
}

// Wake notes it.
func (w *world) Wake(_ context.Context, token string, wake push.Wake) error {
	if w.meanwhile != nil {
		w.meanwhile()
	}
	if err := w.fails[token]; err != nil {
		return err
	}
	w.woken = append(w.woken, strings.Join([]string{token, wake.Kind, wake.Last}, " "))
	slices.Sort(w.woken)
	return nil
}

func newWorld(t *testing.T, devices ...string) *world {
	w := &world{t: t, now: time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC), fails: map[string]error{}}
	w.store = stagetest.Open(t, stagetest.Options{Now: w.clock}).Store
	w.teller = NewTeller(w.store, w, w.clock)
	w.stage = New(Needs{Store: w.store, Sender: w, Every: every, Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	w.agree(true)
	for _, id := range devices {
		w.register(id, id+"-token")
	}
	return w
}

func (w *world) agree(granted bool) {
	w.t.Helper()
	_, err := w.store.Answer(w.t.Context(), anna, record.PurposeProcessing, func(record.Consent) record.Consent {
		return record.Consent{Granted: granted, At: w.now}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) devices() store.Record[device.Devices] {
	w.t.Helper()
	found, err := w.store.Devices.Get(w.t.Context(), anna, device.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	return found
}

func (w *world) register(id, token string) {
	w.t.Helper()
	d := w.devices()
	if _, err := w.store.Devices.Put(w.t.Context(), anna, device.Key, d.Version, d.Value.With(id, device.Device{Token: token, RegisteredAt: w.now})); err != nil {
		w.t.Fatal(err)
	}
}

// tell has something be new, and returns what is published of it.
func (w *world) tell(first uint64, kinds ...flow.EventKind) (said []queue.Message) {
	w.t.Helper()
	var events []notice.Event
	for _, k := range kinds {
		events = append(events, notice.Event{Kind: k, Ref: "2026-11-20", Version: "v", At: w.now})
	}
	if w.teller.Wants(w.t.Context(), anna) {
		if err := w.teller.Tell(w.t.Context(), anna, first, events); err != nil {
			w.t.Fatal(err)
		}
	}
	said, w.said = w.said, nil
	return said
}

// handle hands the message over, and returns what became of it and after how long it comes.
func (w *world) handle(m queue.Message, attempt int) (word string, after time.Duration) {
	v := w.stage.Handle(w.t.Context(), queue.Delivery{Message: m, Attempt: attempt, Failed: attempt - 1})
	v.Match(queue.Cases{Ack: func() { word = "ack" }, Retry: func(d time.Duration, _ string) { word, after = "retry", d }, Dead: func(why string) { word = "dead: " + why },
		Postpone: func(d time.Duration, _ string) { word, after = "postpone", d }})
	return word, after
}

func (w *world) took() []string {
	woken := w.woken
	w.woken = nil
	return woken
}

// Each device is woken of what is new: that there is something, and no more.
func TestDevicesAreWoken(t *testing.T) {
	w := newWorld(t, "phone", "tablet")
	said := w.tell(41, flow.UploadMerged, flow.ResultStored)
	if len(said) != 1 || said[0].Key != anna {
		t.Fatalf("%v", said)
	}
	if word, _ := w.handle(said[0], 1); word != "ack" {
		t.Error(word)
	}
	want := []string{"phone-token result.stored 000000000000002a", "tablet-token result.stored 000000000000002a"}
	if diff := cmp.Diff(want, w.took()); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	if log := w.log.String(); strings.Contains(log, "canary") || strings.Contains(log, "token") {
		t.Errorf("the log says %s", log)
	}
	none := newWorld(t)
	if said := none.tell(1, flow.ResultStored); len(said) > 0 || none.teller.Wants(t.Context(), anna) {
		t.Error("somebody is woken who has no device")
	}
}

// What is new within the interval wakes once, at its end.
func TestOneWakeAnInterval(t *testing.T) {
	w := newWorld(t, "phone")
	first := w.tell(1, flow.UploadMerged)
	w.handle(first[0], 1)
	w.took()
	w.now = w.now.Add(time.Minute)
	second, third := w.tell(2, flow.ResultStored), w.tell(3, flow.InsightReady) // of two at once
	word, after := w.handle(second[0], 1)
	if word != "postpone" || after != 4*time.Minute {
		t.Errorf("the second: %s after %v", word, after)
	}
	if word, _ := w.handle(third[0], 1); word != "ack" {
		t.Errorf("the third, of which the second wakes: %s", word)
	}
	if said := w.tell(4, flow.InsightReady); len(said) > 0 {
		t.Error("of the fourth a message is sent, though one waits")
	}
	if got := w.took(); len(got) > 0 {
		t.Errorf("within the interval: %v", got)
	}
	w.now = w.now.Add(after)
	for n, want := range []int{1, 0} { // the same twice
		if word, _ := w.handle(second[0], 2); word != "ack" {
			t.Error(word)
		}
		if got := w.took(); len(got) != want {
			t.Errorf("the %d. time: %v", n+1, got)
		}
	}
	w.now = w.now.Add(every)
	w.handle(w.tell(5, flow.ResultStored)[0], 1)
	if got := w.took(); len(got) != 1 {
		t.Errorf("an interval later: %v", got)
	}
}

// However much is new, in whatever order the messages come, nobody is woken sooner, and
// everybody once at the end.
func TestABurst(t *testing.T) {
	w := newWorld(t, "phone")
	type waiting struct {
		m       queue.Message
		at      time.Time
		attempt int
	}
	var all []waiting
	var times []time.Time
	last := w.now
	for n := range uint64(200) {
		for _, m := range w.tell(n+1, flow.UploadMerged) {
			all = append(all, waiting{m, w.now, 1})
		}
		last = w.now
		for range 2 {
			for i := len(all) - 1; i >= 0; i-- {
				if all[i].at.After(w.now) {
					continue
				}
				word, after := w.handle(all[i].m, all[i].attempt)
				for range w.took() {
					times = append(times, w.now)
				}
				if word == "ack" {
					all = slices.Delete(all, i, i+1)
					continue
				}
				all[i].at, all[i].attempt = w.now.Add(after), all[i].attempt+1
			}
			w.now = w.now.Add(5 * time.Second)
		}
	}
	for len(all) > 0 && w.now.Before(last.Add(time.Hour)) {
		w.now = w.now.Add(time.Second)
		for i := len(all) - 1; i >= 0; i-- {
			if !all[i].at.After(w.now) {
				if word, _ := w.handle(all[i].m, all[i].attempt); word == "ack" {
					all = slices.Delete(all, i, i+1)
				}
				for range w.took() {
					times = append(times, w.now)
				}
			}
		}
	}
	if len(all) > 0 || len(times) < 6 || times[len(times)-1].Before(last) {
		t.Errorf("%d wait, woken at %v, the last news at %v", len(all), times, last)
	}
	for i := range times[1:] {
		if apart := times[i+1].Sub(times[i]); apart < every {
			t.Errorf("woken %v apart", apart)
		}
	}
}

// later is a service that wants to be left alone.
type later time.Duration

func (l later) Error() string             { return "later" }
func (l later) RetryAfter() time.Duration { return time.Duration(l) }

// What the service answers, of one of two devices, and what becomes of that one.
func TestAnswers(t *testing.T) {
	away := func(class fault.Class, cause error) error {
		return fmt.Errorf("send: %w", &fault.Error{Room: "push", Op: "wake", Class: class, Cause: cause})
	}
	for name, tt := range map[string]struct {
		err     error
		word    string
		after   time.Duration // at least
		there   bool
		outcome string
	}{
		"of no device":   {push.ErrGone, "ack", 0, false, outcomeGone},
		"refused":        {fmt.Errorf("send: %w", push.ErrRefused), "ack", 0, true, outcomeRefused},
		"away":           {away(fault.Unavailable, errors.New("away")), "retry", 200 * time.Millisecond, true, outcomeFailed},
		"away, it says":  {away(fault.Unavailable, later(2*time.Minute)), "retry", 2 * time.Minute, true, outcomeFailed},
		"asked too much": {away(fault.Limit, errors.New("quota")), "retry", time.Minute, true, outcomeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "phone", "tablet")
			w.fails["phone-token"] = tt.err
			m := w.tell(1, flow.ResultStored)[0]
			word, after := w.handle(m, 1)
			if word != tt.word || after < tt.after {
				t.Errorf("%s after %v", word, after)
			}
			if got := w.took(); !slices.Equal(got, []string{"tablet-token result.stored 0000000000000001"}) {
				t.Errorf("woken: %v", got)
			}
			if _, there := w.devices().Value.All["phone"]; there != tt.there {
				t.Errorf("it is there: %v", there)
			}
			if n := testutil.ToFloat64(w.stage.metrics.wakes.WithLabelValues(tt.outcome)); n != 1 {
				t.Errorf("%v are counted", n)
			}
			if log := w.log.String(); strings.Contains(log, "canary") || strings.Contains(log, "-token") {
				t.Errorf("the log says %s", log)
			}
			if word != "retry" {
				return
			}
			w.now = w.now.Add(after)
			delete(w.fails, "phone-token")
			if word, _ := w.handle(m, 2); word != "postpone" { // what the tablet is not woken of yet
				t.Error(word)
			}
			if got := w.took(); !slices.Equal(got, []string{"phone-token result.stored 0000000000000001"}) {
				t.Errorf("in the end woken: %v", got)
			}
		})
	}
}

// A service that is away for an hour is left alone then: the next news wakes.
func TestAWakeIsGivenUp(t *testing.T) {
	w := newWorld(t, "phone")
	w.fails["phone-token"] = &fault.Error{Room: "push", Op: "wake", Class: fault.Unavailable}
	m := w.tell(1, flow.ResultStored)[0]
	attempts := 1
	for began := w.now; ; attempts++ {
		word, after := w.handle(m, attempts)
		if word == "ack" {
			break
		}
		if w.now = w.now.Add(after); w.now.Sub(began) > 2*time.Hour {
			t.Fatal("it is never given up")
		}
	}
	if attempts < 10 || attempts > 40 {
		t.Errorf("%d attempts in an hour", attempts)
	}
	delete(w.fails, "phone-token")
	w.handle(w.tell(2, flow.ResultStored)[0], 1)
	if got := w.took(); len(got) != 1 {
		t.Errorf("of the next news woken: %v", got)
	}
}

// What is registered anew while a message is under way stays, whatever became of that.
func TestATokenThatIsReplacedMeanwhileStays(t *testing.T) {
	for name, err := range map[string]error{"gone": push.ErrGone, "away": errors.New("away")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "phone")
			w.fails["phone-token"] = err
			w.meanwhile = func() { w.meanwhile = nil; w.register("phone", "new-token") }
			w.handle(w.tell(1, flow.ResultStored)[0], 1)
			if got := w.devices().Value.All["phone"].Token; got != "new-token" {
				t.Errorf("the token is %q", got)
			}
		})
	}
}

// Who is erased, or has not agreed, is not woken.
func TestWhoIsNotWoken(t *testing.T) {
	w := newWorld(t, "phone")
	m := w.tell(1, flow.ResultStored)[0]
	w.agree(false)
	if word, _ := w.handle(m, 1); word != "ack" {
		t.Error(word)
	}
	w.agree(true)
	if _, err := w.store.MarkErased(t.Context(), anna, w.now, 0, "receipt"); err != nil {
		t.Fatal(err)
	}
	if word, _ := w.handle(m, 1); word != "ack" {
		t.Error(word)
	}
	if got := w.took(); len(got) > 0 {
		t.Errorf("woken: %v", got)
	}
	if err := w.store.EraseUser(t.Context(), anna); err != nil {
		t.Fatal(err)
	}
	if d := w.devices(); d.Version != 0 {
		t.Errorf("of who is erased there is %v", d.Value)
	}
}

// A message that nobody can read is a dead letter; and nothing that is counted says whose.
func TestMessagesAndCounts(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{"", "{", "{}", `{"uid":"u"}`} {
		if word, _ := w.handle(queue.Message{Topic: waking.Topic, Body: []byte(body)}, 1); word != "dead: the message cannot be read" {
			t.Errorf("%q: %s", body, word)
		}
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(w.stage)
	if n, err := testutil.GatherAndCount(r, "clarity_wakes_total"); n != 6 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}
