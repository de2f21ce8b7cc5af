package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/mischief"
	"github.com/clarity-loop/clarity/services/store"
)

// Staleness is how old an answer of Due may be.
const Staleness = 5 * time.Second

// Options say how hostile a driver is.
type Options = mischief.Options

// A HostileDriver keeps every word of the contract and nothing more. It fails
// before it does what it was asked; does it, does not, or does it some calls
// later, and says that the outcome is unknown; lets another writer be first;
// shows the agenda as it was, within Staleness; sends tokens that mean nothing;
// answers late; and is away as long as it is told to be.
//
// What happens at a call depends on the seed and on how often that call of that
// document was made before, and not on what runs beside it: a run can be repeated.
type HostileDriver struct {
	store.Driver
	*mischief.Dice

	mu      sync.Mutex
	waiting []waiting // batches that are applied some calls later
	shown   map[store.Key]shown
}

type waiting struct {
	writes []store.Write
	in     int // calls
}

// shown is an agenda's document as Due showed it last.
type shown struct {
	document store.Document
	at       time.Time
}

// Hostile is the driver, as bad as it may be.
func Hostile(d store.Driver, o Options) *HostileDriver {
	return &HostileDriver{Driver: d, Dice: mischief.New(o), shown: map[store.Key]shown{}}
}

// Get fails, or answers late.
func (h *HostileDriver) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if err := h.before(ctx, "get", k); err != nil {
		return store.Document{}, err
	}
	return h.Driver.Get(ctx, k)
}

// List fails, or answers late. What it lists is true.
func (h *HostileDriver) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := h.before(ctx, "list", store.Key{Collection: q.Collection, UID: q.UID, Key: q.From + q.After}); err != nil {
		return nil, err
	}
	return h.Driver.List(ctx, q)
}

// Batch is where most happens.
func (h *HostileDriver) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if err := store.CheckBatch(writes); err != nil {
		return h.Driver.Batch(ctx, writes)
	}
	k := writes[0].Key
	if err := h.before(ctx, "write", k); err != nil {
		return nil, err
	}
	switch h.Draw("outcome", nameOf(k), 4) {
	case 1:
		if _, err := h.Driver.Batch(ctx, writes); err != nil {
			return nil, err
		}
		return nil, h.unknown("done and unknown")
	case 2:
		return nil, h.unknown("not done and unknown")
	case 3:
		h.later(writes)
		return nil, h.unknown("done later and unknown")
	case 4:
		if err := h.overtake(ctx, writes); err != nil {
			return nil, err
		}
	}
	return h.Driver.Batch(ctx, writes)
}

// overtake has another writer change what the batch is about, or find its time:
// it writes what is there once more. Whoever wrote the batch finds that, and sees to
// it. Where the batch is too late anyway, and its writer need not look again, nobody
// would: a document would have changed of which no one ever tells.
func (h *HostileDriver) overtake(ctx context.Context, writes []store.Write) error {
	var before *store.Document
	for _, w := range writes {
		d, err := h.Driver.Get(ctx, w.Key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if w.IfVersion != store.Any && w.IfVersion != d.Version {
			return nil // others were
		}
		if before == nil && !w.Check && w.IfVersion > 0 {
			before = &d
		}
	}
	if before == nil {
		return nil
	}
	_, err := h.Driver.Batch(ctx, []store.Write{{Key: before.Key, IfVersion: before.Version, Data: before.Data, Due: before.Due, Came: before.Came}})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err == nil {
		h.Count("overtaken")
	}
	return err
}

// Due shows what was due a while ago.
func (h *HostileDriver) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	k := store.Key{Collection: agenda, Key: fmt.Sprint(shard)}
	if err := h.before(ctx, "due", k); err != nil {
		return nil, err
	}
	docs, err := h.Driver.Due(ctx, collections, shard, before, limit)
	if err != nil {
		return nil, err
	}
	now := h.Now()
	there := map[store.Key]bool{}
	docs = slices.DeleteFunc(docs, func(d store.Document) bool {
		there[d.Key] = true
		if now.Sub(d.Updated) < Staleness && h.Falls("not yet shown", nameOf(d.Key)) {
			return true
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.shown[d.Key] = shown{d, now}
		return false
	})
	for _, d := range h.former(collections, shard, before, now) {
		if !there[d.Key] && h.Falls("still shown", nameOf(d.Key)) {
			docs = append(docs, d)
		}
	}
	slices.SortStableFunc(docs, func(a, b store.Document) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Key.UID, b.Key.UID), cmp.Compare(a.Key.Key, b.Key.Key))
	})
	return docs[:min(len(docs), limit)], nil
}

// former are the documents that were shown as due so lately that they may be again.
func (h *HostileDriver) former(collections []string, shard int, before, now time.Time) (docs []store.Document) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, s := range h.shown {
		switch {
		case now.Sub(s.at) >= Staleness:
			delete(h.shown, k)
		case slices.Contains(collections, k.Collection) && store.ShardOf(k.UID) == shard && !s.document.Due.After(before):
			docs = append(docs, s.document)
		}
	}
	return docs
}

// Tail sends what means nothing, and late.
func (h *HostileDriver) Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error) {
	k := store.Key{Collection: collection, UID: uid, Key: after}
	if err := h.before(ctx, "tail", k); err != nil {
		return nil, err
	}
	tokens, err := h.Driver.Tail(ctx, collection, uid, after)
	if err != nil {
		return nil, err
	}
	out := make(chan struct{}, 1)
	if h.Falls("token for nothing", nameOf(k)) {
		out <- struct{}{}
	}
	go func() {
		defer close(out)
		for range tokens {
			h.Wait(ctx, nameOf(k))
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, nil
}

// People fails, or answers late.
func (h *HostileDriver) People(ctx context.Context, after string, limit int) ([]string, error) {
	if err := h.before(ctx, "list people", store.Key{UID: after}); err != nil {
		return nil, err
	}
	return h.Driver.People(ctx, after, limit)
}

// EraseUser fails before, or behind what it did.
func (h *HostileDriver) EraseUser(ctx context.Context, uid string) error {
	k := store.Key{UID: uid}
	if err := h.before(ctx, "erase", k); err != nil {
		return err
	}
	err := h.Driver.EraseUser(ctx, uid)
	if err == nil && h.Falls("erased and failed", nameOf(k)) {
		return store.Fault("erase", mischief.ErrAway)
	}
	return err
}

// Ready fails as any call.
func (h *HostileDriver) Ready(ctx context.Context) error {
	if err := h.before(ctx, "ready", store.Key{}); err != nil {
		return err
	}
	return h.Driver.Ready(ctx)
}

// before is what comes before any call: batches that waited for their time are
// applied, the answer is late, or the call does not happen.
func (h *HostileDriver) before(ctx context.Context, what string, k store.Key) error {
	for _, writes := range h.ripe() {
		// Whether it still applies is for nobody to know.
		_, _ = h.Driver.Batch(context.WithoutCancel(ctx), writes)
	}
	err := h.Before(ctx, what, nameOf(k))
	if errors.Is(err, mischief.ErrAway) {
		err = &fault.Error{Room: "store", Op: what, Class: fault.Unavailable, Code: "away", Cause: err}
	}
	return store.Fault(what, err)
}

// nameOf is what the calls of a document are counted by.
func nameOf(k store.Key) string { return k.Collection + "\x00" + k.UID + "\x00" + k.Key }

func (h *HostileDriver) unknown(how string) error {
	h.Count(how)
	return store.Fault("write", store.ErrUnknown)
}

// later keeps a batch until some calls have passed.
func (h *HostileDriver) later(writes []store.Write) {
	n := 1 + h.Among("how much later", nameOf(writes[0].Key), 8)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, waiting{writes, n})
}

// ripe are the batches whose time has come.
func (h *HostileDriver) ripe() (batches [][]store.Write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = slices.DeleteFunc(h.waiting, func(w waiting) bool {
		if w.in > 1 {
			return false
		}
		batches = append(batches, w.writes)
		return true
	})
	for i := range h.waiting {
		h.waiting[i].in--
	}
	return batches
}
