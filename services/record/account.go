package record

import (
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/record/erased"
)

// An Account is how a person stands, in one record that every request and every
// message reads: whether they are erased, and what they agreed to. It outlives
// their data and holds none. What they were shown and answered when is in their
// Consents.
type Account struct {
	ErasedAt time.Time `json:"erasedAt,omitzero"`
	// Receipt is what the releases before told of an erasure that had ended.
	Receipt string `json:"receipt,omitempty"`
	// Erasure is how far the erasure has come. It is nil of who is not erased, and
	// of who was by the releases before.
	Erasure *erased.Progress `json:"erasure,omitempty"`
	// Life counts the erasures that the person has come back from: so many of
	// their keys are destroyed.
	Life int `json:"life,omitempty"`
	// Epoch rises each time the person stands otherwise than before.
	Epoch int64 `json:"epoch,omitempty"`
	// Purposes are what the person agreed to, in order. It is nil in a record of
	// the releases before, which looked at the Consents.
	Purposes []string `json:"purposes"`
}

// Active is nil where the account is not erased, else analysis.ErrErased.
func (a Account) Active() error {
	if !a.ErasedAt.IsZero() {
		return analysis.ErrErased
	}
	return nil
}

// Over reports whether the key of the person's life is destroyed, as far as is on
// record: of who is erased and in whose erasure that was done.
func (a Account) Over() bool {
	if a.ErasedAt.IsZero() {
		return false
	}
	if a.Erasure == nil {
		return a.Receipt != ""
	}
	return a.Erasure.Step != erased.Requested
}

// Agreed reports whether the person's consent to the purpose stands. Who was
// never asked has not agreed.
func (a Account) Agreed(purpose string) bool {
	return a.ErasedAt.IsZero() && slices.Contains(a.Purposes, purpose)
}

// Permitted is nil where the person's data may be processed: the account is not
// erased, else analysis.ErrErased, and the consent to processing stands, else
// analysis.ErrNoConsent.
func (a Account) Permitted() error {
	if err := a.Active(); err != nil {
		return err
	}
	if !a.Agreed(PurposeProcessing) {
		return analysis.ErrNoConsent
	}
	return nil
}

// Answered is the account after an answer to the purpose.
func (a Account) Answered(purpose string, granted bool) Account {
	kept := slices.DeleteFunc(slices.Clone(a.Purposes), func(p string) bool { return p == purpose })
	if granted {
		kept = append(kept, purpose)
		slices.Sort(kept)
	}
	a.Epoch, a.Purposes = a.Epoch+1, append([]string{}, kept...)
	return a
}

// Erased is the account of a person who is erased from then on.
func (a Account) Erased(at time.Time, receiptID string) Account {
	a.ErasedAt, a.Epoch, a.Purposes = at, a.Epoch+1, []string{}
	a.Erasure = &erased.Progress{ReceiptID: receiptID, Step: erased.Requested}
	return a
}

// Kept is the account of a person who has thought better of it: nothing of
// theirs is destroyed. What they agreed to is read of their Consents.
func (a Account) Kept() Account {
	return Account{Epoch: a.Epoch + 1, Life: a.Life}
}

// Anew is the account of a person who was erased and comes back, having agreed
// to nothing.
func (a Account) Anew() Account {
	return Account{Epoch: a.Epoch + 1, Life: a.Life + 1, Purposes: []string{}}
}
