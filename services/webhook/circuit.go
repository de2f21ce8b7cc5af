package webhook

import (
	"sync"
	"time"
)

const (
	// Hands is how many requests a process makes at a time: most of the time they wait.
	Hands = 32
	// mostOfTenant is how many of these are of one tenant, and mostAtOnce of one endpoint.
	mostOfTenant, mostAtOnce = Hands / 4, 4

	// tolerated is how many requests may fail in a row.
	tolerated = 5
	// firstRest and longestRest are between two tries of who is away.
	firstRest, longestRest = 30 * time.Second, 15 * time.Minute
	// shortest is the least after which who found no room comes again, and usual how long
	// a request is taken to last before any has ended.
	shortest, usual = 250 * time.Millisecond, time.Second

	// circuitsKept bounds the endpoints that are remembered, and circuitKept is for how
	// long who is away is that nothing is sent to.
	circuitsKept = 10_000
	circuitKept  = 24 * time.Hour
)

// circuits are what this process knows of endpoints, and what it has in hand of each and
// of each tenant.
type circuits struct {
	now     func() time.Time
	mu      sync.Mutex
	of      map[string]*circuit
	tenants map[string]*lane // those of whom something is in hand
}

// A lane is what is in hand of an endpoint, or of a tenant.
type lane struct {
	most, running int
	took          time.Duration // a request, about
	next          time.Time     // when the last of those comes again who found no room
}

func (l *lane) full() bool { return l.running >= l.most }

// again is after how long who found no room comes again: behind those who found none
// before, at the pace at which requests end.
func (l *lane) again(now time.Time) time.Duration {
	if l.next.Before(now) {
		l.next = now
	}
	l.next = l.next.Add(l.took / time.Duration(l.most))
	return min(max(l.next.Sub(now), shortest), longestRest)
}

// leave makes room; a request that was made took so long.
func (l *lane) leave(came outcome, took time.Duration) {
	l.running--
	if came != neither {
		l.took += (took - l.took) / 8
	}
}

// A circuit is what is known of an endpoint.
type circuit struct {
	lane
	failed int       // in a row
	since  time.Time // the first of them
	rest   time.Duration
	until  time.Time // nothing is sent before
}

func (k *circuit) open() bool { return k.failed >= tolerated }

func newCircuits(now func() time.Time) *circuits {
	return &circuits{now: now, of: map[string]*circuit{}, tenants: map[string]*lane{}}
}

// A pass lets one request be made. Who has it leaves once; of the other times nothing is
// heard.
type pass struct {
	circuits         *circuits
	tenant, endpoint string
	circuit          *circuit
	lane             *lane
	began            time.Time
	left             bool
}

// enter has a request be made now, or says after how long to ask again. It knows nothing
// but what is in memory.
func (c *circuits) enter(tenant, endpoint string) (p *pass, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[endpoint]
	if k == nil {
		c.makeRoom()
		k = &circuit{lane: lane{most: mostAtOnce, took: usual}}
		c.of[endpoint] = k
	}
	l := c.tenants[tenant]
	if l == nil {
		l = &lane{most: mostOfTenant, took: usual}
	}
	now := c.now()
	switch {
	case k.open() && now.Before(k.until):
		return nil, k.until.Sub(now)
	case k.open() && k.running > 0: // one asks, and knows by then
		return nil, min(k.rest, answerTime)
	case k.full():
		return nil, k.again(now)
	case l.full():
		return nil, l.again(now)
	}
	k.running++
	l.running++
	c.tenants[tenant] = l
	return &pass{circuits: c, tenant: tenant, endpoint: endpoint, circuit: k, lane: l, began: now}, 0
}

// makeRoom drops who has nothing to be remembered.
func (c *circuits) makeRoom() {
	if len(c.of) < circuitsKept {
		return
	}
	for id, k := range c.of {
		if k.running == 0 && (k.failed == 0 || c.now().Sub(k.until) >= circuitKept) {
			delete(c.of, id)
		}
	}
}

// What came of a request, for its circuit.
type outcome int

const (
	neither outcome = iota // none was made
	well
	failed
	gone // there is no such endpoint any more
)

// leave says what came of the request. Where that opens the circuit, it returns the time
// of the first that failed; else zero.
func (p *pass) leave(came outcome) (away time.Time) {
	if p == nil || p.left {
		return away
	}
	p.left = true
	c, k := p.circuits, p.circuit
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	k.leave(came, now.Sub(p.began))
	if p.lane.leave(came, now.Sub(p.began)); p.lane.running == 0 {
		delete(c.tenants, p.tenant)
	}
	switch came {
	case neither:
	case gone:
		delete(c.of, p.endpoint)
	case well:
		k.failed, k.rest = 0, 0
	case failed:
		if k.failed == 0 {
			k.since = now
		}
		if k.failed++; k.open() {
			k.rest = min(max(2*k.rest, firstRest), longestRest)
			k.until = now.Add(k.rest)
		}
		if k.failed == tolerated {
			away = k.since
		}
	}
	return away
}

// away is how many endpoints are, and since when the first of them is.
func (c *circuits) away() (n int, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.of {
		if !k.open() || c.now().Sub(k.until) >= circuitKept {
			continue
		}
		if n++; since.IsZero() || k.since.Before(since) {
			since = k.since
		}
	}
	return n, since
}
