package due_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

// missed are the tenants' endpoints.
type missed struct {
	store   *store.Store
	fails   error
	expired []string
}

func (m *missed) Expire(ctx context.Context, owner string, errand store.Record[agenda.Errand]) error {
	if m.fails != nil {
		return m.fails
	}
	m.expired = append(m.expired, owner+" "+errand.Value.Ref)
	return m.store.Agenda.Delete(ctx, owner, errand.Key, errand.Version)
}

// What an endpoint missed goes when its time is over; where that cannot be read, or
// nobody is told by requests, it is put off.
func TestWhatWasMissedGoesInTime(t *testing.T) {
	const owner = "=webhooks:clinic"
	w := newWorld(t)
	m := &missed{store: w.store, fails: fmt.Errorf("open: %w", keyring.ErrTampered)}
	with := func(needs due.Needs) {
		needs.Store, needs.Queue, needs.Windows, needs.PutOff, needs.Now, needs.Log = w.store, w, w.windows, &w.putOff, w.clock, slog.New(slog.DiscardHandler)
		w.stage = due.New(needs)
	}
	e := agenda.Errand{Kind: agenda.Missed, Ref: "endpoint-event", Since: w.clock()}
	if _, err := w.store.Batch(t.Context(), owner, w.store.Agenda.ToPut(e.Key(), 0, e).At(w.clock().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	with(due.Needs{Missed: m})
	w.pass(59 * time.Minute)
	same(t, "put off before its time", count(0), w.putOff)
	w.pass(time.Minute)
	same(t, "put off that cannot be read", count(1), w.putOff)
	with(due.Needs{})
	w.pass(2 * time.Hour)
	same(t, "put off where nobody is told", count(2), w.putOff)
	with(due.Needs{Missed: m})
	m.fails = errors.New("away")
	w.later(2 * time.Hour)
	if _, err := w.stage.Pass(t.Context()); err == nil {
		t.Error("nothing is wrong with a store that is away")
	}
	m.fails = nil
	w.pass(0)
	same(t, "gone", []string{owner + " endpoint-event"}, m.expired)
	w.pass(24 * time.Hour)
	same(t, "gone later", 1, len(m.expired))
}
