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

	"github.com/clarity-loop/clarity/services/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
)

var _ keyring.Tokener = (*Keyring)(nil)

// tokenBytes is the length of the hash in a token: HMAC-SHA256, whole.
const tokenBytes = 32

// tokens is the function behind Token, opened when it is first asked for.
type tokens struct {
	once sync.Once
	set  *prf.Set
	err  error
}

// Token is the person's name where no uid may stand: HMAC-SHA256 of the uid
// under a key of this keyring, in base64url. The key lies in tokens.key, a Tink
// keyset wrapped by the KEK.
func (k *Keyring) Token(_ context.Context, uid string) (string, error) {
	k.tokens.once.Do(func() { k.tokens.set, k.tokens.err = k.openTokens() })
	if k.tokens.err != nil {
		return "", fmt.Errorf("open the key of tokens: %w", k.tokens.err)
	}
	sum, err := k.tokens.set.ComputePrimaryPRF([]byte(uid), tokenBytes)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// tokenKeyData binds the wrapped keyset to its use.
const tokenKeyData = "clarity.subject-tokens/1"

func (k *Keyring) openTokens() (*prf.Set, error) {
	path := filepath.Join(k.dir, "tokens.key")
	data, err := os.ReadFile(path) //nolint:gosec // a file of our directory
	if errors.Is(err, fs.ErrNotExist) {
		data, err = k.newTokenKey(path)
	}
	if err != nil {
		return nil, err
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(data)), k.kek, []byte(tokenKeyData))
	if err != nil {
		return nil, fmt.Errorf("unwrap it: %w", keyring.ErrTampered)
	}
	return prf.NewPRFSet(handle)
}

func (k *Keyring) newTokenKey(path string) ([]byte, error) {
	handle, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, err
	}
	var wrapped bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&wrapped), k.kek, []byte(tokenKeyData)); err != nil {
		return nil, err
	}
	err = durable.Create(path, wrapped.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return os.ReadFile(path) //nolint:gosec // a file of our directory
	}
	return wrapped.Bytes(), err
}
