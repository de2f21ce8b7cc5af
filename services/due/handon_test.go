package due_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
)

// A relay notes what it hands on; it may fail.
type relay struct {
	told  []string
	fails error
}

func (r *relay) Wants(context.Context, string) bool { return true }

func (r *relay) Tell(_ context.Context, uid string, first uint64, events []notice.Event) error {
	if r.fails != nil {
		return r.fails
	}
	for i, e := range events {
		r.told = append(r.told, fmt.Sprintf("%s %d %s", uid, first+uint64(i), e.Ref))
	}
	return nil
}

// through has the world's stage, and a book, hand on.
func (w *world) through(r *relay) *news.Book {
	w.stage = due.New(due.Needs{Store: w.store, Queue: w, Windows: w.windows, Relay: r, PutOff: &w.putOff, Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	return news.NewBook(w.store, w.clock).Through(r)
}

func (w *world) tell(b *news.Book, refs ...string) {
	w.t.Helper()
	var events []flow.Event
	for _, ref := range refs {
		events = append(events, flow.Event{Kind: flow.ResultStored, Ref: ref, Version: "1"})
	}
	if _, err := b.Batch(w.t.Context(), anna, events); err != nil {
		w.t.Fatal(err)
	}
}

// unfinished are what the agenda has of what was told.
func (w *world) unfinished() (refs []string) {
	w.t.Helper()
	entries, err := w.store.Agenda.List(w.t.Context(), anna, store.Query{Limit: store.MaxLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Value.Kind == agenda.Told {
			refs = append(refs, e.Value.Ref)
		}
	}
	return refs
}

// What is told is handed on at once, and nothing is left to do.
func TestWhatIsToldIsHandedOn(t *testing.T) {
	w, r := newWorld(t), &relay{}
	b := w.through(r)
	w.tell(b, "a", "b")
	w.tell(b, "c")
	w.tell(b, "c") // which is no news
	same(t, "handed on", []string{anna + " 1 a", anna + " 2 b", anna + " 3 c"}, r.told)
	same(t, "left", nil, w.unfinished())
	w.pass(time.Hour)
	same(t, "handed on later", 3, len(r.told))
}

// Who writes and dies before it hands on leaves it to the agenda; so does who cannot, ever
// more rarely. Everything is handed on, under its number.
func TestWhatWasNotHandedOnIsLater(t *testing.T) {
	w, r := newWorld(t), &relay{fails: errors.New("away")}
	b := w.through(r)
	w.tell(b, "a")
	w.tell(b, "b", "c")
	same(t, "left", 2, len(w.unfinished()))
	w.later(2 * time.Minute)
	for range 3 {
		if _, err := w.stage.Pass(t.Context()); err == nil {
			t.Error("nothing is wrong with a relay that is away")
		}
		w.later(10 * time.Minute)
	}
	r.fails = nil
	w.pass(time.Hour)
	if len(r.told) != 3 {
		t.Errorf("handed on %v", r.told)
	}
	same(t, "left in the end", nil, w.unfinished())
}

// Where nobody listens any more, or what was told is not kept, the errand goes.
func TestWhatNobodyListensToIsNotHandedOn(t *testing.T) {
	w, r := newWorld(t), &relay{fails: errors.New("away")}
	b := w.through(r)
	w.tell(b, "a")
	w.tell(b, "b")
	if err := w.store.Events.Delete(t.Context(), anna, fmt.Sprintf("%016x", 1), store.Any); err != nil {
		t.Fatal(err)
	}
	r.fails = nil
	w.pass(2 * time.Minute)
	same(t, "handed on", []string{anna + " 2 b"}, r.told)
	r.fails = errors.New("away")
	w.tell(b, "c")
	w.stage = due.New(due.Needs{Store: w.store, Queue: w, Windows: w.windows, PutOff: &w.putOff, Now: w.clock, Log: slog.New(slog.DiscardHandler)})
	w.pass(2 * time.Minute)
	same(t, "left", nil, w.unfinished())
}
