package tink

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
)

var _ keyring.Pseudonymizer = (*Keyring)(nil)

// pseudonyms is the function behind Pseudonym, opened when it is first asked for.
type pseudonyms struct {
	once sync.Once
	set  keysets.Pseudonyms
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
	name, err := k.pseudonyms.set.Of(uid)
	return name, keyring.Fault("pseudonym", err)
}

func (k *Keyring) openPseudonyms() (set keysets.Pseudonyms, err error) {
	path := k.tokens()
	handle, err := k.kek.unwrap(path, keysets.PseudonymUse)
	if errors.Is(err, fs.ErrNotExist) {
		if err = k.newPseudonymKey(path); err == nil {
			handle, err = k.kek.unwrap(path, keysets.PseudonymUse)
		}
	}
	if err != nil {
		return set, err
	}
	return keysets.OpenPseudonyms(handle)
}

// tokensName is the file of the key of pseudonyms.
const tokensName = "tokens.key"

func (k *Keyring) tokens() string { return filepath.Join(k.dir, tokensName) }

// HasPseudonyms says whether the keyring in dir has a key of pseudonyms. It makes none.
func HasPseudonyms(dir string) (bool, error) { return exists(filepath.Join(dir, tokensName)) }

func (k *Keyring) newPseudonymKey(path string) error {
	handle, err := keysets.NewPseudonyms()
	if err != nil {
		return err
	}
	unlock, err := k.lock(withOthers)
	if err != nil {
		return err
	}
	defer unlock()
	data, err := k.kek.wrap(handle, keysets.PseudonymUse)
	if err != nil {
		return err
	}
	if err = durable.Create(path, data, 0o600); errors.Is(err, fs.ErrExist) { // another process was first
		return nil
	}
	return err
}
