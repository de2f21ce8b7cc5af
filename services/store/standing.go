package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
)

// standingTries is how often what others change meanwhile is tried.
const standingTries = 8

// Standing is how the person stands. It is one document: read once, it decides on
// a whole request or message. Who never answered has version 0 and agreed to
// nothing.
func (s *Store) Standing(ctx context.Context, uid string) (Record[record.Account], error) {
	for range standingTries {
		found, err := s.Accounts.Get(ctx, uid, record.AccountKey)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return found, fmt.Errorf("read account: %w", err)
		}
		if found.Value.Purposes != nil || !found.Value.ErasedAt.IsZero() {
			return found, nil
		}
		if found, err = s.settle(ctx, uid, found); err == nil || !errors.Is(err, ErrConflict) {
			return found, err
		}
	}
	return Record[record.Account]{}, fmt.Errorf("read account: %w", ErrConflict)
}

// settle makes the account say what the releases before read in the consents.
func (s *Store) settle(ctx context.Context, uid string, found Record[record.Account]) (Record[record.Account], error) {
	consents, err := s.Consents.List(ctx, uid, Query{Limit: MaxLimit})
	if err != nil {
		return found, fmt.Errorf("read consents: %w", err)
	}
	found.Value.Purposes = []string{}
	for _, c := range consents {
		if c.Value.Granted {
			found.Value.Purposes = append(found.Value.Purposes, c.Key)
		}
	}
	if len(consents) == 0 && found.Version == 0 {
		return found, nil
	}
	found.Version, err = s.Accounts.Put(ctx, uid, record.AccountKey, found.Version, found.Value)
	return found, err
}

// Permitted is nil where the person's data may be processed; see record.Account.
func (s *Store) Permitted(ctx context.Context, uid string) error {
	standing, err := s.Standing(ctx, uid)
	if err != nil {
		return err
	}
	return standing.Value.Permitted()
}

// CheckActive is nil where the person's account is not erased, else analysis.ErrErased.
func (s *Store) CheckActive(ctx context.Context, uid string) error {
	standing, err := s.Standing(ctx, uid)
	if err != nil {
		return err
	}
	return standing.Value.Active()
}

// Under is the part of a Batch that demands that the person stands as was read:
// the rest is written before they stand otherwise, or not at all.
func (s *Store) Under(standing Record[record.Account]) Change {
	if standing.Version == 0 {
		return s.Accounts.ToPut(record.AccountKey, 0, standing.Value)
	}
	return s.Accounts.ToCheck(record.AccountKey, standing.Version)
}

// Errand is the part of a Batch that has an errand be done at once, of which a
// person has one at most, and which began to be unfinished then.
func (s *Store) Errand(kind agenda.Kind, since, now time.Time) Change {
	if now.Before(time.Unix(1, 0)) {
		now = time.Unix(1, 0)
	}
	e := agenda.Errand{Kind: kind, Since: since.UTC()}
	return s.Agenda.ToPut(e.Key(), Any, e).At(now.UTC())
}

// Answer keeps a person's answer to a purpose, made of the one before, and has
// them stand by it from then on. Who agrees again to be processed has what was
// held taken up. Who is erased does not answer: analysis.ErrErased.
func (s *Store) Answer(ctx context.Context, uid, purpose string, answer func(before record.Consent) record.Consent) (given record.Consent, err error) {
	for range standingTries {
		standing, err := s.Standing(ctx, uid)
		if err == nil {
			err = standing.Value.Active()
		}
		if err != nil {
			return given, err
		}
		before, err := s.Consents.Get(ctx, uid, purpose)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return given, err
		}
		given = answer(before.Value)
		changes := []Change{
			s.Consents.ToPut(purpose, before.Version, given),
			s.Accounts.ToPut(record.AccountKey, standing.Version, standing.Value.Answered(purpose, given.Granted)),
		}
		if purpose == record.PurposeProcessing && given.Granted && before.Version != 0 && !before.Value.Granted {
			changes = append(changes, s.Errand(agenda.Resume, before.Value.At, given.At))
		}
		_, err = s.Batch(ctx, uid, changes...)
		if !errors.Is(err, ErrConflict) {
			return given, err
		}
	}
	return given, fmt.Errorf("write consent: %w", ErrConflict)
}

// MarkErased has the person stand as erased from then on, and their erasure begin
// after the grace; who was before stays as they were, and who was by a release
// before, which did not come to its end, is taken up. The receipt will have the id.
func (s *Store) MarkErased(ctx context.Context, uid string, at time.Time, grace time.Duration, receiptID string) (Record[record.Account], error) {
	return s.change(ctx, uid, func(a Record[record.Account]) (record.Account, time.Time) {
		now := a.Value
		if now.Erasure != nil || now.Receipt != "" {
			return now, a.Due
		}
		if !now.ErasedAt.IsZero() {
			at = now.ErasedAt
		}
		return now.Erased(at, receiptID), at.Add(grace)
	})
}

// ChangeAccount changes the account, and the time at which its erasure goes on:
// zero for none, with the other changes. What change returns is written under what it was given.
func (s *Store) ChangeAccount(ctx context.Context, uid string, before Record[record.Account], to record.Account, due time.Time, also ...Change) (Record[record.Account], error) {
	versions, err := s.Batch(ctx, uid, append([]Change{s.Accounts.ToPut(record.AccountKey, before.Version, to).At(due)}, also...)...)
	if err != nil {
		return before, err
	}
	return Record[record.Account]{Key: record.AccountKey, Version: versions[0], Due: due, Value: to}, nil
}

// change does it as often as others are first.
func (s *Store) change(ctx context.Context, uid string, to func(Record[record.Account]) (record.Account, time.Time)) (Record[record.Account], error) {
	for range standingTries {
		found, err := s.Accounts.Get(ctx, uid, record.AccountKey)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return found, err
		}
		next, due := to(found)
		if next.Erasure == found.Value.Erasure && next.ErasedAt.Equal(found.Value.ErasedAt) {
			return found, nil
		}
		if found, err = s.ChangeAccount(ctx, uid, found, next, due); !errors.Is(err, ErrConflict) {
			return found, err
		}
	}
	return Record[record.Account]{}, fmt.Errorf("mark account: %w", ErrConflict)
}
