package signals

import (
	"context"
	"log/slog"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/store"
)

// one measures a call with one answer.
func one[T any](ctx context.Context, c *Calls, room, op string, call func() (T, error)) (T, error) {
	done := c.begin(ctx, room, op)
	v, err := call()
	done(err)
	return v, err
}

// none measures a call without one.
func none(ctx context.Context, c *Calls, room, op string, call func() error) error {
	done := c.begin(ctx, room, op)
	err := call()
	done(err)
	return err
}

// Store is the driver, measured, which can do what it could. Nil measures nothing.
func (c *Calls) Store(d store.Driver) store.Driver {
	if c == nil || d == nil {
		return d
	}
	measured := documents{d, c}
	if s, can := d.(stirrer); can {
		return stirring{measured, s}
	}
	return measured
}

type documents struct {
	store.Driver
	calls *Calls
}

// A stirrer tells in which shards something may be due; see package store.
type stirrer interface {
	Stirring(ctx context.Context, before time.Time) ([]int, error)
}

type stirring struct {
	documents
	below stirrer
}

func (d documents) Get(ctx context.Context, k store.Key) (store.Document, error) {
	return one(ctx, d.calls, "store", "get", func() (store.Document, error) { return d.Driver.Get(ctx, k) })
}

func (d documents) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	return one(ctx, d.calls, "store", "batch", func() ([]int64, error) { return d.Driver.Batch(ctx, writes) })
}

func (d documents) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	return one(ctx, d.calls, "store", "list", func() ([]store.Document, error) { return d.Driver.List(ctx, q) })
}

func (d documents) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	return one(ctx, d.calls, "store", "due", func() ([]store.Document, error) { return d.Driver.Due(ctx, collections, shard, before, limit) })
}

func (d documents) EraseUser(ctx context.Context, uid string) error {
	return none(ctx, d.calls, "store", "erase", func() error { return d.Driver.EraseUser(ctx, uid) })
}

func (s stirring) Stirring(ctx context.Context, before time.Time) ([]int, error) {
	return one(ctx, s.calls, "store", "stirring", func() ([]int, error) { return s.below.Stirring(ctx, before) })
}

// Blobs is the driver, measured. Nil measures nothing.
func (c *Calls) Blobs(s blob.Store) blob.Store {
	if c == nil || s == nil {
		return s
	}
	return objects{s, c}
}

type objects struct {
	blob.Store
	calls *Calls
}

func (o objects) Put(ctx context.Context, name string, data []byte) (int64, error) {
	return one(ctx, o.calls, "blob", "put", func() (int64, error) { return o.Store.Put(ctx, name, data) })
}

func (o objects) Renew(ctx context.Context, name string) (int64, error) {
	return one(ctx, o.calls, "blob", "renew", func() (int64, error) { return o.Store.Renew(ctx, name) })
}

func (o objects) Get(ctx context.Context, name string) ([]byte, error) {
	return one(ctx, o.calls, "blob", "get", func() ([]byte, error) { return o.Store.Get(ctx, name) })
}

func (o objects) Delete(ctx context.Context, name string, generation int64) error {
	return none(ctx, o.calls, "blob", "delete", func() error { return o.Store.Delete(ctx, name, generation) })
}

// Sealer is the keys' face that seals, measured. Nil measures nothing.
func (c *Calls) Sealer(s keyring.Sealer) keyring.Sealer {
	if c == nil || s == nil {
		return s
	}
	return sealer{s, c}
}

type sealer struct {
	keys  keyring.Sealer
	calls *Calls
}

func (s sealer) Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	return one(ctx, s.calls, "keyring", "seal", func() ([]byte, error) { return s.keys.Seal(ctx, uid, name, plaintext) })
}

func (s sealer) Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	return one(ctx, s.calls, "keyring", "open", func() ([]byte, error) { return s.keys.Open(ctx, uid, name, ciphertext) })
}

// Audit is the log, measured, which can do what it could. Nil measures nothing.
func (c *Calls) Audit(l audit.Log) audit.Log {
	if c == nil || l == nil {
		return l
	}
	measured := entries{l, c}
	if n, can := l.(notary); can {
		return notarizing{measured, n}
	}
	return measured
}

type entries struct {
	audit.Log
	calls *Calls
}

// A notary vouches for the audit log of many processes.
type notary interface {
	Notarize(ctx context.Context, log *slog.Logger, well func()) error
}

type notarizing struct {
	entries
	notary
}

func (e entries) Append(ctx context.Context, event audit.Event) error {
	return none(ctx, e.calls, "audit", "append", func() error { return e.Log.Append(ctx, event) })
}

// Verifier is the verifier, measured. It can do nothing else that the driver could. Nil
// measures nothing.
func (c *Calls) Verifier(v identity.Verifier) identity.Verifier {
	if c == nil || v == nil {
		return v
	}
	return verifier{v, c}
}

type verifier struct {
	below identity.Verifier
	calls *Calls
}

func (v verifier) Verify(ctx context.Context, token string) (identity.Subject, error) {
	return one(ctx, v.calls, "identity", "verify", func() (identity.Subject, error) { return v.below.Verify(ctx, token) })
}

func (v verifier) Fresh(ctx context.Context, token string) (identity.Subject, error) {
	return one(ctx, v.calls, "identity", "fresh", func() (identity.Subject, error) { return v.below.Fresh(ctx, token) })
}
