package webhook

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/store"
)

// keyOf is where it is kept that an endpoint has not taken an event.
func keyOf(due hooking.Due) string {
	return due.Endpoint + "-" + idOf(due.UID, due.First, due.Events[0])
}

// errand is the entry of the tenant's agenda that has what was missed go in time.
func (b *Book) errand(key string, m hook.Missed) store.Change {
	e := agenda.Errand{Kind: agenda.Missed, Ref: key, Since: m.At.UTC()}
	return b.store.Agenda.ToPut(e.Key(), store.Any, e).At(m.Last.Add(hook.Kept))
}

// missed keeps that an endpoint has not taken an event. The person's mark comes first,
// each time, and whether they are erased is looked at last: an erasure that did not find
// what is written here had begun by then. What is left of whoever dies between is taken
// off by who has the message next, and in any case when its time is over.
func (b *Book) missed(ctx context.Context, due hooking.Due, state hook.State, came answer) error {
	key, e, tenants := keyOf(due), due.Events[0], ownerOf(due.UID)
	if _, err := b.store.Marks.Put(ctx, due.UID, key, store.Any, hook.Mark{}); err != nil {
		return fmt.Errorf("mark what was missed: %w", err)
	}
	found, err := b.store.Missed.Get(ctx, tenants, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("keep what was missed: %w", err)
	}
	m := hook.Missed{UID: due.UID, Number: due.First, Kind: flow.EventKind(e.Kind), Ref: e.Ref, Version: e.Version, At: e.At,
		State: state, Attempts: found.Value.Attempts + 1, Last: b.now().UTC(), Status: came.status, Reason: came.reason}
	if _, err := b.store.Batch(ctx, tenants, b.store.Missed.ToPut(key, found.Version, m), b.errand(key, m)); err != nil {
		return fmt.Errorf("keep what was missed: %w", err)
	}
	if err := b.store.CheckActive(ctx, due.UID); err != nil {
		if errors.Is(err, analysis.ErrErased) {
			return b.taken(ctx, due)
		}
		return err
	}
	if _, err := b.store.Endpoints.Get(ctx, tenants, due.Endpoint); errors.Is(err, store.ErrNotFound) {
		return b.taken(ctx, due) // it was deleted meanwhile, with all that it missed
	}
	return nil
}

// taken removes what may be kept of an event that an endpoint has not taken before.
func (b *Book) taken(ctx context.Context, due hooking.Due) error {
	return b.remove(ctx, due.UID, keyOf(due))
}

// remove removes what was missed of the person's, and its mark last.
func (b *Book) remove(ctx context.Context, uid, key string) error {
	errand := agenda.Errand{Kind: agenda.Missed, Ref: key}
	_, err := b.store.Batch(ctx, ownerOf(uid), b.store.Missed.ToDelete(key, store.Any), b.store.Agenda.ToDelete(errand.Key(), store.Any))
	if err == nil {
		err = b.store.Marks.Delete(ctx, uid, key, store.Any)
	}
	if err != nil {
		return fmt.Errorf("remove what was missed: %w", err)
	}
	return nil
}

// Expire removes what was missed, of which the errand on the agenda of the owner is, once
// it was tried a week ago for the last time.
func (b *Book) Expire(ctx context.Context, owner string, errand store.Record[agenda.Errand]) error {
	key, done := errand.Value.Ref, b.store.Agenda.ToDelete(errand.Key, errand.Version)
	found, err := b.store.Missed.Get(ctx, owner, key)
	if errors.Is(err, store.ErrNotFound) {
		_, err = b.store.Batch(ctx, owner, done)
		return err
	}
	if err != nil {
		return err
	}
	m := found.Value
	if until := m.Last.Add(hook.Kept); b.now().Before(until) {
		_, err = b.store.Batch(ctx, owner, b.store.Agenda.ToPut(errand.Key, errand.Version, errand.Value).At(until))
		return err
	}
	if err := b.store.Marks.Delete(ctx, m.UID, key, store.Any); err != nil {
		return err
	}
	_, err = b.store.Batch(ctx, owner, b.store.Missed.ToDelete(key, found.Version), done)
	if errors.Is(err, store.ErrConflict) { // it was tried meanwhile, and stays
		_, marked := b.store.Marks.Put(ctx, m.UID, key, store.Any, hook.Mark{})
		return errors.Join(err, marked)
	}
	return err
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
