package webhook

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/store"
)

// keyOf is where it is kept that an endpoint has not taken an event.
func keyOf(due hooking.Due) string {
	return due.Endpoint + "-" + idOf(due.UID, due.First, due.Events[0])
}

// missed keeps that an endpoint has not taken an event: the person's mark first, so that
// an erasure finds all.
func (b *Book) missed(ctx context.Context, due hooking.Due, state hook.State, came answer) error {
	key, e := keyOf(due), due.Events[0]
	found, err := b.store.Missed.Get(ctx, ownerOf(due.UID), key)
	anew := errors.Is(err, store.ErrNotFound)
	if anew {
		_, err = b.store.Marks.Put(ctx, due.UID, key, store.Any, hook.Mark{})
	}
	if err != nil {
		return fmt.Errorf("keep what was missed: %w", err)
	}
	m := hook.Missed{UID: due.UID, Number: due.First, Kind: flow.EventKind(e.Kind), Ref: e.Ref, Version: e.Version, At: e.At,
		State: state, Attempts: found.Value.Attempts + 1, Last: b.now().UTC(), Status: came.status, Reason: came.reason}
	if _, err := b.store.Missed.Put(ctx, ownerOf(due.UID), key, found.Version, m); err != nil {
		return fmt.Errorf("keep what was missed: %w", err)
	}
	if _, err := b.store.Endpoints.Get(ctx, ownerOf(due.UID), due.Endpoint); errors.Is(err, store.ErrNotFound) {
		return b.taken(ctx, due) // it was deleted meanwhile, with all that it missed
	}
	if anew {
		return b.sweep(ctx, due)
	}
	return nil
}

// sweep removes some of what was missed too long ago.
func (b *Book) sweep(ctx context.Context, due hooking.Due) error {
	oldest, err := b.store.Missed.List(ctx, ownerOf(due.UID), store.Query{From: due.Endpoint + "-", To: due.Endpoint + ".", Limit: 2})
	if err != nil {
		return fmt.Errorf("list what was missed: %w", err)
	}
	var stale []store.Record[hook.Missed]
	for _, m := range oldest {
		if b.now().Sub(m.Value.Last) >= hook.Kept {
			stale = append(stale, m)
		}
	}
	tenant, _ := identity.Tenant(due.UID)
	return b.drop(ctx, tenant, stale)
}

// taken removes what may be kept of an event that an endpoint has not taken before.
func (b *Book) taken(ctx context.Context, due hooking.Due) error {
	key := keyOf(due)
	err := b.store.Missed.Delete(ctx, ownerOf(due.UID), key, store.Any)
	if err == nil {
		err = b.store.Marks.Delete(ctx, due.UID, key, store.Any)
	}
	if err != nil {
		return fmt.Errorf("remove what was missed: %w", err)
	}
	return nil
}

// gone has the endpoint be told nothing more, as it wants.
func (b *Book) gone(ctx context.Context, endpoint store.Record[hook.Endpoint]) error {
	endpoint.Value.GoneAt = b.now().UTC()
	return b.change(ctx, endpoint)
}

// change writes the endpoint under its version.
func (b *Book) change(ctx context.Context, endpoint store.Record[hook.Endpoint]) error {
	tenant := endpoint.Value.Tenant
	if _, err := b.store.Endpoints.Put(ctx, owner(tenant), endpoint.Key, endpoint.Version, endpoint.Value); err != nil {
		return fmt.Errorf("write an endpoint: %w", err)
	}
	return nil
}
