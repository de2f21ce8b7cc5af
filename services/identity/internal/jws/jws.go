// Package jws reads signed tokens strictly: what every verifier of ours has in
// common. A token is RS256 in three segments, its header says alg, kid and typ
// and nothing else, its claims are one JSON object in which no name is there twice. No
// error holds a part of a token.
package jws

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MaxToken bounds a token's bytes.
const MaxToken = 8 << 10

// maxKeyID bounds the bytes of a key's name.
const maxKeyID = 256

// A Token was read, and is not to be believed yet.
type Token struct {
	KeyID string // of the key that is said to have signed it

	signed             string // what the signature is of
	payload, signature []byte
}

// Parse reads a token, up to its signature.
func Parse(token string) (*Token, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	if len(parts[2]) == 0 {
		return nil, errors.New("not three segments")
	}
	header, err := readHeader(parts[0], "RS256")
	if err != nil {
		return nil, err
	}
	kid, err := header.Text("kid")
	if err != nil || len(kid) > maxKeyID {
		return nil, errors.New("kid is no name of a key")
	}
	return &Token{KeyID: kid, signed: token[:strings.LastIndexByte(token, '.')], payload: parts[1], signature: parts[2]}, nil
}

// Claims are what the token says, where the key has signed it.
func (t *Token) Claims(key *rsa.PublicKey) (Members, error) {
	sum := sha256.Sum256([]byte(t.signed))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) != nil {
		return nil, errors.New("signature does not verify")
	}
	return readClaims(t.payload)
}

// Unsigned are the claims of a token that nobody has signed, as an emulator makes
// them. It is for development alone.
func Unsigned(token string) (Members, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	if len(parts[2]) != 0 {
		return nil, errors.New("a signature where there is none")
	}
	if _, err := readHeader(parts[0], "none"); err != nil {
		return nil, err
	}
	return readClaims(parts[1])
}

// split takes the three segments apart and decodes them.
func split(token string) (decoded [3][]byte, err error) {
	if len(token) > MaxToken {
		return decoded, fmt.Errorf("longer than %d bytes", MaxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return decoded, errors.New("not three segments")
	}
	strict := base64.RawURLEncoding.Strict()
	for i, of := range []string{"header is", "claims are", "signature is"} {
		if decoded[i], err = strict.DecodeString(parts[i]); err != nil || strings.ContainsAny(parts[i], "\r\n") { // which the decoder skips
			return decoded, errors.New(of + " not base64url")
		}
	}
	return decoded, nil
}

// readHeader refuses a header that brings its own key, or asks for an extension,
// whatever else it says.
func readHeader(raw []byte, algorithm string) (Members, error) {
	header, err := Read(raw)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for name := range header {
		if name != "alg" && name != "kid" && name != "typ" {
			return nil, errors.New("header has a member that is not alg, kid or typ")
		}
	}
	if alg, err := header.Text("alg"); err != nil || alg != algorithm {
		return nil, errors.New("alg is not " + algorithm)
	}
	if header.Has("typ") {
		if typ, err := header.Text("typ"); err != nil || typ != "JWT" {
			return nil, errors.New("typ is not JWT")
		}
	}
	return header, nil
}

func readClaims(payload []byte) (Members, error) {
	claims, err := Read(payload)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return claims, nil
}
