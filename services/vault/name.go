package vault

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/clarity-loop/clarity/services/blob"
)

// leafBytes is how much of a keyed hash tells two objects of one key apart.
const leafBytes = 22

// A Namer names people where no uid may stand; keyring.Pseudonymizer is one.
type Namer interface {
	Pseudonym(ctx context.Context, uid string) (string, error)
}

// Names are the names of people's objects, as whoever lists a bucket or reads its
// logs sees them:
//
//	days/4f/PERSON/KEY/LEAF
//
// PERSON is the person's pseudonym. KEY is the key of the record that refers to
// the object, a date or an upload's id, sealed: the same for the same key, and
// opened by who knows the person. LEAF is a keyed hash of the rest.
type Names struct{ namer Namer }

// NewNames are the names that the pseudonyms make.
func NewNames(n Namer) Names { return Names{n} }

// Prefix begins the names of all objects of one kind that are the person's.
func (n Names) Prefix(ctx context.Context, kind, uid string) (string, error) {
	person, err := n.namer.Pseudonym(ctx, uid)
	if err != nil {
		return "", fmt.Errorf("name an object: %w", err)
	}
	return blob.PersonPrefix(kind, person), nil
}

// name is the object's. rest begins with the key.
func (n Names) name(ctx context.Context, kind, uid, rest string) (string, error) {
	key, _, _ := strings.Cut(rest, "/")
	prefix, err := n.Prefix(ctx, kind, uid)
	if err != nil {
		return "", err
	}
	siv, err := n.cipher(ctx, uid)
	if err != nil {
		return "", err
	}
	sealed, err := siv.EncryptDeterministically([]byte(key), []byte(kind))
	if err != nil {
		return "", fmt.Errorf("seal the key of an object: %w", err)
	}
	leaf, err := n.namer.Pseudonym(ctx, strings.Join([]string{uid, kind, rest}, "\x00"))
	if err != nil {
		return "", fmt.Errorf("name an object: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(sealed) + "/" + leaf[:min(len(leaf), leafBytes)], nil
}

// errName says that a name is none that the person's objects have.
var errName = errors.New("not the name of an object of that person")

// Key is the key of the record that an object of the person belongs to. rest is
// what the object's name has behind the person; see blob.SplitPerson.
func (n Names) Key(ctx context.Context, kind, uid, rest string) (string, error) {
	segment, _, _ := strings.Cut(rest, "/")
	sealed, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return "", errName
	}
	siv, err := n.cipher(ctx, uid)
	if err != nil {
		return "", err
	}
	key, err := siv.DecryptDeterministically(sealed, []byte(kind))
	if err != nil {
		return "", errName
	}
	return string(key), nil
}

// cipher seals the keys in the person's names, under a key that is made of a
// pseudonym which nobody else has.
func (n Names) cipher(ctx context.Context, uid string) (*subtle.AESSIV, error) {
	secret, err := n.namer.Pseudonym(ctx, uid+"\x00names")
	if err != nil {
		return nil, fmt.Errorf("name an object: %w", err)
	}
	key := sha512.Sum512([]byte(secret))
	siv, err := subtle.NewAESSIV(key[:])
	if err != nil {
		return nil, fmt.Errorf("name an object: %w", err)
	}
	return siv, nil
}
