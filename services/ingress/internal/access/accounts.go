package access

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// rememberedAccounts bounds the cache.
const rememberedAccounts = 50_000

// standingTries is how often a write is tried under what the person decides meanwhile.
const standingTries = 4

// Records say how people stand; a *store.Store has them.
type Records interface {
	Standing(ctx context.Context, uid string) (store.Record[record.Account], error)
	Under(standing store.Record[record.Account]) store.Change
}

// An AccountCache remembers for a moment what decides whether a person's
// request may go on: how they stand.
//
// What is read may be a time to live old. What is stored is not: it is written
// in one batch with the demand that the person still stands as was remembered.
// So a withdrawal, or an erasure, is after every upload that was let in before
// it and before every other, in any number of processes.
//
// Nor is a refusal old: a standing that forbids something is never remembered, so
// who agreed, or came back, at one process is let in by all of them.
type AccountCache struct {
	records Records
	now     func() time.Time
	ttl     time.Duration

	mu    sync.Mutex
	known map[string]remembered
}

type remembered struct {
	standing store.Record[record.Account]
	read     time.Time
}

// NewAccountCache is a cache over the records.
func NewAccountCache(r Records, now func() time.Time, ttl time.Duration) *AccountCache {
	return &AccountCache{records: r, now: now, ttl: ttl, known: map[string]remembered{}}
}

// Get is the account as of now, or as of at most a time to live ago.
func (c *AccountCache) Get(ctx context.Context, uid string) (record.Account, error) {
	standing, err := c.get(ctx, uid)
	return standing.Value, err
}

// MayStore is analysis.ErrErased where the account is gone and
// analysis.ErrNoConsent where the consent to processing is missing.
func (c *AccountCache) MayStore(ctx context.Context, uid string) error {
	a, err := c.Get(ctx, uid)
	if err != nil {
		return err
	}
	return a.Permitted()
}

// Storing runs write unless the account is erased. What write stores is in one
// batch with the demand it is given; it is run again where the person stands
// otherwise meanwhile.
func (c *AccountCache) Storing(ctx context.Context, uid string, write func(demand store.Change) error) error {
	return c.storing(ctx, uid, record.Account.Active, write)
}

// StoringConsented is Storing for what needs consent to processing.
func (c *AccountCache) StoringConsented(ctx context.Context, uid string, write func(demand store.Change) error) error {
	return c.storing(ctx, uid, record.Account.Permitted, write)
}

func (c *AccountCache) storing(ctx context.Context, uid string, may func(record.Account) error, write func(store.Change) error) error {
	standing, err := c.get(ctx, uid)
	for range standingTries {
		if err == nil {
			err = may(standing.Value)
		}
		if err != nil {
			return err
		}
		refused := write(c.records.Under(standing))
		if !errors.Is(refused, store.ErrConflict) {
			return refused
		}
		before := standing.Version
		c.Forget(uid)
		if standing, err = c.get(ctx, uid); err == nil && standing.Version == before {
			return refused // over something else than how they stand
		}
	}
	return store.ErrConflict
}

// Forget makes the next call read again.
func (c *AccountCache) Forget(uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, uid)
}

func (c *AccountCache) get(ctx context.Context, uid string) (store.Record[record.Account], error) {
	now := c.now()
	if standing, ok := c.remembered(uid, now); ok {
		return standing, nil
	}
	standing, err := c.records.Standing(ctx, uid)
	if errors.Is(err, keyring.ErrDestroyed) {
		err = analysis.ErrErased
	}
	if err != nil {
		return store.Record[record.Account]{}, err
	}
	if standing.Value.Permitted() != nil {
		c.Forget(uid)
	} else {
		c.remember(uid, remembered{standing, now})
	}
	return standing, nil
}

func (c *AccountCache) remembered(uid string, now time.Time) (store.Record[record.Account], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[uid]
	return known.standing, ok && now.Sub(known.read) < c.ttl
}

func (c *AccountCache) remember(uid string, read remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.known[uid]; !there && len(c.known) >= rememberedAccounts {
		for other := range c.known {
			delete(c.known, other)
			break
		}
	}
	c.known[uid] = read
}
