package keyringtest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/keyring"
)

// Keys are where the MemoryRings of several processes have their keys. It is for
// tests that need keys in a millisecond: it keeps none of them secret.
type Keys struct {
	now func() time.Time
	lag time.Duration

	mu     sync.Mutex
	people map[string]person
	// data is how often data keys were rotated, keks are the versions of the key that
	// wraps, the newest last, and by is which of them wraps the keys of each shard.
	data int
	keks []int
	by   [shards]int
}

// shards is how many keys wrap people's here, and part how many Rewrap does at a time.
const (
	shards = 8
	part   = 3
)

type person struct {
	life    int
	gone    bool
	there   bool
	version int // the rotation of the newest version of the key
}

// Memory has no keys yet. What one process destroys another knows of after lag.
func Memory(now func() time.Time, lag time.Duration) *Keys {
	return &Keys{now: now, lag: lag, people: map[string]person{}, keks: []int{0}}
}

// Process is the keyring of one process.
func (k *Keys) Process() *MemoryRing { return &MemoryRing{keys: k, known: map[string]believed{}} }

// A MemoryRing believes what it read of a key for as long as the lag.
type MemoryRing struct {
	keys *Keys

	mu    sync.Mutex
	known map[string]believed
}

type believed struct {
	person
	read time.Time
}

// look is what the process knows of the person, who has a key from then on where
// make says so.
func (r *MemoryRing) look(uid string, create bool) person {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys
	now := k.now()
	if b, ok := r.known[uid]; ok && now.Sub(b.read) < k.lag && (b.there || !create) {
		return b.person
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.people[uid]
	if create && !p.gone {
		p.there, p.version = true, k.data
		k.people[uid] = p
	}
	r.known[uid] = believed{p, now}
	return p
}

func (r *MemoryRing) change(uid string, to func(person) (person, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys.mu.Lock()
	defer r.keys.mu.Unlock()
	delete(r.known, uid)
	p, err := to(r.keys.people[uid])
	if err == nil {
		r.keys.people[uid] = p
	}
	return err
}

// Seal seals with the key of the person's life.
func (r *MemoryRing) Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, keyring.Fault("seal", err)
	}
	p := r.look(uid, true)
	if p.gone {
		return nil, keyring.Fault("seal", keyring.ErrDestroyed)
	}
	aead, err := p.aead(uid, p.version)
	if err != nil {
		return nil, keyring.Fault("seal", err)
	}
	head := make([]byte, prefix+aead.NonceSize(), prefix+aead.NonceSize()+len(plaintext)+aead.Overhead())
	binary.BigEndian.PutUint32(head, uint32(p.version)) //nolint:gosec // it counts
	_, _ = rand.Read(head[prefix:])                     // never fails
	return aead.Seal(head, head[prefix:], plaintext, []byte(uid+"\x00"+name)), nil
}

// Open opens what was sealed in this life.
func (r *MemoryRing) Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, keyring.Fault("open", err)
	}
	p := r.look(uid, false)
	switch {
	case p.gone:
		return nil, keyring.Fault("open", keyring.ErrDestroyed)
	case !p.there:
		return nil, keyring.Fault("open", keyring.ErrNoKey)
	}
	if len(ciphertext) < prefix {
		return nil, keyring.Fault("open", keyring.ErrTampered)
	}
	aead, err := p.aead(uid, int(binary.BigEndian.Uint32(ciphertext)))
	if err != nil {
		return nil, keyring.Fault("open", err)
	}
	n := prefix + aead.NonceSize()
	if len(ciphertext) < n {
		return nil, keyring.Fault("open", keyring.ErrTampered)
	}
	plain, err := aead.Open(nil, ciphertext[prefix:n], ciphertext[n:], []byte(uid+"\x00"+name))
	if err != nil {
		return nil, keyring.Fault("open", keyring.ErrTampered)
	}
	return plain, nil
}

// prefix is in front of what is sealed: the version of the key.
const prefix = 4

// aead is a version of the key of the person's life.
func (p person) aead(uid string, version int) (cipher.AEAD, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "version %d of life %d of %s", version, p.life, uid))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Destroy is known here at once, and elsewhere after the lag.
func (r *MemoryRing) Destroy(ctx context.Context, uid string) error {
	if err := ctx.Err(); err != nil {
		return keyring.Fault("destroy", err)
	}
	return r.change(uid, func(p person) (person, error) { p.gone = true; return p, nil })
}

// Lag is how long other processes may not know of it.
func (r *MemoryRing) Lag() time.Duration { return r.keys.lag }

// Renew has the person begin the life.
func (r *MemoryRing) Renew(ctx context.Context, uid string, life int) error {
	if err := ctx.Err(); err != nil {
		return keyring.Fault("renew", err)
	}
	return r.change(uid, func(p person) (person, error) {
		switch {
		case p.life == life && life > 0 && !p.gone:
			return p, nil
		case !p.gone || life != p.life+1:
			return p, keyring.Fault("renew", errors.New("the key of the life before is not destroyed"))
		}
		return person{life: life, there: true, version: r.keys.data}, nil
	})
}

// Pseudonym names the person.
func (r *MemoryRing) Pseudonym(ctx context.Context, uid string) (string, error) {
	sum := sha256.Sum256([]byte("pseudonym of " + uid))
	return strings.ToLower(fmt.Sprintf("%x", sum[:12])), keyring.Fault("pseudonym", ctx.Err())
}

// RotateKEK has another key that wraps, unless one is left that an older one wraps.
func (r *MemoryRing) RotateKEK(ctx context.Context) error {
	k := r.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() == nil && len(k.keks) == 1 {
		k.keks = append(k.keks, k.keks[0]+1)
	}
	return keyring.Fault("rotate the key that wraps", ctx.Err())
}

// Rewrap has the newest one wrap some of the shards' keys.
func (r *MemoryRing) Rewrap(ctx context.Context, cursor string) (p keyring.Progress, err error) {
	from := 0
	if cursor != "" {
		from, err = strconv.Atoi(cursor)
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return p, keyring.Fault("rewrap", err)
	}
	k := r.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	newest, to := k.keks[len(k.keks)-1], min(from+part, shards)
	for i := from; i < to; i++ {
		k.by[i] = newest
	}
	older := k.older()
	if older > 0 && to == shards { // the cursor was not of this rotation
		older = 0
		for i := range k.by {
			k.by[i] = newest
		}
	}
	if older == 0 {
		k.keks = []int{newest}
		return keyring.Progress{Done: shards, All: shards}, nil
	}
	return keyring.Progress{Cursor: strconv.Itoa(to), Done: shards - older, All: shards}, nil
}

// older counts the shards whose keys an older one wraps.
func (k *Keys) older() (n int) {
	for _, by := range k.by {
		if by != k.keks[len(k.keks)-1] {
			n++
		}
	}
	return n
}

// RotateData has everybody's key made anew when they seal next.
func (r *MemoryRing) RotateData(ctx context.Context) error {
	r.keys.mu.Lock()
	defer r.keys.mu.Unlock()
	if ctx.Err() == nil {
		r.keys.data++
	}
	return keyring.Fault("rotate data keys", ctx.Err())
}

// Census counts the keys.
func (r *MemoryRing) Census(ctx context.Context) (keyring.Census, error) {
	k := r.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	c := keyring.Census{KEKs: len(k.keks), Wrapped: shards, Older: k.older(), Data: k.data}
	for _, p := range k.people {
		c.Destroyed += p.life
		switch {
		case p.gone:
			c.Destroyed++
		case p.there:
			c.People++
			if p.version < k.data {
				c.Behind++
			}
		}
	}
	return c, keyring.Fault("count keys", ctx.Err())
}
