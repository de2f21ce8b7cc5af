package vault

import (
	"container/list"
	"context"
	"strings"
	"sync"

	"github.com/clarity-loop/clarity/services/blob"
)

// Recent are Blobs whose days this process has put or got lately are not got again:
// an analysis follows the merge that wrote the day, and the next one reads six of the
// same. A day's object is never another under its name, and is kept sealed, so that
// who is erased cannot be read here either: their key is gone.
//
// It holds so many bytes at most, those that were used last.
func Recent(of Blobs, most int) Blobs {
	return &recent{Blobs: of, most: most, known: map[string]*list.Element{}}
}

type recent struct {
	Blobs
	most int

	mu    sync.Mutex
	held  int
	order list.List // of *kept, the one that was used last in front
	known map[string]*list.Element
}

type kept struct {
	name string
	data []byte
}

// Put puts it and keeps it.
func (r *recent) Put(ctx context.Context, name string, data []byte) (int64, error) {
	generation, err := r.Blobs.Put(ctx, name, data)
	if err == nil {
		r.keep(name, data)
	}
	return generation, err
}

// Get is what is kept, or what there is.
func (r *recent) Get(ctx context.Context, name string) ([]byte, error) {
	if data := r.find(name); data != nil {
		return data, nil
	}
	data, err := r.Blobs.Get(ctx, name)
	if err == nil {
		r.keep(name, data)
	}
	return data, err
}

// Delete deletes it and forgets it.
func (r *recent) Delete(ctx context.Context, name string, generation int64) error {
	r.mu.Lock()
	r.drop(r.known[name])
	r.mu.Unlock()
	return r.Blobs.Delete(ctx, name, generation)
}

func (r *recent) find(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.known[name]
	if e == nil {
		return nil
	}
	r.order.MoveToFront(e)
	return e.Value.(*kept).data //nolint:forcetypeassert // nothing else is in it
}

func (r *recent) keep(name string, data []byte) {
	if !strings.HasPrefix(name, blob.KindDays+"/") || len(data) > r.most {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(r.known[name])
	r.known[name] = r.order.PushFront(&kept{name, data})
	r.held += len(data)
	for r.held > r.most {
		r.drop(r.order.Back())
	}
}

// drop forgets an element, nil for none.
func (r *recent) drop(e *list.Element) {
	if e == nil {
		return
	}
	k := r.order.Remove(e).(*kept) //nolint:forcetypeassert // nothing else is in it
	delete(r.known, k.name)
	r.held -= len(k.data)
}
