package patience

import "time"

const (
	// trips is how many verdicts of Retry in a row open the circuit, if they are
	// of more than one key: one person's trouble is nobody else's.
	trips = 5
	// longestPause is the longest time between two probes.
	longestPause = 30 * time.Second
)

// A Breaker says how many messages a receiver may have in hand: all that it has
// hands for, none for a while after an outage showed, then one to see whether it
// is over. Its methods belong to one goroutine, or are called under one lock.
type Breaker struct {
	row      int
	key      string // of the row's first
	others   bool   // the row has another
	pause    time.Duration
	until    time.Time
	tripping bool
}

// Allowed is how many of the messages that the receiver has hands for may be in
// hand, and until when it may have none where it may have none.
func (b *Breaker) Allowed(now time.Time, hands int) (n int, until time.Time) {
	switch {
	case !b.tripping:
		return hands, time.Time{}
	case now.Before(b.until) && b.until.Sub(now) <= longestPause: // a clock that was set back opens it
		return 0, b.until
	}
	return min(hands, 1), time.Time{}
}

// Learn opens the circuit until then, as another receiver's is.
func (b *Breaker) Learn(now, until time.Time) {
	if !until.After(now) || until.Sub(now) > longestPause || b.tripping && !until.After(b.until) {
		return
	}
	b.tripping, b.until = true, until
	b.pause = max(b.pause, time.Second)
}

// Saw takes note of a verdict on a message of the key, and whether it was that
// what the work needs is away.
func (b *Breaker) Saw(now time.Time, key string, away bool) {
	if !away {
		*b = Breaker{}
		return
	}
	if b.row++; b.row == 1 {
		b.key = key
	}
	b.others = b.others || key != b.key
	if b.row < trips || !b.others || now.Before(b.until) { // those in hand when it opened say nothing new
		return
	}
	b.tripping = true
	b.pause = min(max(2*b.pause, time.Second), longestPause)
	b.until = now.Add(b.pause)
}
