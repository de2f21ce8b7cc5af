// Package tink keeps a person's data keys as Tink keysets in files of one directory.
//
//	kek.json             the key-encryption keyset, mode 0600
//	people/4f/HASH.key   one AES-256-GCM keyset a person, wrapped by the KEK
//	people/4f/HASH.gone  the marker of a destroyed key; it is never removed
//	people/4f/HASH.1.key the key of who has come back after that, and so on
//	tokens.key           the key of people's pseudonyms, wrapped by the KEK
//
// HASH is the SHA-256 of the uid, 4f its first two digits. The KEK lies beside
// what it wraps: this driver protects against deletion and mix-ups, not against
// someone who can read the whole directory. In the cloud the KEK is in a KMS.
//
// A copy of the directory holds the keys of everyone who is erased later: it is
// not to be backed up with what the keys open. A key that lies beside its marker,
// as after a crash or in a directory that was put together of two copies, is
// destroyed when the keyring is opened.
package tink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
)

// CacheSize bounds the unwrapped keys held in memory.
const CacheSize = 4096

// A Keyring is a keyring.Keyring over a directory.
type Keyring struct {
	dir        string
	kek        tink.AEAD
	pseudonyms pseudonyms

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

// held is a person's unwrapped key, and which of their keys it is.
type held struct {
	life int
	key  tink.AEAD
}

// Open opens the keyring in dir, making the directory and the KEK at first.
func Open(dir string) (*Keyring, error) {
	if err := os.MkdirAll(filepath.Join(dir, "people"), 0o700); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	kek, err := openKEK(filepath.Join(dir, "kek.json"))
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	if err := finishDestroying(filepath.Join(dir, "people")); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	if err := syncAll(dir); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	cache, err := simplelru.NewLRU[string, held](CacheSize, nil)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	return &Keyring{dir: dir, kek: kek, cache: cache}, nil
}

// Seal encrypts under the person's key, made at first.
func (k *Keyring) Seal(_ context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	key, err := k.key(uid, true)
	if err != nil {
		return nil, keyring.Fault("seal", err)
	}
	ciphertext, err := key.Encrypt(plaintext, associated(uid, name))
	return ciphertext, keyring.Fault("seal", err)
}

// Open decrypts what was sealed for the person under the name.
func (k *Keyring) Open(_ context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	key, err := k.key(uid, false)
	if err != nil {
		return nil, keyring.Fault("open", err)
	}
	plaintext, err := key.Decrypt(ciphertext, associated(uid, name))
	if err != nil {
		return nil, keyring.Fault("open", keyring.ErrTampered) // the cause says no more, and must not
	}
	return plaintext, nil
}

// key is the person's unwrapped key. The marker of a destroyed key is looked
// for each time, since another process may have set it.
func (k *Keyring) key(uid string, create bool) (tink.AEAD, error) {
	defer k.people.of(uid)()
	known, cached := k.remembered(uid)
	life, gone, err := k.life(uid, known.life)
	switch {
	case err != nil:
		return nil, err
	case gone:
		k.forget(uid)
		return nil, keyring.ErrDestroyed
	case cached && known.life == life:
		return known.key, nil
	}
	wrapped, marker := k.paths(uid, life)
	key, err := k.unwrap(uid, wrapped)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, keyring.ErrNoKey
		}
		key, err = k.make(uid, wrapped, marker)
	}
	if err != nil {
		return nil, err
	}
	k.remember(uid, held{life, key})
	return key, nil
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

func (k *Keyring) unwrap(uid, path string) (tink.AEAD, error) {
	data, err := os.ReadFile(path) //nolint:gosec // a file of our directory, named by a hash
	if err != nil {
		return nil, fmt.Errorf("read wrapped key: %w", err)
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(data)), k.kek, []byte(uid))
	if err != nil {
		return nil, fmt.Errorf("unwrap key: %w", keyring.ErrTampered)
	}
	return primitive(handle)
}

// make creates the person's key durably; where another process was first, its
// key is the one.
func (k *Keyring) make(uid, path, gone string) (tink.AEAD, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	var wrapped bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&wrapped), k.kek, []byte(uid)); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	if err := makeParent(path); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	err = durable.Create(path, wrapped.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return k.unwrap(uid, path)
	}
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	// Another process may have destroyed the person between our look and now.
	if _, err := os.Lstat(gone); err == nil {
		return nil, errors.Join(keyring.ErrDestroyed, shred(path))
	}
	return primitive(handle)
}

func openKEK(path string) (tink.AEAD, error) {
	data, err := os.ReadFile(path) //nolint:gosec // a file of our directory
	if errors.Is(err, fs.ErrNotExist) {
		data, err = newKEK(path)
	}
	if err != nil {
		return nil, err
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("read %s: not a Tink keyset: %w", filepath.Base(path), err)
	}
	return primitive(handle)
}

func newKEK(path string) ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	var clear bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&clear)); err != nil {
		return nil, err
	}
	err = durable.Create(path, clear.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return os.ReadFile(path) //nolint:gosec // a file of our directory
	}
	return clear.Bytes(), err
}

func primitive(h *keyset.Handle) (tink.AEAD, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("use key: %w", err)
	}
	return a, nil
}

// associated binds a ciphertext to its person and name; the length of the uid
// goes first, so that no two pairs make the same bytes.
func associated(uid, name string) []byte {
	ad := make([]byte, 0, binary.MaxVarintLen16+len(uid)+len(name))
	ad = binary.AppendUvarint(ad, uint64(len(uid)))
	ad = append(ad, uid...)
	return append(ad, name...)
}
