package gcs

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

// secretName is by which the log's secret is known to the keyring.
const secretName = "audit"

// keys are what is derived from the log's secret.
type keys struct {
	mac             []byte
	writers, notary signing
}

// signing is a key that signs notes, and what tells its signatures.
type signing struct {
	note.Signer
	note.Verifier
}

// openKeys asks for the secret. It is made where the bucket holds nothing yet.
func (p place) openKeys(ctx context.Context, from Keys) (k keys, err error) {
	some, err := p.names(ctx, "", "", 1)
	if err != nil {
		return k, err
	}
	secret, err := from.Secret(ctx, secretName, len(some) == 0)
	if err != nil {
		return k, fmt.Errorf("find the log's keys: %w", err)
	}
	return derive(secret)
}

func derive(secret []byte) (k keys, err error) {
	if len(secret) < 32 {
		return k, fmt.Errorf("derive the log's keys: of %d bytes", len(secret))
	}
	if k.mac, err = hkdf.Expand(sha256.New, secret, "clarity audit: chains and people", 32); err != nil {
		return k, fmt.Errorf("derive the log's keys: %w", err)
	}
	if k.writers, err = newSigning(secret, "clarity-audit"); err != nil {
		return k, err
	}
	k.notary, err = newSigning(secret, "clarity-audit-notary")
	return k, err
}

// newSigning is the Ed25519 key of a name.
func newSigning(secret []byte, name string) (s signing, err error) {
	seed, err := hkdf.Expand(sha256.New, secret, name+": notes", ed25519.SeedSize)
	if err != nil {
		return s, fmt.Errorf("derive the log's keys: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	verifier, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // which it is
	if err != nil {
		return s, fmt.Errorf("derive the log's keys: %w", err)
	}
	hash := strings.Split(verifier, "+")[1]
	const ed25519Algorithm = "\x01"
	signer := "PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte(ed25519Algorithm), seed...))
	if s.Signer, err = note.NewSigner(signer); err != nil {
		return s, fmt.Errorf("derive the log's keys: %w", err)
	}
	if s.Verifier, err = note.NewVerifier(verifier); err != nil {
		return s, fmt.Errorf("derive the log's keys: %w", err)
	}
	return s, nil
}

// macs are for one goroutine.
func (k keys) macs() *chain.MACs { return chain.NewMACs(k.mac) }
