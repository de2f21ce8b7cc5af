package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/record"
)

// Permitted is nil where the person's data may be processed: the account is not
// erased, else analysis.ErrErased, and the consent to processing stands, else
// analysis.ErrNoConsent.
func (s *Store) Permitted(ctx context.Context, uid string) error {
	if err := s.CheckActive(ctx, uid); err != nil {
		return err
	}
	granted, err := s.Consented(ctx, uid, record.PurposeProcessing)
	if err == nil && !granted {
		return analysis.ErrNoConsent
	}
	return err
}

// CheckActive is nil where the person's account is not erased, else analysis.ErrErased.
func (s *Store) CheckActive(ctx context.Context, uid string) error {
	account, err := s.Accounts.Get(ctx, uid, record.AccountKey)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read account: %w", err)
	case !account.Value.ErasedAt.IsZero():
		return analysis.ErrErased
	}
	return nil
}

// Consented reports whether the person's consent to the purpose stands. Who was
// never asked has not agreed.
func (s *Store) Consented(ctx context.Context, uid, purpose string) (bool, error) {
	consent, err := s.Consents.Get(ctx, uid, purpose)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read consent to %s: %w", purpose, err)
	}
	return consent.Value.Granted, nil
}
