// Package peer is what is known of a service from its last answer: whether it is there is
// asked of nobody who has just heard of it, and of many who want to know one asks for all.
package peer

import (
	"context"
	"sync"
	"time"
)

const (
	within   = 3 * time.Second // an answer comes, or there is none
	unlooked = time.Second     // so long nobody asks again who is away
)

// A Peer is a service that calls go to. Its methods may be called concurrently.
type Peer struct {
	now      func() time.Time
	believed time.Duration

	mu    sync.Mutex
	good  time.Time // the last answer
	known bool      // what is below is believed
	at    time.Time
	err   error
	under *question
}

// A question is one that somebody may wait for.
type question struct {
	done chan struct{}
	err  error
}

// New is a peer of which nothing is known. An answer is believed for so long.
func New(now func() time.Time, believed time.Duration) *Peer {
	return &Peer{now: now, believed: believed}
}

// Saw takes note of a call: nil that it was answered. One that was not says only that
// nothing is known any more: the next who wants to know asks.
func (p *Peer) Saw(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.learn(nil)
	case p.err == nil:
		p.known = false
	}
}

// learn is called under the lock.
func (p *Peer) learn(err error) {
	p.known, p.at, p.err = true, p.now(), err
	if err == nil {
		p.good = p.at
	}
}

// Good is when the last answer came; zero where none did.
func (p *Peer) Good() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good
}

// Ready says why the service is not there: what is believed, or what ask comes to, which
// one of all who wait calls. ask outlives who has it called, and not its own time.
func (p *Peer) Ready(ctx context.Context, ask func(ctx context.Context) error) error {
	q, err := p.question(ctx, ask)
	if q == nil {
		return err
	}
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// question is nil where what is believed answers it.
func (p *Peer) question(ctx context.Context, ask func(ctx context.Context) error) (*question, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lasts := p.believed
	if p.err != nil {
		lasts = unlooked
	}
	if age := p.now().Sub(p.at); p.known && 0 <= age && age < lasts {
		return nil, p.err
	}
	if p.under != nil {
		return p.under, nil
	}
	q := &question{done: make(chan struct{})}
	p.under = q
	go func() {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		defer cancel()
		q.err = ask(asking)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.under = nil
		p.learn(q.err)
		close(q.done)
	}()
	return q, nil
}
