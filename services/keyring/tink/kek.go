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

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
)

// wrapping is the KEK as this process has read it. Another process may have
// rotated it since: what it does not unwrap is tried again with the one in the file.
type wrapping struct {
	path string

	mu     sync.RWMutex
	handle *keyset.Handle
	key    tink.AEAD
}

// openKEK reads the KEK, making it at first.
func openKEK(path string) (*wrapping, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		handle, err := keysets.New()
		if err != nil {
			return nil, err
		}
		clear, err := inClear(handle)
		if err != nil {
			return nil, err
		}
		if err := durable.Create(path, clear, 0o600); err != nil && !errors.Is(err, fs.ErrExist) { // another process was first
			return nil, err
		}
	}
	w := &wrapping{path: path}
	return w, w.read()
}

// read takes the KEK that is in the file.
func (w *wrapping) read() error {
	handle, err := w.parse()
	if err != nil { // the one before may have been overwritten this moment
		handle, err = w.parse()
	}
	if err != nil {
		return err
	}
	key, err := keysets.AEAD(handle)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle, w.key = handle, key
	return nil
}

func (w *wrapping) parse() (*keyset.Handle, error) {
	data, err := os.ReadFile(w.path)
	if err != nil {
		return nil, err
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("read %s: not a Tink keyset: %w", filepath.Base(w.path), err)
	}
	return handle, nil
}

// replace keeps the handle as the KEK. The ring is the caller's alone.
func (w *wrapping) replace(handle *keyset.Handle) error {
	clear, err := inClear(handle)
	if err != nil {
		return err
	}
	if err := replace(w.path, clear); err != nil {
		return err
	}
	return w.read()
}

func (w *wrapping) current() (*keyset.Handle, tink.AEAD) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.handle, w.key
}

// unwrap reads a keyset that the KEK wraps. Another process may be wrapping it
// anew at this moment.
func (w *wrapping) unwrap(path, use string) (*keyset.Handle, error) {
	for again := true; ; again = false {
		data, err := os.ReadFile(path) //nolint:gosec // a file of our directory
		if err != nil {
			return nil, err
		}
		_, kek := w.current()
		handle, err := keysets.Unwrap(data, kek, use)
		switch {
		case err == nil:
			return handle, nil
		case !again:
			return nil, fmt.Errorf("unwrap it: %w", keyring.ErrTampered)
		}
		if err := w.read(); err != nil {
			return nil, err
		}
	}
}

// wrap is the keyset, wrapped by the newest KEK. The caller has the ring, so that
// no newer one comes meanwhile.
func (w *wrapping) wrap(handle *keyset.Handle, use string) ([]byte, error) {
	if err := w.read(); err != nil {
		return nil, err
	}
	_, kek := w.current()
	return keysets.Wrap(handle, kek, use)
}

// isNewest says whether a wrapped keyset is wrapped by the newest KEK: Tink puts the
// id of the key in front of what it encrypts.
func (w *wrapping) isNewest(data []byte) (bool, error) {
	sealed, err := keyset.NewBinaryReader(bytes.NewReader(data)).ReadEncrypted()
	if err != nil {
		return false, fmt.Errorf("read a wrapped key: %w", keyring.ErrTampered)
	}
	handle, _ := w.current()
	prefix := binary.BigEndian.AppendUint32([]byte{1}, handle.KeysetInfo().GetPrimaryKeyId())
	return bytes.HasPrefix(sealed.GetEncryptedKeyset(), prefix), nil
}

// versions counts those of the KEK.
func (w *wrapping) versions() int {
	handle, _ := w.current()
	return handle.Len()
}

func inClear(handle *keyset.Handle) ([]byte, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// replace is durable.Replace for keys: what was in the file is overwritten, as far
// as the file system lets that mean anything.
func replace(path string, data []byte) error {
	former, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // a file of our directory
	if errors.Is(err, fs.ErrNotExist) {
		return durable.Replace(path, data, 0o600)
	}
	if err != nil {
		return err
	}
	err = durable.Replace(path, data, 0o600)
	if err == nil {
		err = overwrite(former)
	}
	return errors.Join(err, former.Close())
}

// overwrite fills an open file with zeros.
func overwrite(f *os.File) error {
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(make([]byte, info.Size()), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}
