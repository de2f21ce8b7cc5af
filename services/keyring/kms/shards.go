package kms

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
	"github.com/clarity-loop/clarity/services/store"
)

// hold is how long a shard's key is held: so long a right that was taken away, or a
// KMS that is down, is not felt.
const hold = time.Hour

// wrapped is a document that the KEK wraps.
type wrapped struct {
	Keyset []byte `json:"w"`
	// KEK is the version that wraps it, 0 being one that the KMS chose.
	KEK int `json:"v,omitempty"`
}

// shards are the keys that wrap people's, as this process has read them: they
// stay the same, however often they are wrapped anew.
type shards struct {
	documents documents
	kek       *kek
	ring      *ring
	now       func() time.Time
	turns     turns

	mu    sync.Mutex
	known map[string]shard
}

type shard struct {
	key   tink.AEAD
	until time.Time
}

// use binds a shard's wrapped key to the shard.
func use(shard string) string { return "clarity.shard/" + shard }

func (s *shards) remembered(name string) (shard, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, is := s.known[name]
	return known, is && s.now().Before(known.until)
}

// some says whether the key of any shard is held.
func (s *shards) some() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, of := range s.known {
		if now.Before(of.until) {
			return true
		}
	}
	return false
}

// key is that of the shard, made at first where create says so.
func (s *shards) key(ctx context.Context, name string, create bool) (of shard, err error) {
	if of, is := s.remembered(name); is {
		return of, nil
	}
	give, err := s.turns.take(ctx, name)
	if err != nil {
		return of, err
	}
	defer give()
	if of, is := s.remembered(name); is {
		return of, nil
	}
	of.until = s.now().Add(hold)
	handle, err := s.load(ctx, name, create)
	if err != nil {
		return of, err
	}
	if of.key, err = keysets.AEAD(handle); err != nil {
		return of, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[name] = of
	return of, nil
}

func (s *shards) load(ctx context.Context, name string, create bool) (*keyset.Handle, error) {
	k := keeper{documents: s.documents, kek: s.kek, ring: s.ring, place: shardPlace(name), use: use(name)}
	handle, err := k.load(ctx)
	if handle != nil || err != nil {
		return handle, err
	}
	// Where a key of the shard wraps somebody's, it is missing: another would open none of them.
	holds, err := s.wraps(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case holds || !create:
		if handle, err = k.load(ctx); handle == nil && err == nil { // another process was not first
			err = fmt.Errorf("find a shard's key: %w", errMissing)
		}
		return handle, err
	}
	return k.create(ctx, keysets.New)
}

// wraps says whether somebody of the shard has a key. Marks of who was destroyed need none.
func (s *shards) wraps(ctx context.Context, name string) (is bool, err error) {
	err = s.documents.each(ctx, peopleOf(name), "", func(doc store.Document) error {
		var of person
		err := decode(doc, &of)
		is = is || of.Keyset != nil
		return err
	})
	return is, err
}

// A keeper keeps one keyset that the KEK wraps.
type keeper struct {
	documents documents
	kek       *kek
	ring      *ring
	place     store.Key
	use       string
}

// load is the keyset, nil where there is none. Another process may be wrapping it
// anew at this moment, and have destroyed the version that wrapped it.
func (k keeper) load(ctx context.Context) (*keyset.Handle, error) {
	var before int64
	for {
		var is wrapped
		version, err := k.documents.get(ctx, k.place, &is)
		if err != nil || version == 0 {
			return nil, err
		}
		handle, err := k.kek.unwrap(ctx, is.Keyset, k.use)
		if !errors.Is(err, errMissing) || version == before {
			return handle, err
		}
		before = version
	}
}

// create makes the keyset; where another process was first, theirs is the one. It is
// written under the condition that the version which wraps it is still the newest.
func (k keeper) create(ctx context.Context, fresh func() (*keyset.Handle, error)) (handle *keyset.Handle, err error) {
	if handle, err = fresh(); err != nil {
		return nil, err
	}
	var before int64 // the version of the ring that was tried
	err = again(func() error {
		ring, err := k.ring.read(ctx)
		if err != nil {
			return err
		}
		is := wrapped{KEK: ring.KEK}
		is.Keyset, err = k.kek.wrap(ctx, handle, ring.KEK, k.use)
		if errors.Is(err, errMissing) && ring.version != before { // the version may have gone since
			before = ring.version
			return store.ErrConflict
		}
		if err != nil {
			return err
		}
		_, err = k.documents.put(ctx, k.place, 0, is, ring.check())
		if errors.Is(err, store.ErrConflict) {
			theirs, loading := k.load(ctx)
			if theirs != nil || loading != nil {
				handle = theirs
				return loading
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return handle, nil
}

// names are people's, under the key of pseudonyms, opened when it is first asked for
// and held for good: it never changes.
type names struct {
	documents documents
	kek       *kek
	ring      *ring
	turns     turns

	mu  sync.Mutex
	set *keysets.Pseudonyms
}

// of is the name of a text.
func (n *names) of(ctx context.Context, text string) (string, error) {
	set, err := n.open(ctx)
	if err != nil {
		return "", err
	}
	return set.Of(text)
}

func (n *names) opened() *keysets.Pseudonyms {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set
}

func (n *names) open(ctx context.Context) (*keysets.Pseudonyms, error) {
	if set := n.opened(); set != nil {
		return set, nil
	}
	give, err := n.turns.take(ctx, tokensPlace.Key)
	if err != nil {
		return nil, err
	}
	defer give()
	if set := n.opened(); set != nil {
		return set, nil
	}
	handle, err := n.load(ctx)
	if err != nil {
		return nil, err
	}
	set, err := keysets.OpenPseudonyms(handle)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set = &set
	return n.set, nil
}

func (n *names) keeper() keeper {
	return keeper{documents: n.documents, kek: n.kek, ring: n.ring, place: tokensPlace, use: keysets.PseudonymUse}
}

// unwraps says why the KMS does not unwrap what it has unwrapped before.
func (n *names) unwraps(ctx context.Context) error {
	handle, err := n.keeper().load(ctx)
	if handle == nil && err == nil {
		err = fmt.Errorf("find the key of pseudonyms: %w", errMissing)
	}
	return err
}

func (n *names) load(ctx context.Context) (*keyset.Handle, error) {
	k := n.keeper()
	handle, err := k.load(ctx)
	if handle != nil || err != nil {
		return handle, err
	}
	// Where a shard has a key, people were named: under another key nobody would be found.
	named, err := n.documents.any(ctx, ofRing, firstWrapped)
	switch {
	case err != nil:
		return nil, err
	case named:
		if handle, err = k.load(ctx); handle == nil && err == nil { // another process was not first
			err = fmt.Errorf("find the key of pseudonyms: %w", errMissing)
		}
		return handle, err
	}
	return k.create(ctx, keysets.NewPseudonyms)
}
