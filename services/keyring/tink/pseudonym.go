package tink

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
)

var _ keyring.Pseudonymizer = (*Keyring)(nil)

// pseudonymBytes is the length of the hash in a pseudonym: HMAC-SHA256, whole.
const pseudonymBytes = 32

// pseudonyms is the function behind Pseudonym, opened when it is first asked for.
type pseudonyms struct {
	once sync.Once
	set  *prf.Set
	err  error
}

// Pseudonym is the person's name where no uid may stand: HMAC-SHA256 of the uid
// under a key of this keyring, in base64url. The key lies in tokens.key, a Tink
// keyset wrapped by the KEK.
func (k *Keyring) Pseudonym(_ context.Context, uid string) (string, error) {
	k.pseudonyms.once.Do(func() { k.pseudonyms.set, k.pseudonyms.err = k.openPseudonyms() })
	if k.pseudonyms.err != nil {
		return "", keyring.Fault("open the key of pseudonyms", k.pseudonyms.err)
	}
	sum, err := k.pseudonyms.set.ComputePrimaryPRF([]byte(uid), pseudonymBytes)
	if err != nil {
		return "", keyring.Fault("pseudonym", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// pseudonymKeyData binds the wrapped keyset to its use.
const pseudonymKeyData = "clarity.subject-tokens/1"

func (k *Keyring) openPseudonyms() (*prf.Set, error) {
	path := filepath.Join(k.dir, "tokens.key")
	data, err := os.ReadFile(path) //nolint:gosec // a file of our directory
	if errors.Is(err, fs.ErrNotExist) {
		data, err = k.newPseudonymKey(path)
	}
	if err != nil {
		return nil, err
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(data)), k.kek, []byte(pseudonymKeyData))
	if err != nil {
		return nil, fmt.Errorf("unwrap it: %w", keyring.ErrTampered)
	}
	return prf.NewPRFSet(handle)
}

func (k *Keyring) newPseudonymKey(path string) ([]byte, error) {
	handle, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, err
	}
	var wrapped bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&wrapped), k.kek, []byte(pseudonymKeyData)); err != nil {
		return nil, err
	}
	err = durable.Create(path, wrapped.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return os.ReadFile(path) //nolint:gosec // a file of our directory
	}
	return wrapped.Bytes(), err
}
