package storetest

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/store"
)

// Staleness is how old an answer of Due may be.
const Staleness = 5 * time.Second

// errAway is why a call of a hostile driver did not happen.
var errAway = errors.New("storetest: the database is away")

// Options say how hostile a driver is.
type Options struct {
	Seed uint64
	// Worst is the share of the calls at which something happens, 0 to 1.
	Worst float64
	Now   func() time.Time
	// Late is the longest that an answer waits. 0: none does.
	Late time.Duration
}

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
	Options

	mu      sync.Mutex
	calls   map[call]uint64
	waiting []waiting // batches that are applied some calls later
	shown   map[store.Key]shown
	away    bool
	done    map[string]int // what happened, and how often
}

// A call is what calls are counted by.
type call struct {
	what string
	key  store.Key
}

type waiting struct {
	writes []store.Write
	in     uint64 // calls
}

// shown is an agenda's document as Due showed it last.
type shown struct {
	document store.Document
	at       time.Time
}

// Hostile is the driver, as bad as it may be.
func Hostile(d store.Driver, o Options) *HostileDriver {
	return &HostileDriver{Driver: d, Options: o, calls: map[call]uint64{}, shown: map[store.Key]shown{}, done: map[string]int{}}
}

// Away has every call fail until it is back.
func (h *HostileDriver) Away(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

// Happened is how often what happened, by its name.
func (h *HostileDriver) Happened() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	happened := map[string]int{}
	for what, n := range h.done {
		happened[what] = n
	}
	return happened
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
	switch h.draw("outcome", k, 4) {
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
// it writes what is there once more.
func (h *HostileDriver) overtake(ctx context.Context, writes []store.Write) error {
	for _, w := range writes {
		if w.Check || w.IfVersion <= 0 {
			continue
		}
		d, err := h.Driver.Get(ctx, w.Key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err == nil {
			_, err = h.Driver.Batch(ctx, []store.Write{{Key: d.Key, IfVersion: d.Version, Data: d.Data, Due: d.Due}})
		}
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		h.count("overtaken")
		return nil
	}
	return nil
}

// Due shows what was due a while ago.
func (h *HostileDriver) Due(ctx context.Context, shard int, before time.Time, limit int) ([]store.Document, error) {
	k := store.Key{Collection: agenda, Key: fmt.Sprint(shard)}
	if err := h.before(ctx, "due", k); err != nil {
		return nil, err
	}
	docs, err := h.Driver.Due(ctx, shard, before, limit)
	if err != nil {
		return nil, err
	}
	now := h.Now()
	there := map[store.Key]bool{}
	docs = slices.DeleteFunc(docs, func(d store.Document) bool {
		there[d.Key] = true
		if now.Sub(d.Updated) < Staleness && h.draw("not yet shown", d.Key, 1) > 0 {
			return true
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.shown[d.Key] = shown{d, now}
		return false
	})
	for _, d := range h.former(shard, before, now) {
		if !there[d.Key] && h.draw("still shown", d.Key, 1) > 0 {
			docs = append(docs, d)
		}
	}
	slices.SortStableFunc(docs, func(a, b store.Document) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Key.UID, b.Key.UID), cmp.Compare(a.Key.Key, b.Key.Key))
	})
	return docs[:min(len(docs), limit)], nil
}

// former are the documents that were shown as due so lately that they may be again.
func (h *HostileDriver) former(shard int, before, now time.Time) (docs []store.Document) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, s := range h.shown {
		switch {
		case now.Sub(s.at) >= Staleness:
			delete(h.shown, k)
		case store.ShardOf(k.UID) == shard && !s.document.Due.After(before):
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
	if h.draw("token for nothing", k, 1) > 0 {
		out <- struct{}{}
	}
	go func() {
		defer close(out)
		for range tokens {
			h.wait(ctx, k)
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
	if err == nil && h.draw("erased and failed", k, 1) > 0 {
		return store.Fault("erase", errAway)
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
	h.wait(ctx, k)
	h.mu.Lock()
	away := h.away
	h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Fault(what, err)
	}
	if away || h.draw(what+" away", k, 1) > 0 {
		return store.Fault(what, &fault.Error{Room: "store", Op: what, Class: fault.Unavailable, Code: "away", Cause: errAway})
	}
	return nil
}

func (h *HostileDriver) wait(ctx context.Context, k store.Key) {
	if h.Late <= 0 || h.draw("late", k, 1) == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(h.roll("how late", k) * float64(h.Late))):
	}
}

func (h *HostileDriver) unknown(how string) error {
	h.count(how)
	return store.Fault("write", store.ErrUnknown)
}

// later keeps a batch until some calls have passed.
func (h *HostileDriver) later(writes []store.Write) {
	n := 1 + uint64(8*h.roll("how much later", writes[0].Key))
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

// draw is 0 where nothing happens, else which of so many things does.
func (h *HostileDriver) draw(what string, k store.Key, things int) int {
	r := h.roll(what, k)
	if r >= h.Worst {
		return 0
	}
	if things == 1 {
		h.count(what)
	}
	return 1 + int(r/h.Worst*float64(things))
}

// roll is a number from 0 to 1: the seed's, for this call.
func (h *HostileDriver) roll(what string, k store.Key) float64 {
	h.mu.Lock()
	n := h.calls[call{what, k}]
	h.calls[call{what, k}]++
	h.mu.Unlock()
	sum := fnv.New64a()
	_ = binary.Write(sum, binary.LittleEndian, []uint64{h.Seed, n})
	_, _ = sum.Write([]byte(what + "\x00" + k.Collection + "\x00" + k.UID + "\x00" + k.Key))
	x := sum.Sum64()
	x ^= x >> 33 // the hash's last byte has hardly reached its upper bits
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

func (h *HostileDriver) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done[what]++
}
