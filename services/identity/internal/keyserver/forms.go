package keyserver

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	maxKeys   = 64
	leastBits = 2048
)

// Certificates is the form of Google's certificate URLs: PEM by name. A certificate
// whose time is not now is left out.
func Certificates(answer []byte, now time.Time) (map[string]*rsa.PublicKey, error) {
	var texts map[string]string
	if err := json.Unmarshal(answer, &texts); err != nil {
		return nil, errors.New("not a JSON object of certificates")
	}
	keys := map[string]*rsa.PublicKey{}
	for id, text := range texts {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
			return nil, errors.New("a certificate is not PEM")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("a certificate is none")
		}
		key, _ := certificate.PublicKey.(*rsa.PublicKey)
		if err := strong(key); err != nil {
			return nil, err
		}
		if !now.Before(certificate.NotBefore) && !now.After(certificate.NotAfter) {
			keys[id] = key
		}
	}
	return bounded(keys)
}

// JWKS is a JSON Web Key Set of RSA keys (RFC 7517).
func JWKS(answer []byte, _ time.Time) (map[string]*rsa.PublicKey, error) {
	var set struct {
		Keys []struct {
			KeyType   string `json:"kty"`
			ID        string `json:"kid"`
			Use       string `json:"use"`
			Algorithm string `json:"alg"`
			Modulus   string `json:"n"`
			Exponent  string `json:"e"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(answer, &set); err != nil {
		return nil, errors.New("not a set of keys")
	}
	keys := map[string]*rsa.PublicKey{}
	for _, jwk := range set.Keys {
		if jwk.KeyType != "RSA" || jwk.Use != "" && jwk.Use != "sig" || jwk.Algorithm != "" && jwk.Algorithm != "RS256" {
			continue // of another use
		}
		n, notModulus := base64.RawURLEncoding.DecodeString(jwk.Modulus)
		e, notExponent := base64.RawURLEncoding.DecodeString(jwk.Exponent)
		if notModulus != nil || notExponent != nil || len(e) > 4 || len(n) > 1024 {
			return nil, errors.New("a key's numbers are none")
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if err := strong(key); err != nil {
			return nil, err
		}
		if _, twice := keys[jwk.ID]; twice {
			return nil, errors.New("two keys have one name")
		}
		keys[jwk.ID] = key
	}
	return bounded(keys)
}

// strong refuses a key that signs nothing worth believing.
func strong(key *rsa.PublicKey) error {
	if key == nil || key.N.BitLen() < leastBits || key.E < 3 || key.E&1 == 0 {
		return fmt.Errorf("a key is not RSA of %d bits or more", leastBits)
	}
	return nil
}

func bounded(keys map[string]*rsa.PublicKey) (map[string]*rsa.PublicKey, error) {
	if _, unnamed := keys[""]; unnamed || len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("not 1 to %d keys with a name each", maxKeys)
	}
	return keys, nil
}
