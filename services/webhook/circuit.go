package webhook

import (
	"sync"
	"time"
)

const (
	// tolerated is how many requests may fail in a row.
	tolerated = 5
	// firstRest and longestRest are between two tries of who is away.
	firstRest, longestRest = 30 * time.Second, 15 * time.Minute
	// mostAtOnce is how many requests are made to an endpoint at a time.
	mostAtOnce = 4
	// busy is when another is tried of who has as many.
	busy = 2 * time.Second
	// circuitsKept bounds the endpoints that are remembered.
	circuitsKept = 10_000
)

// circuits are what this process knows of endpoints.
type circuits struct {
	now func() time.Time
	mu  sync.Mutex
	of  map[string]*circuit
}

// A circuit is what it knows of one.
type circuit struct {
	failed  int       // in a row
	since   time.Time // the first of them
	rest    time.Duration
	until   time.Time // nothing is sent before
	running int
}

func newCircuits(now func() time.Time) *circuits {
	return &circuits{now: now, of: map[string]*circuit{}}
}

// enter has a request be made now, or says after how long to ask again. Who entered leaves.
func (c *circuits) enter(endpoint string) (wait time.Duration, entered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[endpoint]
	if k == nil {
		c.makeRoom()
		k = &circuit{}
		c.of[endpoint] = k
	}
	now := c.now()
	switch open := k.failed >= tolerated; {
	case open && now.Before(k.until):
		return k.until.Sub(now), false
	case open && k.running > 0: // one asks
		return busy, false
	case k.running >= mostAtOnce:
		return busy, false
	}
	k.running++
	return 0, true
}

// makeRoom drops who has nothing to be remembered.
func (c *circuits) makeRoom() {
	if len(c.of) < circuitsKept {
		return
	}
	for id, k := range c.of {
		if k.failed == 0 && k.running == 0 {
			delete(c.of, id)
		}
	}
}

// leave says what came of a request. Where that opens the circuit, it returns the time of
// the first that failed; else zero.
func (c *circuits) leave(endpoint string, well bool) (away time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[endpoint]
	if k == nil {
		return away
	}
	k.running--
	if well {
		k.failed, k.rest = 0, 0
		return away
	}
	now := c.now()
	if k.failed == 0 {
		k.since = now
	}
	k.failed++
	if k.failed >= tolerated {
		k.rest = min(max(2*k.rest, firstRest), longestRest)
		k.until = now.Add(k.rest)
	}
	if k.failed == tolerated {
		away = k.since
	}
	return away
}
