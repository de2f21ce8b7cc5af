// Package erased is the record of an erasure: how far it has come.
package erased

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// ReceiptID names the receipt of the erasure of a person's life. It rests on the keyring
// alone, which outlives what is put back from a copy: there the receipt has it again.
func ReceiptID(ctx context.Context, names interface {
	Pseudonym(ctx context.Context, of string) (string, error)
}, uid string, life int) (string, error) {
	name, err := names.Pseudonym(ctx, "receipt\x00"+uid+"\x00"+strconv.Itoa(life))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16]), nil
}

// Progress is how far the erasure of a person has come. It holds nothing of
// theirs.
type Progress struct {
	ReceiptID string `json:"receiptId"`
	Step      Step   `json:"step"`
	// DestroyedAt is when the person's key was, and FinishedAt when nothing else
	// of theirs was left.
	DestroyedAt time.Time `json:"destroyedAt,omitzero"`
	FinishedAt  time.Time `json:"finishedAt,omitzero"`
	// Begun says that the key may be destroyed, whatever the step: there is no way back.
	Begun bool `json:"begun,omitempty"`
	// Until is how long a process that is at work on it has it for itself.
	Until time.Time `json:"until,omitzero"`
}

// A Step is what was done last.
type Step string

// The steps, in order.
const (
	Requested Step = "requested" // nothing is destroyed yet
	Destroyed Step = "destroyed" // the key is
	Removed   Step = "removed"   // what was left is gone, too; it is looked for again
	Repeated  Step = "repeated"  // it was looked for after an hour
	Ended     Step = "ended"     // and after a day
)

// Finished says whether nothing of the person is left.
func (p *Progress) Finished() bool { return p != nil && !p.FinishedAt.IsZero() }
