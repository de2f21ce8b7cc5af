// Package vault keeps a person's objects: blobs of a kind, under a name of the
// person's, sealed with the person's key and that name. What documents have in
// package store, objects have here: nobody seals or opens a blob by hand.
//
// An object is immutable. Put is for names that hold a digest of what they
// name: one that is there already is the same, and is left alone. Replace is for
// names that may have been written by an attempt that died: it looks. Get
// returns what was put, or blob.ErrNotFound, blob.ErrCorrupt or one of the
// keyring's errors. Errors name neither the person nor the object.
package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/keyring"
)

// Blobs are where sealed objects lie; blob.Store is one.
type Blobs interface {
	Put(ctx context.Context, name string, data []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	Delete(ctx context.Context, name string) error
}

// Keys seal and open; keyring.Keyring is one.
type Keys interface {
	Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error)
}

// A Vault is the typed face of Blobs and Keys.
type Vault struct {
	blobs Blobs
	keys  Keys
}

// New is the vault over blobs, its objects sealed by keys.
func New(b Blobs, k Keys) *Vault { return &Vault{b, k} }

// Get returns the person's object of the name that Put or Replace gave.
func (v *Vault) Get(ctx context.Context, uid, name string) ([]byte, error) {
	sealed, err := v.blobs.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("get object: %w", err)
	}
	plain, err := v.keys.Open(ctx, uid, name, sealed)
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	return plain, nil
}

// Put keeps an object of the kind, whose name rest holds a digest of it, and
// returns its whole name, on an error too: the object may exist.
func (v *Vault) Put(ctx context.Context, kind, uid, rest string, plain []byte) (name string, err error) {
	name = blob.PersonPrefix(kind, uid) + rest
	sealed, err := v.keys.Seal(ctx, uid, name, plain)
	if err != nil {
		return name, fmt.Errorf("seal object: %w", err)
	}
	if err := v.blobs.Put(ctx, name, sealed); err != nil && !errors.Is(err, blob.ErrExists) {
		return name, fmt.Errorf("put object: %w", err)
	}
	return name, nil
}

// Replace keeps an object whose name may be taken: where what is there is
// another, or is damaged, it goes.
func (v *Vault) Replace(ctx context.Context, kind, uid, rest string, plain []byte) (name string, err error) {
	name = blob.PersonPrefix(kind, uid) + rest
	sealed, err := v.keys.Seal(ctx, uid, name, plain)
	if err != nil {
		return name, fmt.Errorf("seal object: %w", err)
	}
	if err = v.blobs.Put(ctx, name, sealed); err == nil {
		return name, nil
	}
	if !errors.Is(err, blob.ErrExists) {
		return name, fmt.Errorf("put object: %w", err)
	}
	former, err := v.Get(ctx, uid, name)
	switch {
	case err == nil && bytes.Equal(former, plain):
		return name, nil
	case err == nil, errors.Is(err, blob.ErrCorrupt), errors.Is(err, keyring.ErrTampered):
		if err := v.blobs.Delete(ctx, name); err != nil {
			return name, fmt.Errorf("replace object: %w", err)
		}
		if err := v.blobs.Put(ctx, name, sealed); err != nil {
			return name, fmt.Errorf("replace object: %w", err)
		}
		return name, nil
	}
	return name, err
}

// Delete removes an object; one that is not there is nil.
func (v *Vault) Delete(ctx context.Context, name string) error {
	if err := v.blobs.Delete(ctx, name); err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	return nil
}
