package tink

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
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
	path := k.tokens()
	handle, err := k.kek.unwrap(path, pseudonymKeyData)
	if errors.Is(err, fs.ErrNotExist) {
		if err = k.newPseudonymKey(path); err == nil {
			handle, err = k.kek.unwrap(path, pseudonymKeyData)
		}
	}
	if err != nil {
		return nil, err
	}
	return prf.NewPRFSet(handle)
}

func (k *Keyring) tokens() string { return filepath.Join(k.dir, "tokens.key") }

func (k *Keyring) newPseudonymKey(path string) error {
	handle, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return err
	}
	unlock, err := k.lock(withOthers)
	if err != nil {
		return err
	}
	defer unlock()
	data, err := k.kek.wrap(handle, pseudonymKeyData)
	if err != nil {
		return err
	}
	if err = durable.Create(path, data, 0o600); errors.Is(err, fs.ErrExist) { // another process was first
		return nil
	}
	return err
}
