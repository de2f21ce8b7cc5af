package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/clarity-loop/clarity/services/store"
)

// Tail sends a token after each write of a key behind `after` and behind every
// key that it told of; tokens that nobody took are merged into one. The channel
// is closed once ctx is done.
func (s *Store) Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error) {
	if err := (store.Key{Collection: collection, UID: uid, Key: "-"}).Check(); err != nil {
		return nil, fmt.Errorf("tail documents: %w", err)
	}
	t := &tail{greatest: after, tokens: make(chan struct{}, 1)}
	s.tails.add(place{collection, uid}, t)
	context.AfterFunc(ctx, func() { s.tails.remove(place{collection, uid}, t) })
	return t.tokens, nil
}

type place struct{ collection, uid string }

// A tail is one who waits for greater keys.
type tail struct {
	greatest string
	tokens   chan struct{}
}

// tails are all who wait, by place.
type tails struct {
	mu      sync.Mutex
	byPlace map[place][]*tail
}

func (ts *tails) add(p place, t *tail) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byPlace == nil {
		ts.byPlace = map[place][]*tail{}
	}
	ts.byPlace[p] = append(ts.byPlace[p], t)
}

func (ts *tails) remove(p place, gone *tail) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	rest := slices.DeleteFunc(ts.byPlace[p], func(t *tail) bool { return t == gone })
	if len(rest) == 0 {
		delete(ts.byPlace, p)
	} else {
		ts.byPlace[p] = rest
	}
	close(gone.tokens)
}

func (ts *tails) notify(p place, key string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.byPlace[p] {
		if key <= t.greatest {
			continue
		}
		t.greatest = key
		select {
		case t.tokens <- struct{}{}:
		default:
		}
	}
}
