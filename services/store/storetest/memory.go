package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/store"
)

// A MemoryDriver is the contract in a map: what it is told is gone with the
// process. It is for tests that need a store of their own in a millisecond.
type MemoryDriver struct {
	now func() time.Time

	mu      sync.Mutex
	changes int64
	places  map[place]map[string]store.Document
	due     [store.Shards]map[store.Key]time.Time
	next    map[string]time.Time // of a collection, as long as nothing that is due changes
	tails   map[place]map[*memoryTail]bool
}

type place struct{ collection, uid string }

type memoryTail struct {
	greatest string
	tokens   chan struct{}
}

// Memory is an empty store.
func Memory(now func() time.Time) *MemoryDriver {
	return &MemoryDriver{now: now, places: map[place]map[string]store.Document{}, tails: map[place]map[*memoryTail]bool{}, next: map[string]time.Time{}}
}

// Get returns the document.
func (m *MemoryDriver) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if err := errors.Join(k.Check(), ctx.Err()); err != nil {
		return store.Document{}, store.Fault("get", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.places[place{k.Collection, k.UID}][k.Key]
	if !ok {
		return store.Document{}, store.Fault("get", store.ErrNotFound)
	}
	d.Data = bytes.Clone(d.Data)
	return d, nil
}

// Batch applies the writes where all of them apply.
func (m *MemoryDriver) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if err := cmp.Or(store.CheckBatch(writes), ctx.Err()); err != nil {
		return nil, store.Fault("write", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		now := m.places[place{w.Key.Collection, w.Key.UID}][w.Key.Key].Version
		if w.IfVersion != store.Any && w.IfVersion != now {
			return nil, store.Fault("write", store.ErrConflict)
		}
	}
	versions := make([]int64, len(writes))
	for i, w := range writes {
		switch {
		case w.Check:
			versions[i] = w.IfVersion
		case w.Data == nil:
			m.remove(w.Key)
		default:
			versions[i] = m.put(w)
		}
	}
	return versions, nil
}

// put keeps a document in a version that says nothing by its size.
func (m *MemoryDriver) put(w store.Write) int64 {
	m.changes++
	p := place{w.Key.Collection, w.Key.UID}
	if m.places[p] == nil {
		m.places[p] = map[string]store.Document{}
	}
	d := store.Document{Key: w.Key, Version: scrambled(m.changes), Updated: m.now().UTC().Round(0), Data: bytes.Clone(w.Data)}
	if d.Data == nil {
		d.Data = []byte{}
	}
	if w.Key.Collection == "uploads" {
		d.Came = w.Came.UTC().Truncate(time.Millisecond)
	}
	m.remove(w.Key)
	if !w.Due.IsZero() {
		d.Due = w.Due.UTC().Truncate(time.Microsecond)
		shard := store.ShardOf(w.Key.UID)
		if m.due[shard] == nil {
			m.due[shard] = map[store.Key]time.Time{}
		}
		m.due[shard][w.Key] = d.Due
		clear(m.next)
	}
	m.places[p][w.Key.Key] = d
	for t := range m.tails[p] {
		if w.Key.Key > t.greatest {
			t.greatest = w.Key.Key
			select {
			case t.tokens <- struct{}{}:
			default:
			}
		}
	}
	return d.Version
}

// scrambled is another number for each, none of them 0 or negative.
func scrambled(n int64) int64 { return n<<20 | (n*0x9E37)&0xFFFFF }

func (m *MemoryDriver) remove(k store.Key) {
	delete(m.places[place{k.Collection, k.UID}], k.Key)
	if of := m.due[store.ShardOf(k.UID)]; !of[k].IsZero() {
		delete(of, k)
		clear(m.next)
	}
}

// List returns the documents of the query.
func (m *MemoryDriver) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := errors.Join(q.Check(), ctx.Err()); err != nil {
		return nil, store.Fault("list", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.places[place{q.Collection, q.UID}]
	order := func(a, b store.Document) int { return cmp.Compare(a.Key.Key, b.Key.Key) }
	switch {
	case q.Newest:
		order = func(a, b store.Document) int {
			return cmp.Or(b.Came.Compare(a.Came), cmp.Compare(a.Key.Key, b.Key.Key))
		}
	case q.Descending:
		order = func(a, b store.Document) int { return cmp.Compare(b.Key.Key, a.Key.Key) }
	}
	cursor := store.Document{Key: store.Key{Key: q.After}, Came: q.Came}
	var docs []store.Document
	for _, d := range slices.SortedFunc(maps.Values(of), order) {
		key := d.Key.Key
		if q.After != "" && order(d, cursor) <= 0 || key < q.From || q.To != "" && key >= q.To {
			continue
		}
		d.Data = bytes.Clone(d.Data)
		if docs = append(docs, d); len(docs) == q.Limit {
			break
		}
	}
	return docs, nil
}

// Tail tells of greater keys.
func (m *MemoryDriver) Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error) {
	if err := errors.Join((store.Key{Collection: collection, UID: uid, Key: "-"}).Check(), ctx.Err()); err != nil {
		return nil, store.Fault("tail", err)
	}
	p, t := place{collection, uid}, &memoryTail{greatest: after, tokens: make(chan struct{}, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tails[p] == nil {
		m.tails[p] = map[*memoryTail]bool{}
	}
	m.tails[p][t] = true
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.tails[p], t)
		close(t.tokens)
	})
	return t.tokens, nil
}

// Due lists what is due of the collections in a shard.
func (m *MemoryDriver) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	if shard < 0 || shard >= store.Shards || limit < 1 || limit > store.MaxLimit {
		return nil, store.Fault("due", fmt.Errorf("no shard %d, or no limit %d", shard, limit))
	}
	if err := ctx.Err(); err != nil {
		return nil, store.Fault("due", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var docs []store.Document
	for k, at := range m.due[shard] {
		if !at.After(before) && slices.Contains(collections, k.Collection) {
			d := m.places[place{k.Collection, k.UID}][k.Key]
			d.Data = bytes.Clone(d.Data)
			docs = append(docs, d)
		}
	}
	slices.SortFunc(docs, func(a, b store.Document) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Key.UID, b.Key.UID), cmp.Compare(a.Key.Key, b.Key.Key))
	})
	return docs[:min(len(docs), limit)], nil
}

// People lists who has an account or a consent.
func (m *MemoryDriver) People(ctx context.Context, after string, limit int) (uids []string, err error) {
	if limit < 1 || limit > store.MaxLimit {
		return nil, store.Fault("list people", fmt.Errorf("limit %d", limit))
	}
	if err := ctx.Err(); err != nil {
		return nil, store.Fault("list people", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, of := range m.places {
		if (p.collection == "accounts" || p.collection == "consents") && p.uid > after && len(of) > 0 {
			uids = append(uids, p.uid)
		}
	}
	slices.Sort(uids)
	uids = slices.Compact(uids)
	return uids[:min(len(uids), limit)], nil
}

// Next is when the next document of a collection falls due, of anybody; zero for
// never. It is not of the contract.
func (m *MemoryDriver) Next(collection string) (next time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.next[collection]; ok {
		return known
	}
	for _, shard := range m.due {
		for k, at := range shard {
			if k.Collection == collection && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	m.next[collection] = next
	return next
}

// All are the documents of one collection, of everybody, in the order of uids and
// keys. It is not of the contract.
func (m *MemoryDriver) All(collection string) (docs []store.Document) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, of := range m.places {
		if p.collection == collection {
			docs = slices.AppendSeq(docs, maps.Values(of))
		}
	}
	slices.SortFunc(docs, func(a, b store.Document) int {
		return cmp.Or(cmp.Compare(a.Key.UID, b.Key.UID), cmp.Compare(a.Key.Key, b.Key.Key))
	})
	return docs
}

// EraseUser removes all of one person's but the account.
func (m *MemoryDriver) EraseUser(ctx context.Context, uid string) error {
	if err := errors.Join((store.Key{Collection: "days", UID: uid, Key: "-"}).Check(), ctx.Err()); err != nil {
		return store.Fault("erase", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range store.Personal() {
		for key := range m.places[place{c, uid}] {
			m.remove(store.Key{Collection: c, UID: uid, Key: key})
		}
	}
	return nil
}

// Ready is always nil.
func (m *MemoryDriver) Ready(ctx context.Context) error { return store.Fault("ready", ctx.Err()) }
