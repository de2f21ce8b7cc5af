package kms

import (
	"context"
	"fmt"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
	"github.com/clarity-loop/clarity/services/store"
)

func secretPlace(of string) store.Key {
	return store.Key{Collection: collection, UID: ofRing, Key: firstSecret + of}
}

// secretUse binds a wrapped secret to whom it is for.
func secretUse(of string) string { return "clarity.secret/" + of }

// Secret is what another room derives its own keys from: the same 32 bytes for all
// processes and for good, made at first where create says so, else keyring.ErrNoKey. It is
// for what is no person's, the audit log's keys. Who asks holds it: each call asks the
// documents and the KMS.
func (k *Keyring) Secret(ctx context.Context, of string, create bool) ([]byte, error) {
	secret, err := k.secret(ctx, of, create)
	return secret, keyring.Fault("find a secret", err)
}

func (k *Keyring) secret(ctx context.Context, of string, create bool) ([]byte, error) {
	at := keeper{documents: k.ring.documents, kek: k.kek, ring: &k.ring, place: secretPlace(of), use: secretUse(of)}
	handle, err := at.load(ctx)
	switch {
	case err != nil:
		return nil, err
	case handle == nil && !create:
		return nil, fmt.Errorf("find a secret: %w", errMissing)
	case handle == nil:
		if handle, err = at.create(ctx, keysets.NewSecret); err != nil {
			return nil, err
		}
	}
	return keysets.Secret(handle)
}
