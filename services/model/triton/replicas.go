package triton

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// How long a replica that could not be used is left alone.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// replicas are the connections to what is behind an endpoint. Each address has
// a goroutine that connects, has the server show the version, offers the
// connection, and begins again when it has broken.
type replicas struct {
	endpoint string
	want     Version
	options  Options
	stop     context.CancelFunc
	all      sync.WaitGroup
	next     atomic.Uint64
	// ready are the connections that requests may take; the slice is replaced, never changed.
	ready atomic.Pointer[[]*link]

	mu      sync.Mutex
	changed chan struct{}    // closed, and another made, at every change
	version *served          // what the first verified server has shown
	known   map[string]*peer // by address
	missing error            // why the endpoint could not be looked up
}

// A peer is one address that is looked after.
type peer struct {
	stop context.CancelFunc
	err  error // why it is not ready
}

// watch begins to look after the endpoint's replicas.
func watch(endpoint string, want Version, o Options) *replicas {
	ctx, stop := context.WithCancel(context.Background())
	r := &replicas{endpoint: endpoint, want: want, options: o, stop: stop, changed: make(chan struct{}), known: map[string]*peer{}}
	r.ready.Store(new([]*link))
	r.all.Go(func() {
		for ctx.Err() == nil {
			r.refresh(ctx)
			pause(ctx, o.Refresh)
		}
	})
	return r
}

// close ends everything, and returns when the calls that ran are over.
func (r *replicas) close() {
	r.stop()
	r.all.Wait()
}

// refresh looks the endpoint up. Where that fails, the replicas that are known
// stay: a name server that is away is no reason to drop what works.
func (r *replicas) refresh(ctx context.Context) {
	looking, cancel := context.WithTimeout(ctx, mostPause)
	defer cancel()
	addresses, err := r.options.Lookup(looking, r.endpoint)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.missing = err; err != nil || ctx.Err() != nil {
		r.wake()
		return
	}
	found := map[string]bool{}
	for _, a := range addresses {
		found[a] = true
		if r.known[a] == nil {
			attending, stop := context.WithCancel(ctx)
			p := &peer{stop: stop, err: errConnecting}
			r.known[a] = p
			r.all.Go(func() { r.attend(attending, a, p) })
		}
	}
	for a, p := range r.known {
		if !found[a] {
			p.stop()
			delete(r.known, a)
		}
	}
	r.wake()
}

var (
	errConnecting = errors.New("connecting")
	errNobody     = errors.New("there is no replica")
)

// attend keeps one replica connected until its context ends.
func (r *replicas) attend(ctx context.Context, address string, p *peer) {
	for wait := leastPause; ctx.Err() == nil; {
		l, version, err := connect(ctx, r.endpoint, address, r.want, r.options)
		if err != nil {
			r.failed(ctx, address, p, err)
			pause(ctx, wait)
			wait = min(2*wait, mostPause)
			continue
		}
		wait = leastPause
		r.offer(l, version, p)
		l.lasts(ctx)
		r.withdraw(l)
		l.release()
		<-l.closed
	}
}

func (r *replicas) failed(ctx context.Context, address string, p *peer, err error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if refusal(err) && !refusal(p.err) {
		r.options.Log.Warn("replica refused", "model", r.want.Model, "address", address, "err", err)
	}
	p.err = fmt.Errorf("%s: %w", address, err)
	r.wake()
}

func (r *replicas) offer(l *link, version served, p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.err = nil
	if r.version == nil {
		r.version = &version
	}
	ready := append([]*link{l}, *r.ready.Load()...)
	r.ready.Store(&ready)
	r.wake()
}

// withdraw takes a connection away from requests to come.
func (r *replicas) withdraw(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ready []*link
	for _, other := range *r.ready.Load() {
		if other != l {
			ready = append(ready, other)
		}
	}
	r.ready.Store(&ready)
	r.wake()
}

// wake tells those who wait that something changed. The caller holds mu.
func (r *replicas) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// first waits for a replica that serves the version.
func (r *replicas) first(ctx context.Context) (served, error) {
	for {
		r.mu.Lock()
		version, changed, refused := r.version, r.changed, r.refused()
		r.mu.Unlock()
		switch {
		case version != nil:
			return *version, nil
		case refused != nil:
			return served{}, refused
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return served{}, errors.Join(ctx.Err(), r.why())
		}
	}
}

// refused is a refusal, where every replica that is known was refused.
func (r *replicas) refused() error {
	var last error
	for _, p := range r.known {
		if !refusal(p.err) {
			return nil
		}
		last = p.err
	}
	return last
}

// why says what keeps replicas from being ready.
func (r *replicas) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.missing != nil {
		return r.missing
	}
	for _, p := range r.known {
		if p.err != nil {
			return p.err
		}
	}
	return errNobody
}

// take returns the next connection, one other than not if there is another, and
// waits where there is none. Whoever took it releases it.
func (r *replicas) take(ctx context.Context, not *link) (*link, error) {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if l := r.pick(not); l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), r.why())
		}
	}
}

func (r *replicas) pick(not *link) *link {
	ready := *r.ready.Load()
	n, at := uint64(len(ready)), r.next.Add(1)
	for i := range n {
		l := ready[(at+i)%n]
		if (l != not || n == 1) && l.acquire() {
			return l
		}
	}
	return nil
}

// pause waits, but not past the context's end.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
