// Package kms keeps people's data keys in documents, in three layers below a key of
// Cloud KMS, which never leaves it.
//
//	the KEK            a symmetric key of Cloud KMS, software, its versions its rotations
//	ring/ring          which version wraps, and how often data keys were rotated
//	ring/shard-0a3     one AES-256-GCM keyset a shard of people, wrapped by the KEK
//	ring/tokens        the key of people's pseudonyms, wrapped by the KEK
//	ring/secret-audit  what another room's keys are derived from, wrapped by the KEK
//	people-0a3/NAME    one AES-256-GCM keyset a person with all its versions, wrapped by
//	                   their shard's key and bound to their uid and life; or the mark
//	                   that it is destroyed, which stays
//
// There are 4,096 shards. NAME is a keyed hash of the uid, under the key of pseudonyms
// but never a pseudonym; the shard is of the same hash: the database names nobody. The
// documents are those of a store.Driver of a database of its own, in its collection
// keys: one that is backed up keeps keys of who is erased for as long as its backups.
//
// # What a call costs
//
//	Seal, Open        nothing for Lag behind a look at the person's document, then one read;
//	                  however many ask at once, one asks for all
//	a newcomer        a read and a write
//	a shard           a read and a Decrypt of KMS, once an hour and process; at first two reads, a
//	                  list, a write and an Encrypt
//	Seal, besides     a read of ring/ring every Lag and process
//	Destroy, Renew    a read and a write
//	Secret            a read and a Decrypt; at first two reads, a write and an Encrypt
//	Ready             of the KMS a read and a Decrypt, at most once a minute in which it was not used
//	Rewrap            a read of every shard's document and, of 64 shards, a Decrypt, an Encrypt and
//	                  a write each; all of it 8,192 calls of KMS, for any number of people
//	Census            a read of every document, and 4,096 lists
//
// At most 50,000 unwrapped keys of people are held; those not used for ten minutes are
// dropped with the next call.
//
// # Rotation
//
// Who makes or wraps a key names the version that wraps, as ring/ring has it, and writes under
// the condition that ring/ring is as it was: what the KMS has for primary does
// not matter, nor when it comes to. RotateKEK takes a newer version where there
// is one, as the key's own schedule makes, else makes one, which needs the right to administer the key; sealing and
// opening need the right to encrypt and decrypt alone. An older version is scheduled for
// destruction: it is of no use at once, and gone after what the key says (30 days).
//
// # Failures
//
// Where the KMS is away, people go on whose shard's key is in memory, for the hour; the
// others' calls are faults of the class unavailable, at once for a second behind each that
// took its two. Where the documents are away nobody goes on for longer than Lag. A
// fault has the code of the answer, and none of its text.
//
// Never run on Google's own service: rights, quotas, latency, and how soon a new version is
// of use there.
package kms

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
	"github.com/clarity-loop/clarity/services/store"
)

// Lag is how long a person's document is believed, unless the configuration says
// otherwise.
const Lag = 10 * time.Second

// Documents are where wrapped keys lie; a store.Driver is one, of a database that has
// nothing else.
type Documents interface {
	Get(ctx context.Context, k store.Key) (store.Document, error)
	Batch(ctx context.Context, writes []store.Write) (versions []int64, err error)
	List(ctx context.Context, q store.Query) ([]store.Document, error)
}

// Config is which key wraps.
type Config struct {
	// Key is "projects/P/locations/L/keyRings/R/cryptoKeys/K".
	Key string
	// Lag is how long a document is believed; 0 is the constant.
	Lag time.Duration
	// Endpoint is HOST:PORT of a stand-in for Cloud KMS, in the clear and without
	// credentials; "" is Google's, with those of where it runs.
	Endpoint string
}

var keyForm = regexp.MustCompile(`^projects/[a-z0-9:.-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}$`)

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if !keyForm.MatchString(c.Key) {
		return errors.New("key is projects/P/locations/L/keyRings/R/cryptoKeys/K")
	}
	return nil
}

// A Keyring is a keyring.Keyring over documents and a KMS.
type Keyring struct {
	lag    time.Duration
	now    func() time.Time
	kek    *kek
	ring   ring
	shards shards
	people people
	names  names

	sealed func(ctx context.Context, uid string) (bool, error) // see Guard; nil knows nothing
}

var _ keyring.Keyring = (*Keyring)(nil)

// Open is the keyring of the documents. The options are those of KMS's clients. It asks
// nobody anything yet.
func Open(ctx context.Context, c Config, d Documents, now func() time.Time, options ...option.ClientOption) (*Keyring, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	if c.Lag == 0 {
		c.Lag = Lag
	}
	kek, err := openKEK(ctx, c, now, options)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	k := &Keyring{lag: c.Lag, now: now, kek: kek}
	kept := documents{d}
	k.ring = ring{documents: kept, lag: c.Lag, now: now}
	k.shards = shards{documents: kept, kek: kek, ring: &k.ring, now: now, known: map[string]shard{}}
	k.names = names{documents: kept, kek: kek, ring: &k.ring}
	k.people, err = openPeople(kept, now)
	return k, err
}

// Close ends the clients.
func (k *Keyring) Close() error { return k.kek.Close() }

// Guard has nobody get a first key of whom sealed says that something is sealed for
// them already: their key is missing. It is called before the keyring is shared.
func (k *Keyring) Guard(sealed func(ctx context.Context, uid string) (bool, error)) {
	k.sealed = sealed
}

// Ready says why nobody's key can be found now, or, where the KMS alone is away and keys of
// shards are held, that it is partly so: people of the others wait. The KMS is asked once a
// minute in which it was not used.
func (k *Keyring) Ready(ctx context.Context) error {
	const op = "look for the keys"
	_, err := k.ring.believed(ctx)
	if err == nil {
		_, err = k.names.of(ctx, "ready")
	}
	if err != nil {
		return keyring.Fault(op, err)
	}
	err = keyring.Fault(op, k.kek.there.Ready(ctx, k.names.unwraps))
	if k.shards.some() {
		return fault.Partly(err)
	}
	return err
}

// Lag is how long other processes may not know of a destruction.
func (k *Keyring) Lag() time.Duration { return k.lag }

// Seal encrypts under the person's key, made at first, and anew after a rotation.
func (k *Keyring) Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	h, _, err := k.key(ctx, uid, true, false)
	if err != nil {
		return nil, keyring.Fault("seal", err)
	}
	ciphertext, err := h.key.Encrypt(plaintext, keysets.Associated(uid, name))
	return ciphertext, keyring.Fault("seal", err)
}

// Open decrypts what was sealed for the person under the name.
func (k *Keyring) Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	h, fresh, err := k.key(ctx, uid, false, false)
	if err != nil {
		return nil, keyring.Fault("open", err)
	}
	plaintext, failed := open(h.key, ciphertext, uid, name)
	if failed && !fresh && !knows(h.ids, ciphertext) { // another process may have sealed it with a newer version of the key
		if h, _, err = k.key(ctx, uid, false, true); err != nil {
			return nil, keyring.Fault("open", err)
		}
		plaintext, failed = open(h.key, ciphertext, uid, name)
	}
	if failed {
		return nil, keyring.Fault("open", keyring.ErrTampered) // the cause says no more, and must not
	}
	return plaintext, nil
}

func open(key tink.AEAD, ciphertext []byte, uid, name string) (plaintext []byte, failed bool) {
	plaintext, err := key.Decrypt(ciphertext, keysets.Associated(uid, name))
	return plaintext, err != nil
}

// Pseudonym is the person's name where no uid may stand.
func (k *Keyring) Pseudonym(ctx context.Context, uid string) (string, error) {
	name, err := k.names.of(ctx, uid)
	return name, keyring.Fault("pseudonym", err)
}

// place is where the person's document lies.
func (k *Keyring) place(ctx context.Context, uid string) (store.Key, error) {
	name, err := k.names.of(ctx, "\x00key\x00"+uid)
	if err != nil {
		return store.Key{}, err
	}
	return store.Key{Collection: collection, UID: peopleOf(shardOf(name)), Key: name}, nil
}

// shardOf is the shard that a name is in.
func shardOf(name string) string {
	return shardName(index(name[0])<<6 | index(name[1]))
}

// shardCount is how many there are. It never changes.
const shardCount = 4096

func shardName(n int) string { return fmt.Sprintf("%03x", n) }

// index is the number of a letter of base64url.
func index(letter byte) int {
	return strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", letter)
}

func peopleOf(shard string) string { return "people-" + shard }
