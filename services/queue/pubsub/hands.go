package pubsub

import (
	"context"
	"sync"
	"time"

	circuit "github.com/clarity-loop/clarity/services/internal/patience"
)

// hands are a receiver's: as many messages as it may handle at a time, none while
// the circuit is open, and one alone where it is suspect.
type hands struct {
	now  func() time.Time
	most int

	mu       sync.Mutex
	taken    int
	alone    bool // the one in hand is
	suspects int  // that wait until the hands are empty
	away     bool // the last verdict said so
	breaker  circuit.Breaker
	changed  chan struct{} // closed, and made anew, where one may be free
}

func newHands(most int, now func() time.Time) *hands {
	return &hands{now: now, most: most, changed: make(chan struct{})}
}

// take waits for a hand; false where ctx is done and there is none.
func (h *hands) take(ctx context.Context, alone bool) bool {
	if alone {
		h.suspect(1)
		defer h.suspect(-1)
	}
	for {
		taken, changed, until := h.try(alone)
		if taken || ctx.Err() != nil {
			return taken
		}
		var over <-chan time.Time
		if !until.IsZero() {
			over = time.After(until.Sub(h.now()))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-over:
		}
	}
}

func (h *hands) try(alone bool) (taken bool, changed <-chan struct{}, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	allowed, until := h.breaker.Allowed(h.now(), h.most)
	switch {
	case h.alone, h.taken >= allowed, alone && h.taken > 0, !alone && h.suspects > 0:
		return false, h.changed, until
	}
	h.taken++
	h.alone = alone
	return true, nil, until
}

func (h *hands) suspect(more int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.suspects += more
	h.tell()
}

func (h *hands) tell() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// drop frees the hand.
func (h *hands) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken--
	h.alone = false
	h.tell()
}

// saw takes note of a verdict. It says whether it is the first of a row that says
// away, and until when the circuit is open where it opened it.
func (h *hands) saw(key string, away bool) (first bool, opened time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	_, before := h.breaker.Allowed(now, h.most)
	h.breaker.Saw(now, key, away)
	_, after := h.breaker.Allowed(now, h.most)
	first = away && !h.away
	h.away = away
	h.tell()
	if after.Equal(before) {
		after = time.Time{}
	}
	return first, after
}

// learn opens the circuit as another process has.
func (h *hands) learn(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.breaker.Learn(h.now(), until)
}
