// Package news writes down what there is to tell a person's devices.
//
// Each event has the next sequence number of its person, so that a device which
// reads in order and remembers the last number misses nothing. The numbers of a
// person are consecutive and never used twice. One whose Change was told of among the
// person's last Recent is not written again, nor, where it has none, one that repeats
// the last of its Ref among them; the last Kept are kept. Nor is
// it written that something is gone of which the person was told nothing, as far as
// events are kept. Who was erased and comes back is told from the beginning.
//
// Events that are told at once are one document, under the number of the first, 16
// hexadecimal digits: see notice.Page. It also has the marks of the Recent before
// it, so that whoever writes the next reads one document. Two who write at once want the same number, and the store
// refuses one of them.
package news

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	// Kept is how many events of a person are kept.
	Kept = 1000
	// Recent is among how many of the newest a repetition is recognised.
	Recent = 64
)

// attempts is how often a number is tried that another process takes at the same time.
const attempts = 4

// A Relay hands on what devices were told. Both may be done again.
type Relay interface {
	// Wants says whether somebody may listen to the person.
	Wants(ctx context.Context, uid string) bool
	// Tell hands on the events that were told at once, the first under the number.
	Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error
}

// A Book writes what people's devices are told.
type Book struct {
	store *store.Store
	relay Relay // nil: nobody else listens
	now   func() time.Time
}

// NewBook is a book in the store, of which nothing is handed on.
func NewBook(s *store.Store, now func() time.Time) *Book {
	return &Book{store: s, now: now}
}

// Through is the book with a relay; nil is none.
func (b *Book) Through(r Relay) *Book {
	return &Book{store: b.store, relay: r, now: b.now}
}

// Batch applies the changes of one person's records, and tells the events that are
// news, all or none; it returns the versions of the records. It is ErrConflict where
// one of the changes does not apply.
func (b *Book) Batch(ctx context.Context, uid string, events []flow.Event, changes ...store.Change) (versions []int64, err error) {
	if len(events) == 0 && len(changes) == 0 {
		return nil, nil
	}
	if len(events) == 0 {
		return b.store.Batch(ctx, uid, changes...)
	}
	versions, err = b.tell(ctx, uid, events, changes)
	if errors.Is(err, keyring.ErrTampered) {
		shed, looked := b.shed(ctx, uid)
		if looked != nil {
			return nil, looked
		}
		if shed {
			return b.tell(ctx, uid, events, changes)
		}
	}
	return versions, err
}

// shed removes the pages of a life before, and says whether there were any: who did not
// know of its end in time wrote them behind it, under a key that is destroyed. Of who
// never came back it removes nothing: what does not open is damaged, and told of so. In
// a later life what is damaged goes with it, and a device that had seen it is told where
// its past ends.
func (b *Book) shed(ctx context.Context, uid string) (shed bool, err error) {
	standing, err := b.store.Standing(ctx, uid)
	if err != nil || standing.Value.Life == 0 || standing.Value.Active() != nil {
		return false, err
	}
	closed, err := b.store.Events.Closed(ctx, uid, store.Query{Descending: true, Limit: store.MaxLimit}, keyring.ErrTampered)
	if err != nil {
		return false, err
	}
	for some := range slices.Chunk(closed, store.MaxBatch) {
		var gone []store.Change
		for _, r := range some {
			gone = append(gone, b.store.Events.ToDelete(r.Key, r.Version))
		}
		if _, err := b.store.Batch(ctx, uid, gone...); err != nil {
			return false, fmt.Errorf("remove what a life before has left: %w", err)
		}
	}
	return len(closed) > 0, nil
}

// tell is Batch where there are events.
func (b *Book) tell(ctx context.Context, uid string, events []flow.Event, changes []store.Change) (versions []int64, err error) {
	former := told{}
	for attempt := range attempts {
		known, err := b.told(ctx, uid)
		if err != nil {
			return nil, err
		}
		if attempt > 0 && known.last == former.last { // it is not about the number
			break
		}
		all, next := changes, known
		page, err := b.page(ctx, uid, &next, events)
		if err != nil {
			return nil, err
		}
		handOn := page != nil && b.relay != nil && b.relay.Wants(ctx, uid)
		if page != nil {
			all = append(slices.Clone(changes), b.store.Events.ToPut(key(known.last+1), 0, *page))
		}
		if handOn {
			all = append(all, b.errand(key(known.last+1)))
		}
		if len(all) == 0 { // all of it was told
			return nil, nil
		}
		versions, err = b.store.Batch(ctx, uid, all...)
		if err == nil {
			_ = b.forget(ctx, uid, known.last, next.last) // or the next time
			if handOn {
				_ = b.handOn(ctx, uid, known.last+1, *page, versions[len(all)-1]) // or who looks at the agenda does
			}
			return versions[:len(changes)], nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
		former = known
	}
	return nil, fmt.Errorf("tell what is new: %w", store.ErrConflict)
}

// handing is how long who wrote a page has to hand it on, before another does.
const handing = time.Minute

// errand has the page of the key be handed on.
func (b *Book) errand(key string) store.Change {
	at := b.now().UTC()
	e := agenda.Errand{Kind: agenda.Told, Ref: key, Since: at}
	return b.store.Agenda.ToPut(e.Key(), store.Any, e).At(at.Add(handing))
}

// handOn hands the page on and takes the errand off the agenda.
func (b *Book) handOn(ctx context.Context, uid string, first uint64, page notice.Page, version int64) error {
	if err := b.relay.Tell(ctx, uid, first, page.All()); err != nil {
		return err
	}
	errand := agenda.Errand{Kind: agenda.Told, Ref: key(first)}
	return b.store.Agenda.Delete(ctx, uid, errand.Key(), version)
}

// page is the document of those of the events that are news, nil for none; known is
// what was told with it.
func (b *Book) page(ctx context.Context, uid string, known *told, events []flow.Event) (page *notice.Page, err error) {
	at := b.now().UTC()
	for _, e := range events {
		m := markOf(e.Kind, e.Ref, e.Version, e.Change)
		if known.repeats(m, e.Change != 0) {
			continue
		}
		if e.Kind.Ends() && !known.knows(m) {
			told, err := b.toldOf(ctx, uid, *known, m)
			if err != nil {
				return nil, err
			}
			if !told {
				continue
			}
		}
		*known = known.with(known.last+1, m)
		one := notice.Event{Kind: e.Kind, Ref: e.Ref, Version: e.Version, At: at}
		if page == nil {
			page = &notice.Page{Event: one}
		} else {
			page.More = append(page.More, one)
		}
	}
	if page != nil {
		page.Marks = known.encode()
	}
	return page, nil
}

// toldOf says whether the person may have been told, before the newest, of what the
// mark is of: they were, or some events are not kept any more.
func (b *Book) toldOf(ctx context.Context, uid string, newest told, m mark) (bool, error) {
	if newest.last <= uint64(len(newest.marks)) { // they are all
		return false, nil
	}
	for after := ""; ; {
		page, err := b.store.Events.List(ctx, uid, store.Query{After: after, Limit: store.MaxLimit})
		if err != nil {
			return false, err
		}
		if after == "" && (len(page) == 0 || page[0].Key != key(1)) {
			return true, nil
		}
		for _, r := range page {
			after = r.Key
			for _, e := range r.Value.All() {
				if markOf(e.Kind, e.Ref, e.Version, 0).of == m.of {
					return true, nil
				}
			}
		}
		if len(page) < store.MaxLimit {
			return false, nil
		}
	}
}

// told is what the person was told lately.
func (b *Book) told(ctx context.Context, uid string) (told, error) {
	newest, err := b.store.Events.List(ctx, uid, store.Query{Descending: true, Limit: 1})
	if err != nil || len(newest) == 0 {
		return told{}, err
	}
	if len(newest[0].Value.Marks) == 0 {
		return b.gather(ctx, uid)
	}
	first, err := number(newest[0].Key)
	return decode(first+uint64(len(newest[0].Value.More)), newest[0].Value.Marks), err
}

// gather is told of the events that the releases before wrote, one a document and
// without marks.
func (b *Book) gather(ctx context.Context, uid string) (told, error) {
	newest, err := b.store.Events.List(ctx, uid, store.Query{Descending: true, Limit: Recent})
	if err != nil || len(newest) == 0 {
		return told{}, err
	}
	var known told
	for i := len(newest) - 1; i >= 0; i-- {
		first, err := number(newest[i].Key)
		if err != nil {
			return told{}, err
		}
		for n, v := range newest[i].Value.All() {
			known = known.with(first+uint64(n), markOf(v.Kind, v.Ref, v.Version, 0))
		}
	}
	return known, nil
}

// forgetting is behind how many events those are looked for that are not kept any more.
const forgetting = 64

// forget removes the documents of which no event is among the last Kept, each time
// that a number of events was told.
func (b *Book) forget(ctx context.Context, uid string, before, last uint64) error {
	if last <= Kept || before/forgetting == last/forgetting {
		return nil
	}
	stale, err := b.store.Events.List(ctx, uid, store.Query{To: key(last - Kept + 2), Limit: store.MaxLimit})
	if err != nil || len(stale) == 0 {
		return err
	}
	var gone []store.Change
	for _, r := range stale[:len(stale)-1] { // what follows the last of them may begin behind what is kept
		gone = append(gone, b.store.Events.ToDelete(r.Key, store.Any))
	}
	for len(gone) > 0 {
		n := min(len(gone), store.MaxBatch)
		if _, err := b.store.Batch(ctx, uid, gone[:n]...); err != nil {
			return err
		}
		gone = gone[n:]
	}
	return nil
}
