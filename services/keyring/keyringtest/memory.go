package keyringtest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
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
}

type person struct {
	life  int
	gone  bool
	there bool
}

// Memory has no keys yet. What one process destroys another knows of after lag.
func Memory(now func() time.Time, lag time.Duration) *Keys {
	return &Keys{now: now, lag: lag, people: map[string]person{}}
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
	if create && !p.gone && !p.there {
		p.there = true
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
	aead, err := p.aead(uid)
	if err != nil {
		return nil, keyring.Fault("seal", err)
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plaintext)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(nonce, nonce, plaintext, []byte(uid+"\x00"+name)), nil
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
	aead, err := p.aead(uid)
	if err != nil {
		return nil, keyring.Fault("open", err)
	}
	n := aead.NonceSize()
	if len(ciphertext) < n {
		return nil, keyring.Fault("open", keyring.ErrTampered)
	}
	plain, err := aead.Open(nil, ciphertext[:n], ciphertext[n:], []byte(uid+"\x00"+name))
	if err != nil {
		return nil, keyring.Fault("open", keyring.ErrTampered)
	}
	return plain, nil
}

// aead is the key of the person's life.
func (p person) aead(uid string) (cipher.AEAD, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "life %d of %s", p.life, uid))
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
		return person{life: life, there: true}, nil
	})
}

// Pseudonym names the person.
func (r *MemoryRing) Pseudonym(ctx context.Context, uid string) (string, error) {
	sum := sha256.Sum256([]byte("pseudonym of " + uid))
	return strings.ToLower(fmt.Sprintf("%x", sum[:12])), keyring.Fault("pseudonym", ctx.Err())
}
