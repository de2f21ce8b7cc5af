// Package keyring is the contract for one data key a person.
//
// Seal encrypts with authenticated encryption under the person's key, creating
// it on first use; the wrapped key MUST be durable before the first ciphertext
// is returned. For whom something is sealed already, as far as the driver was told
// how to know, it creates none but returns ErrNoKey: theirs is missing, and what a new
// one sealed would be lost once theirs is back. The name is bound as associated data, together with the uid:
// Open MUST fail with ErrTampered for another name, another person, or any
// changed bit, and MUST NOT return a byte of plaintext then.
//
// Destroy makes everything sealed for the uid unreadable for good (crypto-shred):
// it MUST be durable on return, and MUST drop cached keys of this process. From
// then on Seal and Open return ErrDestroyed in this process, and in every other
// once Lag has passed: what they sealed meanwhile is unreadable with the rest.
// Destroy of a uid that has no key, or twice, is nil and has the same effect. A key that
// is away, as far as the driver was told how to know, is no key that is destroyed: that of
// who has come back is ErrNoKey like any other, and Destroy ends it all the same, so that
// it opens nothing when it is put back. Nobody removes anything for good because of
// ErrDestroyed alone: a keyring that was put back knows what it knew then.
//
// Renew lets a person whose key was destroyed have a new one: their life-th, the
// first life being 0. What was sealed in a life before stays unreadable
// (ErrTampered from then on). It is nil where they have that key already, and an
// error where the key of the life before is not destroyed. What another process
// seals for them within Lag may still be refused.
//
// # Rotation
//
// Three layers of keys lie on each other: one that wraps (a KEK), a bounded number
// of those that it wraps, and people's data keys, which those wrap. Each rotates
// while everybody goes on sealing, opening and destroying, in any process.
//
// RotateKEK makes a new version of the one that wraps: from then on nothing is
// wrapped by an older one. Rewrap wraps the layer below anew, a part at a time,
// behind the cursor of the part before; "" begins. An older version MUST be kept
// until nothing is wrapped by it, and is gone once Rewrap returns a Progress without
// a Cursor. A rotation that was cut goes on: RotateKEK begins no other one then, and
// Rewrap may begin again at "". It touches no person's key, so that it costs
// the same for any number of people.
//
// RotateData has each person's data key made anew by their next Seal, within Lag in
// other processes. What was sealed before still opens: the versions before stay
// with the person's key, as copies that are kept elsewhere may need them, and
// go with it when it is destroyed.
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
	// ErrNoKey says that the person has no key, or none that can be read: what is
	// sealed for them opens again once it is put back.
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

// A Rotator replaces keys. It is for who operates the keyring; no stage has one.
type Rotator interface {
	RotateKEK(ctx context.Context) error
	Rewrap(ctx context.Context, cursor string) (Progress, error)
	RotateData(ctx context.Context) error
	// Census counts the keys; it costs a look at each.
	Census(ctx context.Context) (Census, error)
}

// Progress is how far Rewrap is: Done of All were wrapped by the newest version
// when it returned. Cursor is what the next part is behind; without one there is none.
type Progress struct {
	Cursor    string
	Done, All int
}

// A Census counts keys. It names nobody.
type Census struct {
	KEKs      int // versions of the key that wraps; 1 where no rotation is unfinished
	Wrapped   int // of the keys that it wraps
	Older     int // of those, by an older version
	Data      int // how often RotateData was called
	People    int // who have a key
	Behind    int // of those, whose next Seal makes it anew
	Destroyed int // keys that were
}

// A Keyring is all that a driver can do with people's keys.
type Keyring interface {
	Sealer
	Eraser
	Renewer
	Pseudonymizer
	Rotator
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
// there is no key any more is an answer and none.
func Fault(op string, err error) error {
	if errors.Is(err, ErrDestroyed) {
		return err
	}
	return fault.Wrap("keyring", op, err,
		fault.Known{Is: ErrNoKey, Class: fault.Unavailable, Code: "no key"},
		fault.Known{Is: ErrTampered, Class: fault.Broken, Code: "tampered"},
	)
}
