package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// A signer is a key and its certificate.
type signer struct {
	id          string
	key         *rsa.PrivateKey
	certificate string // PEM
}

// keys sign ID tokens. The last one does; the others are believed for what they signed.
type keys struct {
	mu      sync.Mutex
	signers []signer
}

// rotate has a new key sign from now on.
func (k *keys) rotate(now time.Time) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "securetoken.system.gserviceaccount.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(16 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(der)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signers = append(k.signers, signer{
		id: hex.EncodeToString(sum[:20]), key: key,
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	})
	return nil
}

// all are the keys there are.
func (k *keys) all() []signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]signer(nil), k.signers...)
}

// sign makes a token of the claims.
func (k *keys) sign(claims map[string]any) (string, error) {
	all := k.all()
	s := all[len(all)-1]
	header, err := part(map[string]any{"alg": "RS256", "kid": s.id, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := part(claims)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(header + "." + body))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	return header + "." + body + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func part(of map[string]any) (string, error) {
	text, err := json.Marshal(of)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// read are the claims of a token that one of the keys has signed.
func (k *keys) read(token string) (claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("not three segments")
	}
	var decoded [3][]byte
	for i, p := range parts {
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil {
			return nil, err
		}
	}
	var header struct{ Alg, Kid string }
	if err := json.Unmarshal(decoded[0], &header); err != nil || header.Alg != "RS256" {
		return nil, errors.New("not RS256")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, s := range k.all() {
		if s.id == header.Kid && rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], decoded[2]) == nil {
			return claims, json.Unmarshal(decoded[1], &claims)
		}
	}
	return nil, errors.New("nobody here signed it")
}

// certificates are in the form of Google's URL of them.
func (k *keys) certificates() map[string]string {
	all := map[string]string{}
	for _, s := range k.all() {
		all[s.id] = s.certificate
	}
	return all
}

// set is the same keys as a JSON Web Key Set (RFC 7517).
func (k *keys) set() map[string]any {
	var list []any
	for _, s := range k.all() {
		list = append(list, map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": s.id,
			"n": base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.key.E)).Bytes()),
		})
	}
	return map[string]any{"keys": list}
}

// word is one that nobody guesses.
func word(letters int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	random := make([]byte, letters)
	_, _ = rand.Read(random) // never fails
	for i, b := range random {
		random[i] = alphabet[int(b)%len(alphabet)]
	}
	return string(random)
}

// text is the claim, where it is a text.
func text(claims map[string]any, name string) string {
	s, _ := claims[name].(string)
	return s
}

// seconds is the claim, where it is a time.
func seconds(claims map[string]any, name string) int64 {
	n, _ := claims[name].(float64)
	return int64(n)
}

// A refusal is an error as Identity Toolkit words it.
type refusal string

func (r refusal) Error() string { return fmt.Sprintf("refused: %s", string(r)) }
