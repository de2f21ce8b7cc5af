package ingresstest

import (
	"context"
	"errors"
	"sync"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/store"
)

// ErrBroken is what a store that was broken says.
var ErrBroken = errors.New("the disk is gone")

// faults break a store, an operation of a collection at a time, and count what it lists.
type faults struct {
	store.Driver
	mu     sync.Mutex
	broken map[string]bool
	listed map[string]int
}

// Break has the store fail from now on at "get", "write", "list" or "tail" of
// a collection, as in "list days", or at "erase". Mend mends all.
func (w *World) Break(what string) {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	w.faults.broken[what] = true
}

// Mend makes the store whole again.
func (w *World) Mend() {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	clear(w.faults.broken)
}

// Listed is how many documents of a collection lists have cost so far.
func (w *World) Listed(collection string) int {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	return w.faults.listed[collection]
}

func (f *faults) over(d store.Driver) store.Driver {
	f.Driver = d
	return f
}

func (f *faults) at(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken[what] {
		return ErrBroken
	}
	return nil
}

func (f *faults) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if err := f.at("get " + k.Collection); err != nil {
		return store.Document{}, err
	}
	return f.Driver.Get(ctx, k)
}

func (f *faults) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	for _, w := range writes {
		if err := f.at("write " + w.Key.Collection); err != nil {
			return nil, err
		}
	}
	return f.Driver.Batch(ctx, writes)
}

func (f *faults) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := f.at("list " + q.Collection); err != nil {
		return nil, err
	}
	docs, err := f.Driver.List(ctx, q)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed[q.Collection] += max(1, len(docs))
	return docs, err
}

func (f *faults) Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error) {
	if err := f.at("tail " + collection); err != nil {
		return nil, err
	}
	return f.Driver.Tail(ctx, collection, uid, after)
}

func (f *faults) EraseUser(ctx context.Context, uid string) error {
	if err := f.at("erase"); err != nil {
		return err
	}
	return f.Driver.EraseUser(ctx, uid)
}

// Slow are objects of which each is read once Read is closed: it says on Reading that
// one is asked for.
type Slow struct {
	blob.Store
	Reading chan<- struct{}
	Read    <-chan struct{}
}

// Get waits.
func (s *Slow) Get(ctx context.Context, name string) ([]byte, error) {
	s.Reading <- struct{}{}
	<-s.Read
	return s.Store.Get(ctx, name)
}
