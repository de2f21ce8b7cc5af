package ingress

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// people remembers for a moment what decides whether a person's request may go
// on: is the account there, which purposes did they agree to.
//
// Whoever stores for a person holds their gate for reading; whoever withdraws
// a consent or erases the account holds it for writing. So in this process a
// withdrawal is after every upload that was let in before it, and before every
// other; another process learns of it within the time to live.
type people struct {
	store *store.Store
	now   func() time.Time
	ttl   time.Duration
	seed  maphash.Seed

	gates [256]sync.RWMutex // by hash of the uid

	mu    sync.Mutex
	known map[string]person
}

// A person is what was last read of one.
type person struct {
	erased     bool
	processing bool
	narrative  bool
	read       time.Time
}

func newPeople(s *store.Store, now func() time.Time, ttl time.Duration) *people {
	return &people{store: s, now: now, ttl: ttl, seed: maphash.MakeSeed(), known: map[string]person{}}
}

// gate is the lock that orders storing and withdrawing for the uid.
func (p *people) gate(uid string) *sync.RWMutex {
	return &p.gates[maphash.String(p.seed, uid)%uint64(len(p.gates))]
}

// get is the person as of now, or as of at most a time to live ago.
func (p *people) get(ctx context.Context, uid string) (person, error) {
	if known, ok := p.remembered(uid); ok {
		return known, nil
	}
	g := p.gate(uid)
	g.RLock()
	defer g.RUnlock()
	return p.getGated(ctx, uid)
}

// getGated is get for a caller that holds the gate.
func (p *people) getGated(ctx context.Context, uid string) (person, error) {
	if known, ok := p.remembered(uid); ok {
		return known, nil
	}
	read, err := p.load(ctx, uid)
	if err != nil {
		return person{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= rememberedPeople {
		for other := range p.known {
			delete(p.known, other)
			break
		}
	}
	p.known[uid] = read
	return read, nil
}

// storing runs write behind the person's gate, unless they were erased.
func (p *people) storing(ctx context.Context, uid string, write func() error) error {
	g := p.gate(uid)
	g.RLock()
	defer g.RUnlock()
	who, err := p.getGated(ctx, uid)
	if err != nil {
		return err
	}
	if who.erased {
		return analysis.ErrErased
	}
	return write()
}

func (p *people) remembered(uid string) (person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.known[uid]
	return known, ok && p.now().Sub(known.read) < p.ttl
}

// forget makes the next get read again. The caller holds the gate for writing.
func (p *people) forget(uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, uid)
}

func (p *people) load(ctx context.Context, uid string) (person, error) {
	read := person{read: p.now()}
	err := p.store.CheckActive(ctx, uid)
	if errors.Is(err, analysis.ErrErased) {
		read.erased = true
		return read, nil
	}
	if err == nil {
		read.processing, err = p.store.Consented(ctx, uid, record.PurposeProcessing)
	}
	if err == nil {
		read.narrative, err = p.store.Consented(ctx, uid, record.PurposeNarrative)
	}
	if errors.Is(err, keyring.ErrDestroyed) {
		err = analysis.ErrErased
	}
	return read, err
}
