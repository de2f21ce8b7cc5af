package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// left is what is kept of what the tenant's endpoints missed, and what of people's marks.
func left(t *testing.T, s *store.Store, people ...string) (words []string) {
	t.Helper()
	missed, err := s.Missed.List(t.Context(), owner("clinic"), store.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range missed {
		words = append(words, "missed "+string(m.Value.State))
	}
	errands, err := s.Agenda.List(t.Context(), owner("clinic"), store.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for range errands {
		words = append(words, "errand")
	}
	for _, uid := range people {
		marks, err := s.Marks.Keys(t.Context(), uid, 100)
		if err != nil {
			t.Fatal(err)
		}
		for range marks {
			words = append(words, "mark")
		}
	}
	return words
}

// expire has what is due on agendas be done, as the stage of what is due does.
func (w *world) expire() (done int) {
	w.t.Helper()
	err := w.book.store.EachDue(w.t.Context(), w.clock(), 100, func(d store.Document) error {
		errand, err := w.book.store.Agenda.Open(w.t.Context(), d)
		if err == nil {
			done++
			err = w.book.Expire(w.t.Context(), d.Key.UID, errand)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// What was missed goes a week after it was tried last, though the endpoint misses
// nothing more.
func TestWhatWasMissedGoesInAWeek(t *testing.T) {
	w := newWorld(t)
	w.register("clinic", address)
	w.server.answers(500, nil)
	w.spread(canary, 1, "a")
	m := w.said[0]
	w.one(m, 1)
	if got := left(t, w.book.store, canary); !slices.Equal(got, []string{"missed pending", "errand", "mark"}) {
		t.Fatal(got)
	}
	w.later(23 * time.Hour)
	w.one(m, 2)
	w.later(hook.Kept - 24*time.Hour)
	if n := w.expire(); n != 0 {
		t.Errorf("a week after the first try %d are due", n)
	}
	w.later(23 * time.Hour)
	w.expire()
	if got := left(t, w.book.store, canary); len(got) != 3 {
		t.Errorf("an hour before its time is over: %v", got)
	}
	w.later(time.Hour)
	w.expire()
	if got := left(t, w.book.store, canary); len(got) > 0 {
		t.Errorf("a week later there is %v", got)
	}
}

// An errand goes with what it is of, and one that comes too early is moved on.
func TestAnErrandOfWhatWasMissed(t *testing.T) {
	w := newWorld(t)
	w.register("clinic", address)
	w.server.answers(500, nil)
	w.spread(canary, 1, "a")
	w.one(w.said[0], 1)
	found, err := w.book.store.Agenda.List(t.Context(), owner("clinic"), store.Query{Limit: 10})
	if err != nil || len(found) != 1 || !found[0].Due.Equal(w.clock().Add(hook.Kept)) {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := w.book.store.Batch(t.Context(), owner("clinic"), w.book.store.Agenda.ToPut(found[0].Key, found[0].Version, found[0].Value).At(w.clock())); err != nil {
		t.Fatal(err)
	}
	if n := w.expire(); n != 1 {
		t.Errorf("%d were due", n)
	}
	if n := w.expire(); n != 0 || len(left(t, w.book.store, canary)) != 3 {
		t.Errorf("%d are due again", n)
	}
	w.server.answers(200, nil)
	w.one(w.said[0], 2)
	if got := left(t, w.book.store, canary); len(got) > 0 {
		t.Errorf("of what was taken in the end there is %v", got)
	}
}

// meddling is a driver to which something happens before a batch, once.
type meddling struct {
	store.Driver
	before func(writes []store.Write) (now bool)
	then   func()
}

func (m *meddling) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if m.then != nil && m.before(writes) {
		then := m.then
		m.then = nil
		then()
	}
	return m.Driver.Batch(ctx, writes)
}

func of(collection string, deletes bool) func([]store.Write) bool {
	return func(writes []store.Write) bool {
		return slices.ContainsFunc(writes, func(w store.Write) bool { return w.Key.Collection == collection && (w.Data == nil) == deletes })
	}
}

// overlaid has the world's book be over a driver that is meddled with.
func overlaid(w *world) *meddling {
	m := &meddling{Driver: storetest.Memory(w.clock)}
	w.book = NewBook(store.New(m, w.laptop.Keys), w, w.clock)
	w.stage = w.over(w.book)
	return m
}

// What is tried anew while its time ends stays, and an erasure finds it.
func TestWhatIsTriedAnewStays(t *testing.T) {
	w := newWorld(t)
	driver := overlaid(w)
	w.register("clinic", address)
	w.server.answers(500, nil)
	w.spread(canary, 1, "a")
	m := w.said[0]
	w.one(m, 1)
	w.later(hook.Kept)
	driver.before, driver.then = of("missed", true), func() { w.one(m, 2) }
	err := w.book.store.EachDue(t.Context(), w.clock(), 10, func(d store.Document) error {
		errand, err := w.book.store.Agenda.Open(t.Context(), d)
		if err != nil {
			return err
		}
		if err := w.book.Expire(t.Context(), d.Key.UID, errand); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := left(t, w.book.store, canary); !slices.Contains(got, "mark") || !slices.Contains(got, "errand") {
		t.Errorf("there is %v", got)
	}
	if err := w.book.Forget(t.Context(), canary); err != nil {
		t.Fatal(err)
	}
	if got := left(t, w.book.store, canary); len(got) > 0 {
		t.Errorf("of who is erased there is %v", got)
	}
}

// An erasure that falls between a mark and what it is of leaves nothing, also where the
// process dies behind that and another has the message next.
func TestAnErasureBetweenAMarkAndWhatWasMissed(t *testing.T) {
	for name, dies := range map[string]bool{"the process lives on": false, "the process dies": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			driver := overlaid(w)
			ending := &ending{Driver: driver}
			w.book = NewBook(store.New(ending, w.laptop.Keys), w, w.clock)
			w.stage = w.over(w.book)
			w.register("clinic", address)
			w.server.answers(500, nil)
			w.spread(canary, 1, "a")
			m := w.said[0]
			driver.before, driver.then = of("missed", false), func() {
				if _, err := w.book.store.MarkErased(t.Context(), canary, w.clock(), 0, "receipt"); err != nil {
					t.Error(err)
				}
				if err := w.book.Forget(t.Context(), canary); err != nil {
					t.Error(err)
				}
				ending.ended = dies
			}
			word := w.one(m, 1)
			if dies {
				if ending.ended = false; !strings.HasPrefix(word, "retry") || len(left(t, w.book.store, canary)) == 0 {
					t.Fatalf("it did not die in between: %s", word)
				}
				word = w.one(m, 2)
			}
			if got := left(t, w.book.store, canary); len(got) > 0 {
				t.Errorf("%s: of who is erased there is %v", word, got)
			}
		})
	}
}

// ending is a driver that reads nothing more from some time on.
type ending struct {
	store.Driver
	ended bool
}

func (e *ending) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if e.ended {
		return store.Document{}, errors.New("away")
	}
	return e.Driver.Get(ctx, k)
}

// An event is sent anew that was given up, is listed, and has somebody to take it; once.
func TestWhatIsSentAnew(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(w *world, id string, m *hook.Missed)
		want   error
	}{
		"given up":          {func(*world, string, *hook.Missed) {}, nil},
		"tried anyway":      {func(_ *world, _ string, m *hook.Missed) { m.State = hook.Pending }, ErrSettled},
		"kept no more":      {func(w *world, _ string, m *hook.Missed) { m.Last = w.clock().Add(-hook.Kept) }, ErrSettled},
		"just still kept":   {func(w *world, _ string, m *hook.Missed) { m.Last = w.clock().Add(time.Second - hook.Kept) }, nil},
		"the server's gone": {func(w *world, id string, _ *hook.Missed) { w.goes(id) }, ErrSettled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.register("clinic", address)
			m := hook.Missed{UID: canary, Number: 1, Kind: "result.stored", Ref: "a", State: hook.Failed, Attempts: 9, Last: w.clock()}
			tt.change(w, id, &m)
			if _, err := w.book.store.Missed.Put(t.Context(), owner("clinic"), id+"-x", 0, m); err != nil {
				t.Fatal(err)
			}
			if _, err := w.book.Replay(t.Context(), "clinic", id, "x"); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if sent := len(w.said) > 0; sent != (tt.want == nil) {
				t.Errorf("published: %v", w.said)
			}
			if _, err := w.book.Replay(t.Context(), "clinic", id, "x"); !errors.Is(err, ErrSettled) {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// goes has the endpoint say that it is gone.
func (w *world) goes(id string) {
	w.t.Helper()
	found, err := w.book.store.Endpoints.Get(w.t.Context(), owner("clinic"), id)
	if err == nil {
		err = w.book.gone(w.t.Context(), found)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// mute publishes nothing.
type mute struct{}

func (mute) Publish(context.Context, ...queue.Message) error { return errors.New("away") }

// What could not be published can be asked for again.
func TestWhatIsNotPublishedIsGivenUpStill(t *testing.T) {
	w := newWorld(t)
	id := w.register("clinic", address)
	m := hook.Missed{UID: canary, Number: 1, Kind: "result.stored", Ref: "a", State: hook.Failed, Attempts: 9, Last: w.clock()}
	if _, err := w.book.store.Missed.Put(t.Context(), owner("clinic"), id+"-x", 0, m); err != nil {
		t.Fatal(err)
	}
	if _, err := NewBook(w.book.store, mute{}, w.clock).Replay(t.Context(), "clinic", id, "x"); err == nil {
		t.Fatal("it was published")
	}
	if _, err := w.book.Replay(t.Context(), "clinic", id, "x"); err != nil || len(w.said) != 1 {
		t.Errorf("%v, %v", err, w.said)
	}
}

// together is a driver whose first so many lists end at once.
type together struct {
	store.Driver
	mu      sync.Mutex
	waiting int
	all     chan struct{}
}

func (d *together) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	found, err := d.Driver.List(ctx, q)
	d.mu.Lock()
	if d.waiting--; d.waiting == 0 {
		close(d.all)
	}
	d.mu.Unlock()
	<-d.all
	return found, err
}

// However many register at once, a tenant has so many endpoints.
func TestATenantHasNoMoreHoweverManyRegisterAtOnce(t *testing.T) {
	w := newWorld(t)
	const many = 3 * hook.Most
	driver := &together{Driver: storetest.Memory(w.clock), waiting: many, all: make(chan struct{})}
	book := NewBook(store.New(driver, w.laptop.Keys), w, w.clock)
	var mu sync.Mutex
	came := map[string]int{}
	var running sync.WaitGroup
	for n := range many {
		running.Go(func() {
			_, _, err := book.Create(t.Context(), "clinic", fmt.Sprintf("https://example.com/%d", n), nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				came["made"]++
			case errors.Is(err, ErrMany):
				came["many"]++
			default:
				t.Error(err)
			}
		})
	}
	running.Wait()
	there, err := book.Endpoints(t.Context(), "clinic")
	if err != nil || len(there) != hook.Most || came["made"] != hook.Most || came["many"] != many-hook.Most {
		t.Errorf("%d are there, %v, %v", len(there), came, err)
	}
}

// due is of one event of the person's.
func due(uid, endpoint string, n uint64) hooking.Due {
	return hooking.Due{UID: uid, First: n, Endpoint: endpoint, Events: []hooking.Event{{Kind: "result.stored", Ref: fmt.Sprint(n)}}}
}

// What a deletion or an erasure is of goes with its errands.
func TestErrandsGoWithWhatTheyAreOf(t *testing.T) {
	w := newWorld(t)
	a, b := w.register("clinic", address), w.register("clinic", address)
	for n := range uint64(3) {
		for _, d := range []hooking.Due{due(canary, a, n), due("clinic:ben", a, n), due("clinic:ben", b, n)} {
			if err := w.book.missed(t.Context(), d, hook.Failed, answer{reason: reasonAway}); err != nil {
				t.Fatal(err)
			}
		}
	}
	count := func() string {
		all := left(t, w.book.store, canary, "clinic:ben")
		n := map[string]int{}
		for _, word := range all {
			n[word]++
		}
		return fmt.Sprint(n["missed failed"], n["errand"], n["mark"])
	}
	if got := count(); got != "9 9 9" {
		t.Error(got)
	}
	if err := w.book.Forget(t.Context(), canary); err != nil || count() != "6 6 6" {
		t.Error(count(), err)
	}
	if err := w.book.Delete(t.Context(), "clinic", a); err != nil || count() != "3 3 3" {
		t.Error(count(), err)
	}
}
