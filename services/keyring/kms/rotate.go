package kms

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	part   = 64 // keys that Rewrap wraps anew at a time
	atOnce = 32 // shards that Census looks at
)

// RotateData has each person's key made anew when they seal next.
func (k *Keyring) RotateData(ctx context.Context) error {
	return keyring.Fault("rotate data keys", k.ring.change(ctx, func(is ringState) ringState {
		is.Data++
		return is
	}))
}

// RotateKEK has a newer version wrap, unless something is left that an older
// one wraps.
func (k *Keyring) RotateKEK(ctx context.Context) error {
	return keyring.Fault("rotate the key that wraps", k.rotateKEK(ctx))
}

func (k *Keyring) rotateKEK(ctx context.Context) error {
	ring, err := k.ring.read(ctx)
	if err != nil {
		return err
	}
	versions, err := k.kek.versions(ctx)
	if err != nil {
		return err
	}
	if len(olderThan(ring.KEK, versions)) > 0 {
		return nil
	}
	newest := 0
	if len(versions) > 0 && ring.KEK > 0 {
		newest = versions[len(versions)-1]
	}
	if newest <= ring.KEK { // neither the key's own schedule nor a rotation that was cut has made one
		if newest, err = k.kek.create(ctx); err != nil {
			return err
		}
	}
	return k.ring.change(ctx, func(is ringState) ringState {
		is.KEK = max(is.KEK, newest)
		return is
	})
}

// olderThan are the versions below the one that wraps: none where the KMS chooses.
func olderThan(kek int, versions []int) (older []int) {
	for _, n := range versions {
		if n < kek {
			older = append(older, n)
		}
	}
	return older
}

// Rewrap has the newest version wrap some of what the KEK wraps, and behind the last of
// it ends the older ones.
func (k *Keyring) Rewrap(ctx context.Context, cursor string) (keyring.Progress, error) {
	p, err := k.rewrap(ctx, cursor)
	return p, keyring.Fault("rewrap", err)
}

func (k *Keyring) rewrap(ctx context.Context, cursor string) (p keyring.Progress, err error) {
	ring, err := k.ring.read(ctx)
	if err != nil {
		return p, err
	}
	var older []string
	last := "" // of this part
	taken := 0
	err = k.eachWrapped(ctx, func(name string, is wrapped) error {
		p.All++
		if is.KEK == ring.KEK {
			if name > cursor && taken < part {
				last = name
			}
			return nil
		}
		if name <= cursor || taken == part {
			older = append(older, name)
			return nil
		}
		taken, last = taken+1, name
		return k.rewrapOne(ctx, name, ring)
	})
	if err != nil {
		return p, err
	}
	if len(older) > 0 && taken == part {
		p.Cursor, p.Done = last, p.All-len(older)
		return p, nil
	}
	for _, name := range older { // the cursor was not of this rotation
		if err := k.rewrapOne(ctx, name, ring); err != nil {
			return p, err
		}
	}
	p.Done = p.All
	return p, k.retire(ctx, ring.KEK)
}

// eachWrapped tells of each document that the KEK wraps, in the order of names.
func (k *Keyring) eachWrapped(ctx context.Context, see func(name string, is wrapped) error) error {
	return k.ring.documents.each(ctx, ofRing, firstSecret, func(doc store.Document) error {
		var is wrapped
		if err := decode(doc, &is); err != nil {
			return err
		}
		return see(doc.Key.Key, is)
	})
}

// wrappedAt is where what has the name lies, and what it is for.
func wrappedAt(name string) (place store.Key, of string) {
	if shard, is := strings.CutPrefix(name, firstWrapped); is {
		return shardPlace(shard), use(shard)
	}
	if secret, is := strings.CutPrefix(name, firstSecret); is {
		return secretPlace(secret), secretUse(secret)
	}
	return tokensPlace, keysets.PseudonymUse
}

// rewrapOne has the newest version wrap what the document holds. Another process may
// do the same.
func (k *Keyring) rewrapOne(ctx context.Context, name string, ring ringRead) error {
	place, of := wrappedAt(name)
	return again(func() (err error) {
		if ring.version == 0 { // it was changed meanwhile
			if ring, err = k.ring.read(ctx); err != nil {
				return err
			}
		}
		check := ring.check()
		ring.version = 0
		var is wrapped
		version, err := k.ring.documents.get(ctx, place, &is)
		if err != nil || is.KEK == ring.KEK {
			return err
		}
		handle, err := k.kek.unwrap(ctx, is.Keyset, of)
		if err != nil {
			return err
		}
		is = wrapped{KEK: ring.KEK}
		if is.Keyset, err = k.kek.wrap(ctx, handle, ring.KEK, of); err != nil {
			return err
		}
		_, err = k.ring.documents.put(ctx, place, version, is, check)
		return err
	})
}

// retire ends the versions older than the one that wraps: nothing is wrapped by them.
func (k *Keyring) retire(ctx context.Context, kek int) error {
	versions, err := k.kek.versions(ctx)
	for _, n := range olderThan(kek, versions) {
		err = errors.Join(err, k.kek.destroy(ctx, n))
	}
	return err
}

// Census counts the keys.
func (k *Keyring) Census(ctx context.Context) (keyring.Census, error) {
	c, err := k.census(ctx)
	return c, keyring.Fault("count keys", err)
}

func (k *Keyring) census(ctx context.Context) (c keyring.Census, err error) {
	ring, err := k.ring.read(ctx)
	if err != nil {
		return c, err
	}
	versions, err := k.kek.versions(ctx)
	if err != nil {
		return c, err
	}
	c.Data = ring.Data
	for _, n := range versions {
		if n <= ring.KEK || ring.KEK == 0 { // what the key's own schedule made wraps nothing yet
			c.KEKs++
		}
	}
	err = k.eachWrapped(ctx, func(_ string, is wrapped) error {
		c.Wrapped++
		if is.KEK != ring.KEK {
			c.Older++
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	var mu sync.Mutex // guards c
	var all errgroup.Group
	all.SetLimit(atOnce)
	for shard := range shardCount {
		all.Go(func() error {
			return k.ring.documents.each(ctx, peopleOf(shardName(shard)), "", func(doc store.Document) error {
				mu.Lock()
				defer mu.Unlock()
				return count(&c, doc)
			})
		})
	}
	err = all.Wait()
	return c, err
}

// count counts a person's document.
func count(c *keyring.Census, doc store.Document) error {
	var is person
	if err := decode(doc, &is); err != nil {
		return err
	}
	c.Destroyed += is.Life
	switch {
	case is.Gone:
		c.Destroyed++
	default:
		c.People++
		if is.Data < c.Data {
			c.Behind++
		}
	}
	return nil
}
