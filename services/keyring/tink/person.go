package tink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
)

// header begins the file of a person's key that a shard's key wraps. Behind it
// stands of which rotation the key's newest version is. A file of the releases
// before begins otherwise: it is a wrapped keyset and nothing else.
const header = "CLK2"

// split takes a person's file apart: of is -1 where it is of the releases before.
func split(data []byte) (of int, keyset []byte) {
	rest, is := bytes.CutPrefix(data, []byte(header))
	if !is {
		return -1, data
	}
	version, n := binary.Uvarint(rest)
	if n <= 0 || version > 1<<31 {
		return 0, nil
	}
	return int(version), rest[n:]
}

// unwrap reads a person's key, and of which rotation it is. Another process may be
// replacing it at this moment, which overwrites the one before.
func (k *Keyring) unwrap(uid, path string) (handle *keyset.Handle, of int, err error) {
	for again := true; ; again = false {
		data, err := os.ReadFile(path) //nolint:gosec // a file of our directory, named by a hash
		if err != nil {
			return nil, 0, fmt.Errorf("read wrapped key: %w", err)
		}
		of, inside := split(data)
		by, err := k.wrapping(uid, of)
		if err == nil {
			handle, err = keysets.Unwrap(inside, by, uid)
		}
		if err == nil {
			return handle, max(of, 0), nil
		}
		if !again {
			return nil, 0, fmt.Errorf("unwrap key: %w", keyring.ErrNoKey)
		}
		if err := k.kek.read(); err != nil { // which may not be there at all
			return nil, 0, fmt.Errorf("unwrap key: %w", keyring.ErrNoKey)
		}
	}
}

// wrapping is the key that wraps the person's, by what their file says.
func (k *Keyring) wrapping(uid string, of int) (tink.AEAD, error) {
	if of >= 0 {
		return k.shards.get(shardOf(uid))
	}
	by, err := k.shards.get(before)
	if errors.Is(err, fs.ErrNotExist) {
		_, by = k.kek.current()
		err = nil
	}
	return by, err
}

// make creates the person's key durably; where another process was first, its
// key is the one.
func (k *Keyring) make(uid, path, gone string) (*keyset.Handle, int, error) {
	unlock, err := k.lock(withOthers)
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	handle, err := keysets.New()
	if err != nil {
		return nil, 0, fmt.Errorf("make key: %w", err)
	}
	data, of, err := k.wrap(uid, handle)
	if err != nil {
		return nil, 0, err
	}
	if err := makeParent(path); err != nil {
		return nil, 0, fmt.Errorf("make key: %w", err)
	}
	err = durable.Create(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return k.unwrap(uid, path)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("make key: %w", err)
	}
	// Another process may have destroyed the person between our look and now.
	if _, err := os.Lstat(gone); err == nil {
		return nil, 0, errors.Join(keyring.ErrDestroyed, shred(path))
	}
	return handle, of, nil
}

// renew makes the person's key anew: a version behind those that there are. It has
// the ring alone: of two processes that do so one would seal with a version that
// the other's file does not have.
func (k *Keyring) renew(uid, path, gone string) (*keyset.Handle, int, error) {
	unlock, err := k.lock(alone)
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	if is, err := exists(gone); is || err != nil {
		return nil, 0, errors.Join(keyring.ErrDestroyed, err)
	}
	handle, of, err := k.unwrap(uid, path)
	if err != nil {
		return nil, 0, err
	}
	newest, err := k.rotation.version()
	if err != nil || of >= newest { // another process was first
		return handle, of, err
	}
	if handle, err = keysets.WithNewest(handle); err != nil {
		return nil, 0, err
	}
	data, of, err := k.wrap(uid, handle)
	if err == nil {
		err = replace(path, data)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("make key anew: %w", err)
	}
	return handle, of, nil
}

// wrap is the person's file, and of which rotation it is. The caller has the ring.
func (k *Keyring) wrap(uid string, handle *keyset.Handle) (data []byte, of int, err error) {
	if of, err = k.rotation.version(); err != nil {
		return nil, 0, err
	}
	by, err := k.shards.make(shardOf(uid))
	if err != nil {
		return nil, 0, fmt.Errorf("wrap key: %w", err)
	}
	inside, err := keysets.Wrap(handle, by, uid)
	if err != nil {
		return nil, 0, err
	}
	data = binary.AppendUvarint([]byte(header), uint64(of)) //nolint:gosec // it counts
	return append(data, inside...), of, nil
}

// before is the shard of the keys that the releases before have made.
const before = "before"

// shards are the keys that wrap people's, as this process has read them: they
// stay the same, however often they are wrapped anew.
type shards struct {
	dir string
	kek *wrapping

	mu    sync.Mutex
	known map[string]tink.AEAD
}

func (s *shards) path(shard string) string { return filepath.Join(s.dir, shard+".key") }

// use binds a shard's wrapped key to the shard.
func (s *shards) use(shard string) string { return "clarity.shard/" + shard }

// get is the key of the shard; the error is fs.ErrNotExist where it has none.
func (s *shards) get(shard string) (tink.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, is := s.known[shard]; is {
		return key, nil
	}
	handle, err := s.kek.unwrap(s.path(shard), s.use(shard))
	if errors.Is(err, keyring.ErrTampered) {
		err = fmt.Errorf("unwrap a shard's key: %w", keyring.ErrNoKey)
	}
	if err != nil {
		return nil, err
	}
	key, err := keysets.AEAD(handle)
	if err == nil {
		s.known[shard] = key
	}
	return key, err
}

// make is get, and makes the key at first. The caller has the ring.
func (s *shards) make(shard string) (tink.AEAD, error) {
	key, err := s.get(shard)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if is, err := s.wraps(shard); is || err != nil {
		return nil, errors.Join(keyring.ErrNoKey, err)
	}
	handle, err := keysets.New()
	if err != nil {
		return nil, err
	}
	if err := s.keep(shard, handle); err != nil && !errors.Is(err, fs.ErrExist) { // another process was first
		return nil, err
	}
	return s.get(shard)
}

// wraps says whether a key of the shard wraps somebody's: where it is missing, another
// would open none of them.
func (s *shards) wraps(shard string) (bool, error) {
	keys, err := filepath.Glob(filepath.Join(filepath.Dir(s.dir), "people", shard, "*.key"))
	if err != nil {
		return false, err
	}
	for _, path := range keys {
		data, err := os.ReadFile(path) //nolint:gosec // a file of our directory
		if of, _ := split(data); err == nil && of >= 0 {
			if _, err = os.Lstat(s.path(shard)); err == nil { // another process was first
				return false, nil
			}
			return true, nil
		}
	}
	return false, nil
}

// keep makes the handle the key of a shard that has none.
func (s *shards) keep(shard string, handle *keyset.Handle) error {
	data, err := s.kek.wrap(handle, s.use(shard))
	if err != nil {
		return err
	}
	return durable.Create(s.path(shard), data, 0o600)
}
