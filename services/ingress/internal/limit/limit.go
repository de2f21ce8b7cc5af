// Package limit is a token bucket a key, in a map that cannot grow without bound.
package limit

import (
	"math"
	"sync"
	"time"
)

// A Rate is how much a key may take: Burst at once, and PerSecond again.
type Rate struct {
	PerSecond float64
	Burst     int
}

// A Limiter holds a bucket a key.
type Limiter[K comparable] struct {
	rate Rate
	most int
	now  func() time.Time

	mu      sync.Mutex
	buckets map[K]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// A Decision is the outcome of a Take.
type Decision struct {
	OK        bool
	Limit     int           // the burst
	Remaining int           // whole tokens left
	Reset     time.Duration // until the bucket is full again; until there is a token, where there is none
	Retry     time.Duration // until there is a token; 0 where OK
}

// New is a limiter that remembers no more than most keys. A rate with a Burst of 0
// limits nothing.
func New[K comparable](rate Rate, most int, now func() time.Time) *Limiter[K] {
	return &Limiter[K]{rate: rate, most: most, now: now, buckets: make(map[K]bucket)}
}

// Off reports whether the limiter limits nothing.
func (l *Limiter[K]) Off() bool { return l.rate.Burst <= 0 }

// Take takes one token of the key's bucket.
func (l *Limiter[K]) Take(key K) Decision {
	if l.Off() {
		return Decision{OK: true}
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.buckets[key]
	if !known {
		l.makeRoom(now)
		b = bucket{tokens: float64(l.rate.Burst), at: now}
	}
	b = l.refill(b, now)
	d := Decision{Limit: l.rate.Burst}
	if b.tokens >= 1 {
		b.tokens--
		d.OK = true
	} else {
		d.Retry = l.after(1 - b.tokens)
	}
	d.Remaining = int(b.tokens)
	d.Reset = d.Retry
	if d.Remaining > 0 {
		d.Reset = l.after(float64(l.rate.Burst) - b.tokens)
	} else if d.OK {
		d.Reset = l.after(1 - b.tokens)
	}
	l.buckets[key] = b
	return d
}

func (l *Limiter[K]) refill(b bucket, now time.Time) bucket {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.tokens = math.Min(float64(l.rate.Burst), b.tokens+passed*l.rate.PerSecond)
		b.at = now
	}
	return b
}

func (l *Limiter[K]) after(tokens float64) time.Duration {
	if l.rate.PerSecond <= 0 {
		return 24 * time.Hour
	}
	return time.Duration(tokens / l.rate.PerSecond * float64(time.Second))
}

// makeRoom looks at a few buckets and drops those that are full again, which
// loses nothing; where none is, it drops one, which is kind to its key.
func (l *Limiter[K]) makeRoom(now time.Time) {
	if len(l.buckets) < l.most {
		return
	}
	looked, full := 0, 0
	var last K
	for key, b := range l.buckets {
		if looked == 16 {
			break
		}
		looked++
		last = key
		if l.refill(b, now).tokens >= float64(l.rate.Burst) {
			delete(l.buckets, key)
			full++
		}
	}
	if full == 0 {
		delete(l.buckets, last)
	}
}
