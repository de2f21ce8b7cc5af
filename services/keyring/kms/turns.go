package kms

import (
	"context"
	"sync"
)

// turns has one at a time do something about each name, and who waits go with
// their context. It is usable as it is.
type turns struct {
	mu    sync.Mutex
	taken map[string]*turn
}

type turn struct {
	free chan struct{} // has one token
	who  int           // has it or waits for it
}

// take waits for the name's turn, and returns what gives it back.
func (t *turns) take(ctx context.Context, name string) (give func(), err error) {
	t.mu.Lock()
	if t.taken == nil {
		t.taken = map[string]*turn{}
	}
	tn := t.taken[name]
	if tn == nil {
		tn = &turn{free: make(chan struct{}, 1)}
		tn.free <- struct{}{}
		t.taken[name] = tn
	}
	tn.who++
	t.mu.Unlock()
	select {
	case <-tn.free:
		return func() {
			tn.free <- struct{}{}
			t.leave(name, tn)
		}, nil
	case <-ctx.Done():
		t.leave(name, tn)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(name string, tn *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn.who--; tn.who == 0 {
		delete(t.taken, name)
	}
}
