package kms

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
	"github.com/clarity-loop/clarity/services/store"
)

// The bounds of what is held.
const (
	cacheSize = 50_000
	unused    = 10 * time.Minute // and a key is held no longer
)

// person is a person's document.
type person struct {
	Keyset []byte `json:"w,omitempty"`
	// Life is which of the person's keys it is, Data of which rotation its newest version.
	Life int  `json:"life,omitempty"`
	Data int  `json:"of,omitempty"`
	Gone bool `json:"gone,omitempty"`
	// At is when it came to be so.
	At time.Time `json:"at"`
}

// bound is what the wrapped key of a life of a person is bound to.
func bound(uid string, life int) string {
	return string(keysets.Associated(uid, "key/"+strconv.Itoa(life)))
}

// held is a person's document as it was read, its key unwrapped.
type held struct {
	version    int64
	life, data int
	gone       bool
	key        tink.AEAD
	ids        []uint32 // of the key's versions
	read, used time.Time
	until      time.Time // its shard's key is held no longer, and no more is this
}

// people is what is held of people, by the names of their documents.
type people struct {
	documents documents
	now       func() time.Time
	turns     turns

	mu    sync.Mutex
	cache *simplelru.LRU[string, held]
}

func openPeople(d documents, now func() time.Time) (people, error) {
	cache, err := simplelru.NewLRU[string, held](cacheSize, nil)
	return people{documents: d, now: now, cache: cache}, err
}

// remembered is what is held of the person.
func (p *people) remembered(name string) (held, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, is := p.cache.Get(name)
	now := p.now()
	if is && now.Sub(h.used) >= unused {
		p.cache.Remove(name)
		h, is = held{}, false
	}
	if is {
		h.used = now
		p.cache.Add(name, h)
	}
	for {
		oldest, of, any := p.cache.GetOldest()
		if !any || now.Sub(of.used) < unused {
			return h, is
		}
		p.cache.Remove(oldest)
	}
}

func (p *people) remember(name string, h held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.used = p.now()
	p.cache.Add(name, h)
}

func (p *people) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache.Remove(name)
}

// key is the person's unwrapped key: what is held where it was read within Lag,
// and serves. fresh says that it was read by this very call.
func (k *Keyring) key(ctx context.Context, uid string, sealing, anew bool) (h held, fresh bool, err error) {
	place, err := k.place(ctx, uid)
	if err != nil {
		return h, false, err
	}
	rotation := 0
	if sealing {
		ring, err := k.ring.believed(ctx)
		if err != nil {
			return h, false, err
		}
		rotation = ring.Data
	}
	serves := func() bool {
		var is bool
		h, is = k.people.remembered(place.Key)
		return is && !anew && k.now().Sub(h.read) < k.lag && (h.gone || h.data >= rotation)
	}
	if !serves() {
		give, err := k.people.turns.take(ctx, place.Key)
		if err != nil {
			return h, false, err
		}
		defer give()
		if !serves() { // who had the turn before has not read it
			if h, err = k.read(ctx, uid, place, h, sealing, rotation); err != nil {
				return h, false, err
			}
			fresh = true
		}
	}
	if h.gone {
		return h, fresh, keyring.ErrDestroyed
	}
	return h, fresh, nil
}

// read reads the person's document; before is what is held. Who seals has a key made
// where there is none, and made anew where it is older than the rotation.
func (k *Keyring) read(ctx context.Context, uid string, place store.Key, before held, sealing bool, rotation int) (h held, err error) {
	err = again(func() (err error) {
		var is person
		asked := k.now()
		version, err := k.people.documents.get(ctx, place, &is)
		switch {
		case err != nil:
			return err
		case version == 0:
			k.people.forget(place.Key)
			if !sealing {
				return keyring.ErrNoKey
			}
			h, err = k.first(ctx, uid, place, asked)
		case is.Gone:
			h = held{version: version, life: is.Life, gone: true, read: asked}
		case version == before.version && asked.Before(before.until):
			h, before.read = before, asked
			h.read = asked
		default:
			h, err = k.unwrap(ctx, uid, version, is, asked)
		}
		if err == nil && !h.gone && sealing && h.data < rotation {
			h, err = k.renew(ctx, uid, place, h.version, is, rotation, asked)
		}
		return err
	})
	if err == nil {
		k.people.remember(place.Key, h)
	}
	return h, err
}

// unwrap is what a document holds, its key unwrapped.
func (k *Keyring) unwrap(ctx context.Context, uid string, version int64, is person, read time.Time) (held, error) {
	handle, by, err := k.keyset(ctx, uid, is)
	if err != nil {
		return held{}, err
	}
	return holding(handle, by, version, is, read)
}

// keyset is that of the person, and the shard that wraps it.
func (k *Keyring) keyset(ctx context.Context, uid string, is person) (*keyset.Handle, shard, error) {
	place, err := k.place(ctx, uid)
	if err != nil {
		return nil, shard{}, err
	}
	by, err := k.shards.key(ctx, shardOf(place.Key), false)
	if err != nil {
		return nil, by, err
	}
	handle, err := keysets.Unwrap(is.Keyset, by.key, bound(uid, is.Life))
	if err != nil {
		return nil, by, fmt.Errorf("unwrap key: %w", keyring.ErrNoKey)
	}
	return handle, by, nil
}

// holding is what is held of a person whose keyset it is.
func holding(handle *keyset.Handle, by shard, version int64, is person, read time.Time) (held, error) {
	key, err := keysets.AEAD(handle)
	if err != nil {
		return held{}, err
	}
	h := held{version: version, life: is.Life, data: is.Data, key: key, read: read, until: by.until}
	for _, info := range handle.KeysetInfo().GetKeyInfo() {
		h.ids = append(h.ids, info.GetKeyId())
	}
	return h, nil
}

// knows says whether one of the versions has sealed it: Tink puts the id of the key
// in front of what it encrypts.
func knows(ids []uint32, ciphertext []byte) bool {
	for _, id := range ids {
		if bytes.HasPrefix(ciphertext, binary.BigEndian.AppendUint32([]byte{1}, id)) {
			return true
		}
	}
	return false
}

// first makes the person's first key, unless something is sealed for them already.
func (k *Keyring) first(ctx context.Context, uid string, place store.Key, read time.Time) (held, error) {
	if k.sealed != nil {
		is, err := k.sealed(ctx, uid)
		if err != nil {
			return held{}, fmt.Errorf("look for what is sealed: %w", err)
		}
		if is {
			// Another process may have made the key, and sealed with it, since we looked.
			var now person
			version, err := k.people.documents.get(ctx, place, &now)
			if err == nil && version == 0 {
				err = fmt.Errorf("find key: %w", keyring.ErrNoKey)
			}
			if err != nil || now.Gone {
				return held{version: version, life: now.Life, gone: now.Gone, read: read}, err
			}
			return k.unwrap(ctx, uid, version, now, read)
		}
	}
	handle, is, err := k.make(ctx, 0)
	if err != nil {
		return held{}, err
	}
	return k.keep(ctx, uid, place, 0, handle, is, read)
}

// make makes a key of a life.
func (k *Keyring) make(ctx context.Context, life int) (*keyset.Handle, person, error) {
	ring, err := k.ring.believed(ctx)
	if err != nil {
		return nil, person{}, err
	}
	handle, err := keysets.New()
	return handle, person{Life: life, Data: ring.Data, At: k.now().UTC()}, err
}

// renew makes the person's key anew: a version behind those that there are. Of two
// processes that do so one is told of a conflict, and reads the other's.
func (k *Keyring) renew(ctx context.Context, uid string, place store.Key, version int64, is person, rotation int, read time.Time) (held, error) {
	if is.Keyset == nil { // it was made a moment ago
		return held{}, store.ErrConflict
	}
	handle, _, err := k.keyset(ctx, uid, is)
	if err == nil {
		handle, err = keysets.WithNewest(handle)
	}
	if err != nil {
		return held{}, err
	}
	return k.keep(ctx, uid, place, version, handle, person{Life: is.Life, Data: rotation, At: k.now().UTC()}, read)
}

// keep writes the person's key, where their document has the version.
func (k *Keyring) keep(ctx context.Context, uid string, place store.Key, version int64, handle *keyset.Handle, is person, read time.Time) (h held, err error) {
	by, err := k.shards.key(ctx, shardOf(place.Key), true)
	if err != nil {
		return h, err
	}
	if is.Keyset, err = keysets.Wrap(handle, by.key, bound(uid, is.Life)); err != nil {
		return h, err
	}
	if version, err = k.people.documents.put(ctx, place, version, is); err != nil {
		return h, err
	}
	return holding(handle, by, version, is, read)
}

// change has the person's document be another, from what it is now; the same is nil.
func (k *Keyring) change(ctx context.Context, uid string, to func(place store.Key, is person) (*person, error)) error {
	place, err := k.place(ctx, uid)
	if err != nil {
		return err
	}
	give, err := k.people.turns.take(ctx, place.Key)
	if err != nil {
		return err
	}
	defer give()
	k.people.forget(place.Key)
	defer k.people.forget(place.Key) // who was in the middle of it
	return again(func() error {
		var is person
		version, err := k.people.documents.get(ctx, place, &is)
		if err != nil {
			return err
		}
		next, err := to(place, is)
		if err != nil || next == nil {
			return err
		}
		_, err = k.people.documents.put(ctx, place, version, next)
		return err
	})
}

// Destroy makes everything sealed for the person unreadable for good.
func (k *Keyring) Destroy(ctx context.Context, uid string) error {
	return keyring.Fault("destroy", k.change(ctx, uid, func(_ store.Key, is person) (*person, error) {
		if is.Gone {
			return nil, nil
		}
		return &person{Life: is.Life, Gone: true, At: k.now().UTC()}, nil
	}))
}

// Renew lets the person have the key of the life given.
func (k *Keyring) Renew(ctx context.Context, uid string, life int) error {
	return keyring.Fault("renew", k.change(ctx, uid, func(place store.Key, is person) (*person, error) {
		switch {
		case is.Life == life && !is.Gone:
			return nil, nil
		case is.Life != life-1 || !is.Gone:
			return nil, errors.New("the key of the life before is not destroyed")
		}
		handle, next, err := k.make(ctx, life)
		if err != nil {
			return nil, err
		}
		by, err := k.shards.key(ctx, shardOf(place.Key), true)
		if err != nil {
			return nil, err
		}
		next.Keyset, err = keysets.Wrap(handle, by.key, bound(uid, life))
		return &next, err
	}))
}

// Destroyed counts the person's keys that are destroyed, and says when the last was, as
// the mark has it: zero where they have come back since.
func (k *Keyring) Destroyed(ctx context.Context, uid string) (count int, last time.Time, err error) {
	is, version, err := k.document(ctx, uid)
	if err != nil || version == 0 {
		return 0, last, keyring.Fault("look for destroyed keys", err)
	}
	if !is.Gone {
		return is.Life, last, nil
	}
	return is.Life + 1, is.At, nil
}

// Has says whether the person has a key that can be read.
func (k *Keyring) Has(ctx context.Context, uid string) (bool, error) {
	is, version, err := k.document(ctx, uid)
	if err == nil && version != 0 && !is.Gone {
		_, _, err = k.keyset(ctx, uid, is)
	}
	if errors.Is(err, keyring.ErrNoKey) {
		return false, nil
	}
	return err == nil && version != 0 && !is.Gone, keyring.Fault("look for a key", err)
}

func (k *Keyring) document(ctx context.Context, uid string) (is person, version int64, err error) {
	place, err := k.place(ctx, uid)
	if err == nil {
		version, err = k.people.documents.get(ctx, place, &is)
	}
	return is, version, err
}
