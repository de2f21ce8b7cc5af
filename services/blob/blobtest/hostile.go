package blobtest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/internal/mischief"
)

// Options say how hostile a driver is.
type Options = mischief.Options

// A HostileDriver keeps every word of the contract and nothing more. It fails
// before it does what it was asked; puts an object, does not, or does it some
// calls later, and fails; has another writer of the same name be first; deletes
// and fails; answers late; and is away as long as it is told to be.
type HostileDriver struct {
	*mischief.Dice
	store blob.Store

	mu      sync.Mutex
	waiting []waiting // puts that are done some calls later
}

var _ blob.Store = (*HostileDriver)(nil)

type waiting struct {
	name string
	data []byte
	in   int // calls
}

// Hostile is the driver, as bad as it may be. What happens at a call depends on
// the seed and on how often that call of that name was made before.
func Hostile(s blob.Store, o Options) *HostileDriver {
	return &HostileDriver{Dice: mischief.New(o), store: s}
}

// Put is where most happens.
func (h *HostileDriver) Put(ctx context.Context, name string, data []byte) (int64, error) {
	if err := h.before(ctx, "put", name); err != nil {
		return 0, err
	}
	if blob.CheckName(name) != nil {
		return h.store.Put(ctx, name, data)
	}
	switch h.Draw("outcome", name, 4) {
	case 1:
		if _, err := h.store.Put(ctx, name, data); err != nil {
			return 0, err
		}
		return 0, h.unknown("put", "put and failed")
	case 2:
		return 0, h.unknown("put", "not put and failed")
	case 3:
		h.later(name, data)
		return 0, h.unknown("put", "put later and failed")
	case 4: // the first of two calls, whose answer was lost on the way to a library that tries again
		if _, err := h.store.Put(ctx, name, data); err != nil {
			return 0, err
		}
		h.Count("exists by its own hand")
	}
	return h.store.Put(ctx, name, data)
}

// Get fails, or answers late.
func (h *HostileDriver) Get(ctx context.Context, name string) ([]byte, error) {
	if err := h.before(ctx, "get", name); err != nil {
		return nil, err
	}
	return h.store.Get(ctx, name)
}

// Stat fails, or answers late.
func (h *HostileDriver) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := h.before(ctx, "stat", name); err != nil {
		return blob.Info{}, err
	}
	return h.store.Stat(ctx, name)
}

// Renew fails, before it renews or behind it.
func (h *HostileDriver) Renew(ctx context.Context, name string) (int64, error) {
	if err := h.before(ctx, "renew", name); err != nil {
		return 0, err
	}
	generation, err := h.store.Renew(ctx, name)
	if err == nil && h.Falls("renewed and failed", name) {
		return 0, blob.Fault("renew", blob.ErrUnavailable)
	}
	return generation, err
}

// Delete fails, before it deletes or behind it.
func (h *HostileDriver) Delete(ctx context.Context, name string, generation int64) error {
	if err := h.before(ctx, "delete", name); err != nil {
		return err
	}
	err := h.store.Delete(ctx, name, generation)
	if err == nil && h.Falls("deleted and failed", name) {
		return blob.Fault("delete", blob.ErrUnavailable)
	}
	return err
}

// DeletePrefix fails, before it deletes or behind it.
func (h *HostileDriver) DeletePrefix(ctx context.Context, prefix string) error {
	if err := h.before(ctx, "delete prefix", prefix); err != nil {
		return err
	}
	err := h.store.DeletePrefix(ctx, prefix)
	if err == nil && h.Falls("deleted all and failed", prefix) {
		return blob.Fault("delete prefix", blob.ErrUnavailable)
	}
	return err
}

// List fails, or answers late. What it lists is true.
func (h *HostileDriver) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if err := h.before(ctx, "list", prefix+after); err != nil {
		return nil, err
	}
	return h.store.List(ctx, prefix, after, limit)
}

// before is what comes before any call: puts that waited for their time are
// done, the answer is late, or the call does not happen.
func (h *HostileDriver) before(ctx context.Context, what, name string) error {
	for _, w := range h.ripe() {
		// Whether it still goes in is for nobody to know.
		_, _ = h.store.Put(context.WithoutCancel(ctx), w.name, w.data)
	}
	err := h.Before(ctx, what, name)
	if errors.Is(err, mischief.ErrAway) {
		err = blob.ErrUnavailable
	}
	return blob.Fault(what, err)
}

func (h *HostileDriver) unknown(op, how string) error {
	h.Count(how)
	return blob.Fault(op, blob.ErrUnavailable)
}

// later keeps a put until some calls have passed.
func (h *HostileDriver) later(name string, data []byte) {
	w := waiting{name, slices.Clone(data), 1 + h.Among("how much later", name, 8)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, w)
}

// ripe are the puts whose time has come.
func (h *HostileDriver) ripe() (puts []waiting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = slices.DeleteFunc(h.waiting, func(w waiting) bool {
		if w.in > 1 {
			return false
		}
		puts = append(puts, w)
		return true
	})
	for i := range h.waiting {
		h.waiting[i].in--
	}
	return puts
}
