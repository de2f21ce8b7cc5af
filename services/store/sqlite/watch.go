package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/clarity-loop/clarity/services/store"
)

// Watch sends a token after each change of the uid's documents in the
// collection; tokens that nobody took are merged into one. The channel is closed
// once ctx is done.
func (s *Store) Watch(ctx context.Context, collection, uid string) (<-chan struct{}, error) {
	if err := (store.Key{Collection: collection, UID: uid, Key: "-"}).Check(); err != nil {
		return nil, fmt.Errorf("watch documents: %w", err)
	}
	tokens := s.watch.add(place{collection, uid})
	context.AfterFunc(ctx, func() { s.watch.remove(place{collection, uid}, tokens) })
	return tokens, nil
}

type place struct{ collection, uid string }

// watchers are the channels of everyone who watches, by place.
type watchers struct {
	mu      sync.Mutex
	byPlace map[place][]chan struct{}
}

func (w *watchers) add(p place) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byPlace == nil {
		w.byPlace = map[place][]chan struct{}{}
	}
	tokens := make(chan struct{}, 1)
	w.byPlace[p] = append(w.byPlace[p], tokens)
	return tokens
}

func (w *watchers) remove(p place, tokens chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := slices.DeleteFunc(w.byPlace[p], func(c chan struct{}) bool { return c == tokens })
	if len(rest) == 0 {
		delete(w.byPlace, p)
	} else {
		w.byPlace[p] = rest
	}
	close(tokens)
}

func (w *watchers) notify(collection, uid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tokens := range w.byPlace[place{collection, uid}] {
		select {
		case tokens <- struct{}{}:
		default:
		}
	}
}

// notifyAll tells the watchers of every collection that an erasure empties.
func (w *watchers) notifyAll(uid string) {
	for _, collection := range store.Personal() {
		w.notify(collection, uid)
	}
}
