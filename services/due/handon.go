package due

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

// handOn hands on a page of what devices were told, which its writer did not come to:
// the entry is moved on first, under its version, and goes once that is done.
func (s *Stage) handOn(ctx context.Context, d store.Document, r store.Record[agenda.Errand]) error {
	uid := d.Key.UID
	page, err := s.Store.Events.Get(ctx, uid, r.Value.Ref)
	if s.Relay == nil || errors.Is(err, store.ErrNotFound) { // nobody listens any more, or it is not kept
		return s.Store.Agenda.Delete(ctx, uid, r.Key, r.Version)
	}
	if err != nil {
		return s.unreadable(ctx, d, err)
	}
	first, err := strconv.ParseUint(page.Key, 16, 64)
	if err != nil {
		return s.putOff(ctx, d)
	}
	e := r.Value
	e.Asked++
	versions, err := s.Store.Batch(ctx, uid, s.Store.Agenda.ToPut(r.Key, r.Version, e).At(s.Now().UTC().Add(reask(e.Asked))))
	if err != nil {
		return err
	}
	if err := s.Relay.Tell(ctx, uid, first, page.Value.All()); err != nil {
		return fmt.Errorf("hand on what was told: %w", err)
	}
	return s.Store.Agenda.Delete(ctx, uid, r.Key, versions[0])
}

// expire has go what a tenant's endpoint did not take.
func (s *Stage) expire(ctx context.Context, d store.Document, r store.Record[agenda.Errand]) error {
	if s.Missed == nil {
		return s.putOff(ctx, d)
	}
	if err := s.Missed.Expire(ctx, d.Key.UID, r); err != nil {
		return s.unreadable(ctx, d, err)
	}
	return nil
}
