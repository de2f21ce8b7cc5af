package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// MaxCached is how long it is believed that a token is not revoked without asking
// again: a revocation bites within it, and at once where the answer is to be Fresh.
const MaxCached = 2 * time.Minute

// Cached is a Verifier that remembers what v said yes to, by the token's
// SHA-256, until the token expires or MaxCached has passed. It holds at most
// size tokens and never an answer of no.
func Cached(v Verifier, size int, now func() time.Time) *Cache {
	return &Cache{verifier: v, size: max(size, 1), now: now, known: make(map[[32]byte]known)}
}

// A Cache is what Cached returns.
type Cache struct {
	verifier Verifier
	size     int
	now      func() time.Time

	mu    sync.RWMutex
	known map[[32]byte]known
}

type known struct {
	subject Subject
	until   time.Time
}

// Verify answers from memory where it can.
func (c *Cache) Verify(ctx context.Context, token string) (Subject, error) {
	hash := sha256.Sum256([]byte(token))
	now := c.now()
	c.mu.RLock()
	k, hit := c.known[hash]
	c.mu.RUnlock()
	if hit && now.Before(k.until) {
		return k.subject, nil
	}
	s, err := c.verifier.Verify(ctx, token)
	return c.remember(hash, now, s, err)
}

// Fresh asks, whatever is remembered. A no ends what was: the next Verify asks, too.
func (c *Cache) Fresh(ctx context.Context, token string) (Subject, error) {
	now := c.now()
	s, err := c.verifier.Fresh(ctx, token)
	return c.remember(sha256.Sum256([]byte(token)), now, s, err)
}

// remember keeps a yes that was given behind now.
func (c *Cache) remember(hash [32]byte, now time.Time, s Subject, err error) (Subject, error) {
	if errors.Is(err, ErrInvalid) {
		c.mu.Lock()
		delete(c.known, hash)
		c.mu.Unlock()
	}
	if err != nil {
		return Subject{}, err
	}
	until := now.Add(MaxCached)
	if s.Expires.Before(until) {
		until = s.Expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.makeRoom(now)
	c.known[hash] = known{s, until}
	return s, nil
}

// Forget drops everything remembered of a person.
func (c *Cache) Forget(uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, k := range c.known {
		if k.subject.UID == uid {
			delete(c.known, hash)
		}
	}
}

// makeRoom drops what is over; where that is not enough, any entry.
func (c *Cache) makeRoom(now time.Time) {
	if len(c.known) < c.size {
		return
	}
	for hash, k := range c.known {
		if !now.Before(k.until) {
			delete(c.known, hash)
		}
	}
	for hash := range c.known {
		if len(c.known) < c.size {
			return
		}
		delete(c.known, hash)
	}
}
