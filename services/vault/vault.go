// Package vault keeps a person's objects: blobs of a kind, under a name of the
// person's that tells nobody whose it is, sealed with the person's key and that
// name. What documents have in package store, objects have here: nobody seals,
// opens or names a blob by hand.
//
// An object is immutable. Put is for what a digest is in the rest of the name:
// one that is there already is the same, and is renewed, so that nobody who saw
// the old one removes it. Replace is for names that may have been written by an
// attempt that died: it looks. Get returns what was put, or blob.ErrNotFound,
// blob.ErrCorrupt or one of the keyring's errors. Delete removes what Put has
// put, and leaves what others have put or renewed since. Errors name neither the
// person nor the object.
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
	Put(ctx context.Context, name string, data []byte) (generation int64, err error)
	Renew(ctx context.Context, name string) (generation int64, err error)
	Get(ctx context.Context, name string) ([]byte, error)
	Stat(ctx context.Context, name string) (blob.Info, error)
	Delete(ctx context.Context, name string, generation int64) error
}

// Keys seal and open; keyring.Keyring is one.
type Keys interface {
	Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error)
	Namer
}

// A Vault is the typed face of Blobs and Keys.
type Vault struct {
	Names
	blobs Blobs
	keys  Keys
}

// New is the vault over blobs, its objects sealed and named by keys.
func New(b Blobs, k Keys) *Vault { return &Vault{NewNames(k), b, k} }

// An Object is one that was put: its name, and which of that name it is. One that
// was there already has generation 0: it is not for who found it to delete.
type Object struct {
	Name       string
	Generation int64
}

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

// tries is how often a name is taken, or free, differently than a moment ago.
const tries = 8

// Put keeps an object of the kind. rest is the key of the record that is to refer
// to it, and behind a slash what tells it from the key's others: a digest of it.
func (v *Vault) Put(ctx context.Context, kind, uid, rest string, plain []byte) (Object, error) {
	name, sealed, err := v.seal(ctx, kind, uid, rest, plain)
	if err != nil {
		return Object{}, err
	}
	for range tries {
		generation, err := v.blobs.Put(ctx, name, sealed)
		if errors.Is(err, blob.ErrExists) {
			generation = 0
			err = v.renew(ctx, name)
		}
		switch {
		case err == nil:
			return Object{name, generation}, nil
		case !errors.Is(err, blob.ErrNotFound): // it went between the two
			return Object{}, fmt.Errorf("put object: %w", err)
		}
	}
	return Object{}, fmt.Errorf("put object: %w", blob.ErrExists)
}

// renew makes what has the name young. What is damaged is left to who reads it:
// somebody may have been told that it is.
func (v *Vault) renew(ctx context.Context, name string) error {
	if _, err := v.blobs.Renew(ctx, name); !errors.Is(err, blob.ErrCorrupt) {
		return err
	}
	return nil
}

// Replace keeps an object whose name may be taken: where what is there is
// another, or is damaged, it goes.
func (v *Vault) Replace(ctx context.Context, kind, uid, rest string, plain []byte) (name string, err error) {
	name, sealed, err := v.seal(ctx, kind, uid, rest, plain)
	if err != nil {
		return "", err
	}
	for range tries {
		if _, err = v.blobs.Put(ctx, name, sealed); err == nil {
			return name, nil
		}
		if !errors.Is(err, blob.ErrExists) {
			return "", fmt.Errorf("put object: %w", err)
		}
		switch err := v.makeRoom(ctx, uid, name, plain); {
		case err == nil:
			return name, nil
		case !errors.Is(err, blob.ErrNotFound):
			return "", err
		}
	}
	return "", fmt.Errorf("replace object: %w", blob.ErrExists)
}

// makeRoom renews what is there where it is the same; where it is not, it goes,
// and the error is blob.ErrNotFound.
func (v *Vault) makeRoom(ctx context.Context, uid, name string, plain []byte) error {
	seen, err := v.blobs.Stat(ctx, name)
	if err != nil {
		return fmt.Errorf("look at object: %w", err)
	}
	former, err := v.Get(ctx, uid, name)
	switch {
	case err == nil && bytes.Equal(former, plain):
		_, err = v.blobs.Renew(ctx, name)
		return err
	case err == nil, errors.Is(err, blob.ErrCorrupt), errors.Is(err, keyring.ErrTampered):
		if err := v.blobs.Delete(ctx, name, seen.Generation); err != nil {
			return fmt.Errorf("replace object: %w", err)
		}
		return blob.ErrNotFound
	}
	return err
}

func (v *Vault) seal(ctx context.Context, kind, uid, rest string, plain []byte) (name string, sealed []byte, err error) {
	if name, err = v.name(ctx, kind, uid, rest); err != nil {
		return "", nil, err
	}
	if sealed, err = v.keys.Seal(ctx, uid, name, plain); err != nil {
		return "", nil, fmt.Errorf("seal object: %w", err)
	}
	return name, sealed, nil
}

// Remove removes whatever has the name. It is for who alone writes it.
func (v *Vault) Remove(ctx context.Context, name string) error {
	seen, err := v.blobs.Stat(ctx, name)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at object: %w", err)
	}
	return v.Delete(ctx, Object{name, seen.Generation})
}

// Delete removes the object, unless another has put or renewed it since.
func (v *Vault) Delete(ctx context.Context, o Object) error {
	if err := v.blobs.Delete(ctx, o.Name, o.Generation); err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	return nil
}
