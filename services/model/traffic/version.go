package traffic

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/model"
)

// How long a version that could not be connected to is left alone.
const (
	leastPause = 200 * time.Millisecond
	mostPause  = 15 * time.Second
)

// A version is a connection to one, held by the Router and by every lease.
type version struct {
	entry        traffic.Entry // without weight
	model        model.Model
	close        func()
	live, shadow observer
	// opening ends the attempts to connect; nil when connected. It is Run's alone.
	opening context.CancelFunc
	holders atomic.Int64
}

// version is the one of the entry; where it is not known, it is connected to.
func (r *Router) version(ctx context.Context, all *sync.WaitGroup, name string, e traffic.Entry) *version {
	e = e.Unweighted()
	if v := r.known[e]; v != nil {
		return v
	}
	trying, cancel := context.WithCancel(ctx)
	v := &version{entry: e, opening: cancel}
	v.live, v.shadow = r.metrics.observer(name, e.Version, roleLive), r.metrics.observer(name, e.Version, roleShadow)
	v.holders.Store(1)
	r.known[e] = v
	all.Go(func() { r.connect(trying, name, v) })
	return v
}

// connect connects to the version, however often that takes, until ctx ends.
func (r *Router) connect(ctx context.Context, name string, v *version) {
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		m, done, err := r.o.Open(ctx, name, v.entry)
		if err == nil {
			r.open.Add(1)
			v.model, v.close = m, func() {
				done()
				r.open.Done()
			}
			select {
			case r.opened <- v:
			case <-ctx.Done():
				v.release()
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		r.metrics.faults.WithLabelValues(name, faultOpen).Inc()
		r.o.Log.Warn("version cannot be connected to", "model", name, "version", v.entry.Version, "err", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// leave is the Router letting go.
func (v *version) leave() {
	if v.opening != nil {
		v.opening() // connect closes what it may have opened
		return
	}
	v.release()
}

// acquire holds the version; it is false where that is closed.
func (v *version) acquire() bool {
	for {
		n := v.holders.Load()
		if n == 0 {
			return false
		}
		if v.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release lets go. Closing is not for the request that happens to be the last.
func (v *version) release() {
	if v.holders.Add(-1) == 0 {
		go v.close()
	}
}

// A lease is a version that one who asked was given. It keeps the model
// contract: it is the version's model, and counts.
type lease struct {
	router  *Router
	version *version
	shadow  *version // gets copies; nil for none
	over    atomic.Bool
}

// release ends the lease; a second time does nothing.
func (l *lease) release() {
	if !l.over.Swap(true) {
		l.version.release()
	}
}

// Identity is the version's.
func (l *lease) Identity() model.Identity { return l.version.model.Identity() }

// Infer is the version's, and copies the request to the shadow once it is answered.
func (l *lease) Infer(ctx context.Context, windows []model.Window, into []model.Inference) error {
	began := l.router.o.Now()
	err := l.version.model.Infer(ctx, windows, into)
	l.version.live.record(ctx, l.router.o.Now().Sub(began), err, into)
	if err == nil && l.shadow != nil {
		l.router.shadows.offer(l.shadow, l.version.model, windows, into)
	}
	return err
}
