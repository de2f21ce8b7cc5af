// Package tink keeps a person's data keys as Tink keysets in files of one directory.
//
//	kek.json             the key-encryption keyset, mode 0600
//	shards/4f.key        one AES-256-GCM keyset a shard of people, wrapped by the KEK
//	people/4f/HASH.key   one AES-256-GCM keyset a person, wrapped by their shard's key
//	people/4f/HASH.gone  the marker of a destroyed key; it is never removed
//	people/4f/HASH.1.key the key of who has come back after that, and so on
//	tokens.key           the key of people's pseudonyms, wrapped by the KEK
//	rotation.json        how often data keys were rotated
//	ring.lock            held for a moment by who makes, replaces or destroys a key
//
// HASH is the SHA-256 of the uid, 4f its first two digits. The KEK lies beside
// what it wraps: this driver protects against deletion and mix-ups, not against
// someone who can read the whole directory. In the cloud the KEK is in a KMS.
//
// The releases before had no shards: the KEK wrapped people's keys. Those are opened
// as they are; once the KEK is rotated the one of that time lies in shards/before.key,
// wrapped as a shard's, until no person's key is left that it wraps.
//
// A copy of the directory holds the keys of everyone who is erased later: it is
// not to be backed up with what the keys open. A key that lies beside its marker,
// as after a crash or in a directory that was put together of two copies, is
// destroyed when the keyring is opened.
package tink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
)

// CacheSize bounds the unwrapped keys held in memory.
const CacheSize = 4096

// A Keyring is a keyring.Keyring over a directory.
type Keyring struct {
	dir        string
	kek        *wrapping
	shards     shards
	rotation   rotation
	pseudonyms pseudonyms

	sealed func(ctx context.Context, uid string) (bool, error) // see Guard; nil knows nothing

	lives func(ctx context.Context, uid string) (life int, over bool, err error) // see Follow; nil knows nothing

	people stripes // one at a time looks for, makes and destroys the keys of a person

	mu    sync.Mutex // guards cache; nothing is waited for under it
	cache *simplelru.LRU[string, held]
}

// stripes are locks of people: two may share one, and most do not. A new key's
// way to the disk keeps nobody else waiting.
type stripes [256]sync.Mutex

// of locks a person, and returns what unlocks them.
func (s *stripes) of(uid string) (unlock func()) {
	m := &s[stripeOf(uid)]
	m.Lock()
	return m.Unlock
}

func stripeOf(uid string) byte { return sha256.Sum256([]byte(uid))[0] }

// held is a person's unwrapped key, which of their keys it is, and of which
// rotation its newest version.
type held struct {
	life, version int
	key           tink.AEAD
}

// Open opens the keyring in dir, making the directory and the KEK at first.
func Open(dir string) (*Keyring, error) {
	k, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	return k, nil
}

func open(dir string) (*Keyring, error) {
	for _, part := range []string{"people", "shards"} {
		if err := os.MkdirAll(filepath.Join(dir, part), 0o700); err != nil {
			return nil, err
		}
	}
	kek, err := openKEK(filepath.Join(dir, "kek.json"))
	if err != nil {
		return nil, err
	}
	cache, err := simplelru.NewLRU[string, held](CacheSize, nil)
	if err != nil {
		return nil, err
	}
	k := &Keyring{dir: dir, kek: kek, cache: cache, shards: shards{dir: filepath.Join(dir, "shards"), kek: kek, known: map[string]tink.AEAD{}}}
	unlock, err := k.lock(alone)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return k, errors.Join(k.rotation.open(filepath.Join(dir, "rotation.json")), finishDestroying(filepath.Join(dir, "people")), syncAll(dir))
}

// Guard has nobody get a first key of whom sealed says that something is sealed for
// them already: their key is missing. It is called before the keyring is shared.
func (k *Keyring) Guard(sealed func(ctx context.Context, uid string) (bool, error)) {
	k.sealed = sealed
}

// Follow has the keyring go by people's records where its files do not tell: lives says
// how often a person came back from an erasure, and whether the key of that life is
// destroyed. The mark of a life before and no key is then a key that is away, and no
// erasure. It is called before the keyring is shared.
func (k *Keyring) Follow(lives func(ctx context.Context, uid string) (life int, over bool, err error)) {
	k.lives = lives
}

// Ready says why nobody's key can be found now.
func (k *Keyring) Ready(context.Context) error {
	for _, part := range []string{"kek.json", "people", "shards"} {
		if _, err := os.Stat(filepath.Join(k.dir, part)); err != nil {
			return keyring.Fault("look for the keys", err)
		}
	}
	return nil
}

// Seal encrypts under the person's key, made at first, and anew after a rotation.
func (k *Keyring) Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	h, err := k.key(ctx, uid, true)
	if err != nil {
		return nil, keyring.Fault("seal", err)
	}
	ciphertext, err := h.key.Encrypt(plaintext, keysets.Associated(uid, name))
	return ciphertext, keyring.Fault("seal", err)
}

// Open decrypts what was sealed for the person under the name.
func (k *Keyring) Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	_, known := k.remembered(uid)
	for {
		h, err := k.key(ctx, uid, false)
		if err != nil {
			return nil, keyring.Fault("open", err)
		}
		plaintext, err := h.key.Decrypt(ciphertext, keysets.Associated(uid, name))
		if err == nil {
			return plaintext, nil
		}
		if !known {
			return nil, keyring.Fault("open", keyring.ErrTampered) // the cause says no more, and must not
		}
		k.forget(uid) // another process may have sealed it with a newer version of the key
		known = false
	}
}

// key is the person's unwrapped key. The marker of a destroyed key is looked
// for each time, since another process may have set it, and so is a rotation by
// who seals.
func (k *Keyring) key(ctx context.Context, uid string, sealing bool) (held, error) {
	defer k.people.of(uid)()
	known, cached := k.remembered(uid)
	life, gone, err := k.life(uid, known.life)
	version := 0
	if err == nil && sealing {
		version, err = k.rotation.version()
	}
	switch {
	case err != nil:
		return held{}, err
	case gone:
		k.forget(uid)
		return held{}, k.without(ctx, uid, life)
	case cached && known.life == life && known.version >= version:
		return known, nil
	}
	h, err := k.load(ctx, uid, life, version, sealing)
	if err != nil {
		return held{}, err
	}
	k.remember(uid, h)
	return h, nil
}

// load reads the person's key. Who seals has it made where there is none, and made
// anew where it is older than the rotation.
func (k *Keyring) load(ctx context.Context, uid string, life, version int, sealing bool) (held, error) {
	path, marker := k.paths(uid, life)
	handle, of, err := k.unwrap(uid, path)
	if errors.Is(err, fs.ErrNotExist) {
		if !sealing {
			return held{}, keyring.ErrNoKey
		}
		handle, of, err = k.first(ctx, uid, path, marker)
	}
	if err == nil && sealing && of < version {
		handle, of, err = k.renew(uid, path, marker)
	}
	if err != nil {
		return held{}, err
	}
	key, err := keysets.AEAD(handle)
	return held{life, of, key}, err
}

// first makes the person's first key, unless something is sealed for them already.
func (k *Keyring) first(ctx context.Context, uid, path, marker string) (*keyset.Handle, int, error) {
	if k.sealed == nil {
		return k.make(uid, path, marker)
	}
	is, err := k.sealed(ctx, uid)
	if err != nil {
		return nil, 0, fmt.Errorf("look for what is sealed: %w", err)
	}
	if !is {
		return k.make(uid, path, marker)
	}
	// Another process may have made the key, and sealed with it, since we looked.
	handle, of, err := k.unwrap(uid, path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("find key: %w", keyring.ErrNoKey)
	}
	return handle, of, err
}

func (k *Keyring) remembered(uid string) (held, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cache.Get(uid)
}

func (k *Keyring) remember(uid string, h held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cache.Add(uid, h)
}

func (k *Keyring) forget(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cache.Remove(uid)
}
