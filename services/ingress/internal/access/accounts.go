package access

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
)

// rememberedAccounts bounds the cache.
const rememberedAccounts = 50_000

// Records say what is written of a person's account; a *store.Store is one.
type Records interface {
	CheckActive(ctx context.Context, uid string) error
	Consented(ctx context.Context, uid, purpose string) (bool, error)
}

// An AccountCache remembers for a moment what decides whether a person's
// request may go on: is the account there, which purposes did they agree to.
//
// Whoever stores for a person holds their lock for reading; whoever withdraws
// a consent or erases the account holds it for writing. So in this process a
// withdrawal is after every upload that was let in before it, and before every
// other; another process learns of it within the time to live. The locks never
// leave the cache: what is stored or changed is handed to it.
type AccountCache struct {
	records Records
	now     func() time.Time
	ttl     time.Duration
	seed    maphash.Seed

	locks [256]sync.RWMutex // by hash of the uid

	mu    sync.Mutex
	known map[string]remembered
}

// An Account is what was last read of a person's.
type Account struct {
	Erased     bool
	Processing bool // agreed to
	Narrative  bool // agreed to
}

type remembered struct {
	Account
	read time.Time
}

// NewAccountCache is a cache over the records.
func NewAccountCache(r Records, now func() time.Time, ttl time.Duration) *AccountCache {
	return &AccountCache{records: r, now: now, ttl: ttl, seed: maphash.MakeSeed(), known: map[string]remembered{}}
}

// Get is the account as of now, or as of at most a time to live ago.
func (c *AccountCache) Get(ctx context.Context, uid string) (Account, error) {
	if known, ok := c.remembered(uid); ok {
		return known, nil
	}
	l := c.lock(uid)
	l.RLock()
	defer l.RUnlock()
	return c.locked(ctx, uid)
}

// MayStore is analysis.ErrErased where the account is gone and
// analysis.ErrNoConsent where the consent to processing is missing.
func (c *AccountCache) MayStore(ctx context.Context, uid string) error {
	a, err := c.Get(ctx, uid)
	return a.mayStore(err)
}

func (a Account) mayStore(err error) error {
	switch {
	case err != nil:
		return err
	case a.Erased:
		return analysis.ErrErased
	case !a.Processing:
		return analysis.ErrNoConsent
	}
	return nil
}

// Storing runs write unless the account is erased: while it runs, nobody
// withdraws and nobody erases.
func (c *AccountCache) Storing(ctx context.Context, uid string, write func() error) error {
	l := c.lock(uid)
	l.RLock()
	defer l.RUnlock()
	a, err := c.locked(ctx, uid)
	if err != nil {
		return err
	}
	if a.Erased {
		return analysis.ErrErased
	}
	return write()
}

// StoringConsented is Storing for what needs consent to processing.
func (c *AccountCache) StoringConsented(ctx context.Context, uid string, write func() error) error {
	l := c.lock(uid)
	l.RLock()
	defer l.RUnlock()
	a, err := c.locked(ctx, uid)
	if err := a.mayStore(err); err != nil {
		return err
	}
	return write()
}

// Changing runs change, which alters a consent, unless the account is erased:
// what was let in before is stored, what comes after sees the change.
func (c *AccountCache) Changing(ctx context.Context, uid string, change func() error) error {
	return c.Erasing(uid, func() error {
		a, err := c.locked(ctx, uid)
		if err != nil {
			return err
		}
		if a.Erased {
			return analysis.ErrErased
		}
		return change()
	})
}

// Erasing runs erase, which marks the account's end: when it returns, nothing
// of the person's is being stored by this process, or will be.
func (c *AccountCache) Erasing(uid string, erase func() error) error {
	l := c.lock(uid)
	l.Lock()
	defer l.Unlock()
	defer c.forget(uid)
	return erase()
}

// lock is what orders storing and withdrawing for the uid.
func (c *AccountCache) lock(uid string) *sync.RWMutex {
	return &c.locks[maphash.String(c.seed, uid)%uint64(len(c.locks))]
}

// locked is Get for a caller that holds the lock.
func (c *AccountCache) locked(ctx context.Context, uid string) (Account, error) {
	if known, ok := c.remembered(uid); ok {
		return known, nil
	}
	read, err := c.load(ctx, uid)
	if err != nil {
		return Account{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= rememberedAccounts {
		for other := range c.known {
			delete(c.known, other)
			break
		}
	}
	c.known[uid] = read
	return read.Account, nil
}

func (c *AccountCache) remembered(uid string) (Account, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[uid]
	return known.Account, ok && c.now().Sub(known.read) < c.ttl
}

// forget makes the next Get read again. The caller holds the lock for writing.
func (c *AccountCache) forget(uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, uid)
}

func (c *AccountCache) load(ctx context.Context, uid string) (remembered, error) {
	a := remembered{read: c.now()}
	err := c.records.CheckActive(ctx, uid)
	if errors.Is(err, analysis.ErrErased) {
		a.Erased = true
		return a, nil
	}
	if err == nil {
		a.Processing, err = c.records.Consented(ctx, uid, record.PurposeProcessing)
	}
	if err == nil {
		a.Narrative, err = c.records.Consented(ctx, uid, record.PurposeNarrative)
	}
	if errors.Is(err, keyring.ErrDestroyed) {
		err = analysis.ErrErased
	}
	return a, err
}
