// Package veil keeps people out of what is stored about them: between a stage and a
// driver it puts names that say nothing to who reads a file, a bucket's list or a
// service's log. Stages know people by their uid, drivers never do.
//
//   - A person is named by their pseudonym, a keyed hash.
//   - The keys of uploads and of the agenda, which hold ids that a phone has made, are
//     sealed under a key of the person's names, each key always to the same.
//   - A document that a list over all people finds says whose it is: it has the uid,
//     sealed, in front. The account of who is erased has not, once that has ended.
//   - A message is sealed with its key.
//
// What seals names is made of pseudonyms that are no person's, so that whoever has the
// keyring, and nobody else, reads them. It never rotates: it would be another place.
package veil

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/clarity-loop/clarity/services/fault"
)

// A Namer names people where no uid may stand; keyring.Pseudonymizer is one.
type Namer interface {
	Pseudonym(ctx context.Context, uid string) (string, error)
}

// The texts whose pseudonyms make ciphers. No uid holds a byte 0.
const (
	ofPeople   = "\x00people"
	ofMessages = "\x00messages"
	ofKeys     = "\x00keys" // behind a uid
)

// veil makes names, and reads them.
type veil struct {
	namer Namer

	mu      sync.Mutex // nothing is waited for under it
	names   *simplelru.LRU[string, string]
	ciphers *simplelru.LRU[string, *subtle.AESSIV]
}

// remembered is how many names and ciphers are kept: they never change.
const remembered = 2048

func newVeil(n Namer) *veil {
	names, _ := simplelru.NewLRU[string, string](remembered, nil)           // fails for no size alone
	ciphers, _ := simplelru.NewLRU[string, *subtle.AESSIV](remembered, nil) // as above
	return &veil{namer: n, names: names, ciphers: ciphers}
}

func (v *veil) name(ctx context.Context, uid string) (string, error) {
	return remember(v, v.names, uid, func() (string, error) {
		name, err := v.namer.Pseudonym(ctx, uid)
		if err != nil {
			return "", fmt.Errorf("name a person: %w", err)
		}
		return name, nil
	})
}

// cipher is made of the text's pseudonym, and is the same for good.
func (v *veil) cipher(ctx context.Context, of string) (*subtle.AESSIV, error) {
	return remember(v, v.ciphers, of, func() (*subtle.AESSIV, error) { return v.newCipher(ctx, of) })
}

// remember is what is known of the text, or what build makes of it.
func remember[T any](v *veil, known *simplelru.LRU[string, T], of string, build func() (T, error)) (T, error) {
	v.mu.Lock()
	found, is := known.Get(of)
	v.mu.Unlock()
	if is {
		return found, nil
	}
	made, err := build()
	if err == nil {
		v.mu.Lock()
		known.Add(of, made)
		v.mu.Unlock()
	}
	return made, err
}

func (v *veil) newCipher(ctx context.Context, of string) (*subtle.AESSIV, error) {
	secret, err := v.namer.Pseudonym(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("name a person: %w", err)
	}
	key := sha512.Sum512([]byte(secret))
	siv, err := subtle.NewAESSIV(key[:])
	if err != nil {
		return nil, fmt.Errorf("name a person: %w", err)
	}
	return siv, nil
}

func (v *veil) seal(ctx context.Context, of string, plain []byte) ([]byte, error) {
	siv, err := v.cipher(ctx, of)
	if err != nil {
		return nil, err
	}
	return siv.EncryptDeterministically(plain, nil)
}

// errForeign says that a name is none that these keys have made.
var errForeign = &fault.Error{Room: "veil", Op: "read a name", Class: fault.Broken, Code: "foreign", Cause: errors.New("it was made under other keys")}

func (v *veil) open(ctx context.Context, of string, sealed []byte) ([]byte, error) {
	siv, err := v.cipher(ctx, of)
	if err != nil {
		return nil, err
	}
	plain, err := siv.DecryptDeterministically(sealed, nil)
	if err != nil {
		return nil, errForeign // the cause says no more
	}
	return plain, nil
}

// sealKey is a part of a person's key, in letters that a key may have.
func (v *veil) sealKey(ctx context.Context, uid, part string) (string, error) {
	siv, err := v.cipher(ctx, uid+ofKeys)
	if err != nil {
		return "", err
	}
	sealed, err := siv.EncryptDeterministically([]byte(part), nil)
	if err != nil {
		return "", fmt.Errorf("seal a key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (v *veil) openKey(ctx context.Context, uid, part string) (string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "", errForeign
	}
	siv, err := v.cipher(ctx, uid+ofKeys)
	if err != nil {
		return "", err
	}
	plain, err := siv.DecryptDeterministically(sealed, nil)
	if err != nil {
		return "", errForeign
	}
	return string(plain), nil
}
