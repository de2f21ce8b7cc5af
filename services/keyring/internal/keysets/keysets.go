// Package keysets is what keyrings do with Tink's keysets, whatever keeps them:
// they are wrapped for one use, gain and lose versions, and seal for a person
// and a name.
package keysets

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// New is a keyset of one AES-256-GCM key.
func New() (*keyset.Handle, error) { return keyset.NewHandle(aead.AES256GCMKeyTemplate()) }

// AEAD is what the keyset encrypts with.
func AEAD(h *keyset.Handle) (tink.AEAD, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("use key: %w", err)
	}
	return a, nil
}

// Wrap encrypts the keyset for a use.
func Wrap(h *keyset.Handle, by tink.AEAD, use string) ([]byte, error) {
	var b bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewBinaryWriter(&b), by, []byte(use)); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return b.Bytes(), nil
}

// Unwrap is the keyset that was wrapped for the use.
func Unwrap(wrapped []byte, by tink.AEAD, use string) (*keyset.Handle, error) {
	return keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(wrapped)), by, []byte(use))
}

// WrapAfar is Wrap by a key that is somewhere else.
func WrapAfar(ctx context.Context, h *keyset.Handle, by tink.AEADWithContext, use string) ([]byte, error) {
	var b bytes.Buffer
	if err := h.WriteWithContext(ctx, keyset.NewBinaryWriter(&b), by, []byte(use)); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return b.Bytes(), nil
}

// UnwrapAfar is Unwrap by a key that is somewhere else.
func UnwrapAfar(ctx context.Context, wrapped []byte, by tink.AEADWithContext, use string) (*keyset.Handle, error) {
	return keyset.ReadWithContext(ctx, keyset.NewBinaryReader(bytes.NewReader(wrapped)), by, []byte(use))
}

// WithNewest is the keyset with another key, which is the one that encrypts from
// then on.
func WithNewest(h *keyset.Handle) (*keyset.Handle, error) {
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err == nil {
		err = m.SetPrimary(id)
	}
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return m.Handle()
}

// NewestOnly is the keyset without its older keys.
func NewestOnly(h *keyset.Handle) (*keyset.Handle, error) {
	m, info := keyset.NewManagerFromHandle(h), h.KeysetInfo()
	for _, key := range info.GetKeyInfo() {
		if key.GetKeyId() == info.GetPrimaryKeyId() {
			continue
		}
		if err := m.Delete(key.GetKeyId()); err != nil {
			return nil, fmt.Errorf("remove an older key: %w", err)
		}
	}
	return m.Handle()
}

// Associated binds a ciphertext to its person and name; the length of the uid
// goes first, so that no two pairs make the same bytes.
func Associated(uid, name string) []byte {
	ad := make([]byte, 0, binary.MaxVarintLen16+len(uid)+len(name))
	ad = binary.AppendUvarint(ad, uint64(len(uid)))
	ad = append(ad, uid...)
	return append(ad, name...)
}

// PseudonymUse binds the wrapped keyset of pseudonyms to its use.
const PseudonymUse = "clarity.subject-tokens/1"

// pseudonymBytes is the length of the hash in a pseudonym: HMAC-SHA256, whole.
const pseudonymBytes = 32

// NewPseudonyms is a keyset of the key of pseudonyms.
func NewPseudonyms() (*keyset.Handle, error) { return keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate()) }

// Pseudonyms names people by a keyed hash.
type Pseudonyms struct{ set *prf.Set }

// OpenPseudonyms is what the keyset names with.
func OpenPseudonyms(h *keyset.Handle) (Pseudonyms, error) {
	set, err := prf.NewPRFSet(h)
	return Pseudonyms{set}, err
}

// Of is the name of a text: HMAC-SHA256 of it, in base64url.
func (p Pseudonyms) Of(text string) (string, error) {
	sum, err := p.set.ComputePrimaryPRF([]byte(text), pseudonymBytes)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// NewSecret is a keyset of a secret.
func NewSecret() (*keyset.Handle, error) { return NewPseudonyms() }

// Secret is 32 bytes that only who has the keyset can know.
func Secret(h *keyset.Handle) ([]byte, error) {
	set, err := prf.NewPRFSet(h)
	if err != nil {
		return nil, fmt.Errorf("use key: %w", err)
	}
	return set.ComputePrimaryPRF([]byte("secret"), pseudonymBytes)
}
