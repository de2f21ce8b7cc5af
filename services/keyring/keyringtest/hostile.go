package keyringtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/internal/mischief"
	"github.com/clarity-loop/clarity/services/keyring"
)

// Options say how hostile a driver is.
type Options struct {
	mischief.Options
	// Lag is what the driver says that its Lag is: so long the other replicas
	// may go on as if nobody had been destroyed, or come back.
	Lag time.Duration
}

// A HostileKeyring keeps every word of the contract and nothing more. It fails
// before it does what it was asked; makes, destroys or renews a key and fails;
// in a replica that has not heard of it yet seals for who is destroyed, opens
// what it has opened or sealed before, and refuses who has come back, all within
// Lag; answers late; and is away as long as it is told to be.
type HostileKeyring struct {
	*mischief.Dice
	keys  keyring.Keyring
	lag   time.Duration
	world *world

	mu    sync.Mutex
	known map[[32]byte]plain // what this replica could still open, by its ciphertext
}

type plain struct {
	uid  string
	text []byte
}

// A world is what all replicas share: what happened to whom last, and where.
type world struct {
	mu   sync.Mutex
	last map[string]event
}

type event struct {
	at time.Time
	by *HostileKeyring
}

// Hostile is the driver, as bad as it may be. What happens at a call depends on
// the seed and on how often that call for that person was made before.
func Hostile(k keyring.Keyring, o Options) *HostileKeyring {
	return &HostileKeyring{Dice: mischief.New(o.Options), keys: k, lag: o.Lag, world: &world{last: map[string]event{}}, known: map[[32]byte]plain{}}
}

// Replica is the keyring of another process over the same keys.
func (h *HostileKeyring) Replica(seed uint64) *HostileKeyring {
	o := h.Options
	o.Seed = seed
	return &HostileKeyring{Dice: mischief.New(o), keys: h.keys, lag: h.lag, world: h.world, known: map[[32]byte]plain{}}
}

// Seal fails, before or behind the making of a key; what it seals for who was
// destroyed a moment ago is noise.
func (h *HostileKeyring) Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	if err := h.before(ctx, "seal", uid); err != nil {
		return nil, err
	}
	sealed, err := h.keys.Seal(ctx, uid, name, plaintext)
	switch {
	case errors.Is(err, keyring.ErrDestroyed) && h.unheard(uid) && h.Falls("sealed with a dead key", uid):
		return make([]byte, 28+len(plaintext)), nil // noise, as long as a sealed one
	case err == nil && h.unheard(uid) && h.Falls("refused who has come back", uid):
		return nil, keyring.ErrDestroyed
	case err == nil && h.Falls("sealed and failed", uid):
		return nil, h.away("seal")
	case err == nil:
		h.know(uid, plaintext, sealed)
	}
	return sealed, err
}

// Open fails, or still opens what it has opened before.
func (h *HostileKeyring) Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	if err := h.before(ctx, "open", uid); err != nil {
		return nil, err
	}
	text, err := h.keys.Open(ctx, uid, name, ciphertext)
	switch {
	case errors.Is(err, keyring.ErrDestroyed):
		if former, still := h.former(uid, ciphertext); still && h.unheard(uid) && h.Falls("opened with a dead key", uid) {
			return former, nil
		}
	case err == nil && h.unheard(uid) && h.Falls("refused who has come back", uid):
		return nil, keyring.ErrDestroyed
	case err == nil:
		h.know(uid, text, ciphertext)
	}
	return text, err
}

// Destroy fails, before it does or behind it.
func (h *HostileKeyring) Destroy(ctx context.Context, uid string) error {
	if err := h.before(ctx, "destroy", uid); err != nil {
		return err
	}
	return h.happen("destroyed and failed", "destroy", uid, h.keys.Destroy(ctx, uid))
}

// Lag is what the options say.
func (h *HostileKeyring) Lag() time.Duration { return max(h.lag, h.keys.Lag()) }

// Renew fails, before it does or behind it.
func (h *HostileKeyring) Renew(ctx context.Context, uid string, life int) error {
	if err := h.before(ctx, "renew", uid); err != nil {
		return err
	}
	return h.happen("renewed and failed", "renew", uid, h.keys.Renew(ctx, uid, life))
}

// Pseudonym fails, or answers late.
func (h *HostileKeyring) Pseudonym(ctx context.Context, uid string) (string, error) {
	if err := h.before(ctx, "pseudonym", uid); err != nil {
		return "", err
	}
	return h.keys.Pseudonym(ctx, uid)
}

// RotateKEK fails, before it does or behind it.
func (h *HostileKeyring) RotateKEK(ctx context.Context) error {
	return h.rotate(ctx, "rotate KEK", func() error { return h.keys.RotateKEK(ctx) })
}

// RotateData fails, before it does or behind it.
func (h *HostileKeyring) RotateData(ctx context.Context) error {
	return h.rotate(ctx, "rotate data", func() error { return h.keys.RotateData(ctx) })
}

// Rewrap fails, before it does or behind it.
func (h *HostileKeyring) Rewrap(ctx context.Context, cursor string) (p keyring.Progress, err error) {
	err = h.rotate(ctx, "rewrap", func() (err error) {
		p, err = h.keys.Rewrap(ctx, cursor)
		return err
	})
	return p, err
}

// Census fails, or answers late.
func (h *HostileKeyring) Census(ctx context.Context) (keyring.Census, error) {
	if err := h.before(ctx, "census", ""); err != nil {
		return keyring.Census{}, err
	}
	return h.keys.Census(ctx)
}

func (h *HostileKeyring) rotate(ctx context.Context, what string, do func() error) error {
	if err := h.before(ctx, what, ""); err != nil {
		return err
	}
	err := do()
	if err == nil && h.Falls(what+", done and failed", "") {
		return h.away(what)
	}
	return err
}

func (h *HostileKeyring) before(ctx context.Context, what, uid string) error {
	if err := h.Before(ctx, what, uid); err != nil {
		return keyring.Fault(what, err)
	}
	return nil
}

// happen has the other replicas not know what happened to a person.
func (h *HostileKeyring) happen(how, op, uid string, err error) error {
	if err != nil {
		return err
	}
	h.mu.Lock()
	maps.DeleteFunc(h.known, func(_ [32]byte, p plain) bool { return p.uid == uid })
	h.mu.Unlock()
	h.world.mu.Lock()
	h.world.last[uid] = event{h.Now(), h}
	h.world.mu.Unlock()
	if h.Falls(how, uid) {
		return h.away(op)
	}
	return nil
}

// unheard says whether this replica may not know yet what happened to a person
// in another.
func (h *HostileKeyring) unheard(uid string) bool {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	last, happened := h.world.last[uid]
	return happened && last.by != h && h.Now().Sub(last.at) < h.lag
}

func (h *HostileKeyring) know(uid string, text, ciphertext []byte) {
	if h.lag <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[sha256.Sum256(ciphertext)] = plain{uid, append([]byte{}, text...)}
}

func (h *HostileKeyring) former(uid string, ciphertext []byte) ([]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, is := h.known[sha256.Sum256(ciphertext)]
	return append([]byte{}, p.text...), is && p.uid == uid
}

func (h *HostileKeyring) away(op string) error { return keyring.Fault(op, mischief.ErrAway) }
