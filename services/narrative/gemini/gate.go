package gemini

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/clarity-loop/clarity/services/internal/patience"
)

// A gate lets a question through while the process may make requests and the model has
// not failed in a row. Nobody waits at it: the template's words are better now.
type gate struct {
	now    func() time.Time
	bucket *rate.Limiter

	mu      sync.Mutex
	breaker patience.Breaker
	inHand  int
	asked   int
}

// burst is which part of a minute's requests may be made at once.
const burst = 6

func newGate(perMinute int, now func() time.Time) *gate {
	return &gate{now: now, bucket: rate.NewLimiter(rate.Limit(float64(perMinute)/60), max(1, perMinute/burst))}
}

// enter lets a question through, or says why not. Who was let through leaves with what
// became of it.
func (g *gate) enter() (leave func(*refusal), why outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if n, _ := g.breaker.Allowed(now, g.inHand+1); n <= g.inHand {
		return nil, resting
	}
	if !g.bucket.AllowN(now, 1) {
		return nil, busy
	}
	g.inHand++
	g.asked++
	question := strconv.Itoa(g.asked)
	return func(r *refusal) { g.left(question, r) }, ""
}

func (g *gate) left(question string, r *refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inHand--
	if r != nil && r.outcome == cancelled { // which says nothing of the model
		return
	}
	g.breaker.Saw(g.now(), question, r != nil && r.away())
}
