// Package keyring is the contract for one data key a person.
//
// Seal encrypts with authenticated encryption under the person's key, creating
// it on first use; the wrapped key MUST be durable before the first ciphertext
// is returned. The name is bound as associated data, together with the uid:
// Open MUST fail with ErrTampered for another name, another person, or any
// changed bit, and MUST NOT return a byte of plaintext then.
//
// Destroy makes everything sealed for the uid unreadable for good (crypto-shred):
// it MUST be durable on return, and MUST drop cached keys of this process. From
// then on Seal and Open return ErrDestroyed in this process, and in every other
// once Lag has passed: what they sealed meanwhile is unreadable with the rest.
// Destroy of a uid that has no key, or twice, is nil and has the same effect.
//
// Renew lets a person whose key was destroyed have a new one: their life-th, the
// first life being 0. What was sealed in a life before stays unreadable
// (ErrTampered from then on). It is nil where they have that key already, and an
// error where the key of the life before is not destroyed. What another process
// seals for them within Lag may still be refused.
//
// A data key never leaves the process unwrapped. All methods may be called concurrently.
package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
)

// The sentinels a driver wraps.
var (
	ErrNoKey     = errors.New("keyring: person has no key")
	ErrDestroyed = errors.New("keyring: key is destroyed")
	ErrTampered  = errors.New("keyring: ciphertext does not belong to this name and person")
)

// A Sealer seals and opens by person and name.
type Sealer interface {
	Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error)
}

// An Eraser ends what a person's key opens. Who does not erase people is given
// a Sealer, never a Keyring.
type Eraser interface {
	Destroy(ctx context.Context, uid string) error
	// Lag is how long other processes may not know of it.
	Lag() time.Duration
}

// A Renewer has erased people come back under a new key.
type Renewer interface {
	Renew(ctx context.Context, uid string, life int) error
}

// A Keyring is all that a driver can do with people's keys.
type Keyring interface {
	Sealer
	Eraser
	Renewer
	Pseudonymizer
}

// A Pseudonymizer names people where no uid may stand: in an object of a cluster, a
// job's list of subjects, a checkpoint. A pseudonym is a keyed hash: the same
// for a uid in every process and forever, after Destroy too; 16 to 128 bytes of
// [A-Za-z0-9_-]; and whoever has not the key MUST NOT be able to tell whose it
// is, or whether two platforms' pseudonyms are one person's. It opens nothing.
//
// Other texts than uids have pseudonyms, too: one with a byte 0 in it is no uid's.
type Pseudonymizer interface {
	Pseudonym(ctx context.Context, uid string) (string, error)
}

// Fault is what a driver returns for an error it met; see package fault. That
// there is no key, or none any more, is an answer and none.
func Fault(op string, err error) error {
	if errors.Is(err, ErrNoKey) || errors.Is(err, ErrDestroyed) {
		return err
	}
	return fault.Wrap("keyring", op, err,
		fault.Known{Is: ErrTampered, Class: fault.Broken, Code: "tampered"},
	)
}
