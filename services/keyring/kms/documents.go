package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/store"
)

// The places of documents.
const (
	collection = "keys"
	ofRing     = "ring" // the uid of what is nobody's
)

var (
	ringPlace   = store.Key{Collection: collection, UID: ofRing, Key: "ring"}
	tokensPlace = store.Key{Collection: collection, UID: ofRing, Key: "tokens"}
)

// firstWrapped is before all keys of people and shards that the KEK wraps, in the order
// of keys; firstSecret before what it wraps for others, and before these.
const (
	firstWrapped = "shard-"
	firstSecret  = "secret-"
)

func shardPlace(shard string) store.Key {
	return store.Key{Collection: collection, UID: ofRing, Key: firstWrapped + shard}
}

// documents reads and writes what the documents hold.
type documents struct{ driver Documents }

// get reads a document into what it holds. Version 0 is that of none.
func (d documents) get(ctx context.Context, k store.Key, into any) (version int64, err error) {
	doc, err := d.driver.Get(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return doc.Version, decode(doc, into)
}

func decode(doc store.Document, into any) error {
	if err := json.Unmarshal(doc.Data, into); err != nil {
		return &fault.Error{Room: "keyring", Op: "decode", Class: fault.Broken, Cause: err}
	}
	return nil
}

// put writes what a document is to hold, where it has the version; further writes are
// of documents with the same uid. Where nobody knows whether it was written, it reads.
func (d documents) put(ctx context.Context, k store.Key, version int64, what any, further ...store.Write) (int64, error) {
	data, err := json.Marshal(what)
	if err != nil {
		return 0, err
	}
	versions, err := d.driver.Batch(ctx, append([]store.Write{{Key: k, IfVersion: version, Data: data}}, further...))
	if errors.Is(err, store.ErrUnknown) {
		now, reading := d.driver.Get(ctx, k)
		if reading == nil && bytes.Equal(now.Data, data) {
			return now.Version, nil
		}
	}
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

// each calls see with every document of the uid from a key on.
func (d documents) each(ctx context.Context, uid, from string, see func(store.Document) error) error {
	q := store.Query{Collection: collection, UID: uid, From: from, Limit: store.MaxLimit}
	for {
		docs, err := d.driver.List(ctx, q)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			if err := see(doc); err != nil {
				return err
			}
		}
		if len(docs) < q.Limit {
			return nil
		}
		q.After = docs[len(docs)-1].Key.Key
	}
}

// any says whether the uid has a document from a key on.
func (d documents) any(ctx context.Context, uid, from string) (bool, error) {
	docs, err := d.driver.List(ctx, store.Query{Collection: collection, UID: uid, From: from, Limit: 1})
	return len(docs) > 0, err
}

// tries is how often one call writes again what others were first to write.
const tries = 20

// again calls do until no other writer was first.
func again(do func() error) (err error) {
	for range tries {
		if err = do(); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// ring is the document of the ring, as this process has read it.
type ring struct {
	documents documents
	lag       time.Duration
	now       func() time.Time
	turns     turns

	mu   sync.Mutex
	last ringRead
}

// ringState is what the document holds.
type ringState struct {
	// KEK is the number of the version that wraps; 0 has the KMS choose, until the first rotation.
	KEK int `json:"kek,omitempty"`
	// Data is how often data keys were rotated.
	Data int `json:"data,omitempty"`
}

type ringRead struct {
	ringState
	version int64
	at      time.Time
}

// check is the condition that the document is as it was read.
func (r ringRead) check() store.Write {
	return store.Write{Key: ringPlace, IfVersion: r.version, Check: true}
}

// believed is the document as of Lag ago or later.
func (r *ring) believed(ctx context.Context) (ringRead, error) {
	if last, is := r.recent(); is {
		return last, nil
	}
	give, err := r.turns.take(ctx, ofRing)
	if err != nil {
		return ringRead{}, err
	}
	defer give()
	if last, is := r.recent(); is {
		return last, nil
	}
	return r.read(ctx)
}

func (r *ring) recent() (ringRead, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.last.version != 0 && r.now().Sub(r.last.at) < r.lag
}

// read is the document as of now. It is made where there is none of anything.
func (r *ring) read(ctx context.Context) (ringRead, error) {
	read := ringRead{at: r.now()}
	err := again(func() (err error) {
		if read.version, err = r.documents.get(ctx, ringPlace, &read.ringState); err != nil || read.version != 0 {
			return err
		}
		wraps, err := r.documents.any(ctx, ofRing, firstWrapped)
		if err != nil {
			return err
		}
		if wraps { // another process may have been first
			if read.version, err = r.documents.get(ctx, ringPlace, &read.ringState); err == nil && read.version == 0 {
				err = fmt.Errorf("find the ring: %w", errMissing)
			}
			return err
		}
		read.version, err = r.documents.put(ctx, ringPlace, 0, read.ringState)
		return err
	})
	if err != nil {
		return ringRead{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = read
	return read, nil
}

// change has the document be another, from what it is now.
func (r *ring) change(ctx context.Context, to func(ringState) ringState) error {
	return again(func() error {
		is, err := r.read(ctx)
		if err != nil {
			return err
		}
		next := ringRead{ringState: to(is.ringState), at: r.now()}
		if next.version, err = r.documents.put(ctx, ringPlace, is.version, next.ringState); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.last = next
		return nil
	})
}
