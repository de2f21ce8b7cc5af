package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/device"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/record/spent"
)

// A Sealer encrypts a document before the driver sees it; keyring.Keyring is one.
type Sealer interface {
	Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error)
}

// A Store is the typed face of a Driver. Every document but Accounts is sealed
// with the person's key, its collection, uid and key as the name: no driver
// sees a health value, and destroying the key erases the copies in backups.
type Store struct {
	driver Driver

	Uploads    Collection[record.Upload]
	Days       Collection[record.Day]
	Tombstones Collection[record.Tombstones]
	Results    Collection[record.Result]
	Insights   Collection[record.Insight]
	Embeddings Collection[record.Embedding]
	Cursors    Collection[record.Cursors]
	Events     Collection[notice.Page]
	Profiles   Collection[record.Profile]
	Consents   Collection[record.Consent]
	Exports    Collection[record.Export]
	Spent      Collection[spent.Day]
	Agenda     Collection[agenda.Errand]
	Accounts   Collection[record.Account]
	Endpoints  Collection[hook.Endpoint]
	Missed     Collection[hook.Missed]
	Marks      Collection[hook.Mark]
	Devices    Collection[device.Devices]
}

// New is the store over a driver, its documents sealed by s.
func New(d Driver, s Sealer) *Store {
	return &Store{
		driver:     d,
		Uploads:    Collection[record.Upload]{d, s, collectionUploads},
		Days:       Collection[record.Day]{d, s, collectionDays},
		Tombstones: Collection[record.Tombstones]{d, s, collectionTombstones},
		Results:    Collection[record.Result]{d, s, collectionResults},
		Insights:   Collection[record.Insight]{d, s, collectionInsights},
		Embeddings: Collection[record.Embedding]{d, s, collectionEmbeddings},
		Cursors:    Collection[record.Cursors]{d, s, collectionCursors},
		Events:     Collection[notice.Page]{d, s, collectionEvents},
		Profiles:   Collection[record.Profile]{d, s, collectionProfiles},
		Consents:   Collection[record.Consent]{d, s, collectionConsents},
		Exports:    Collection[record.Export]{d, s, collectionExports},
		Spent:      Collection[spent.Day]{d, s, collectionSpent},
		Agenda:     Collection[agenda.Errand]{d, s, collectionAgenda},
		Accounts:   Collection[record.Account]{d, plain{}, collectionAccounts},
		Endpoints:  Collection[hook.Endpoint]{d, s, collectionEndpoints},
		Missed:     Collection[hook.Missed]{d, s, collectionMissed},
		Marks:      Collection[hook.Mark]{d, s, collectionMarks},
		Devices:    Collection[device.Devices]{d, s, collectionDevices},
	}
}

// EraseUser removes every document of the uid but its Account.
func (s *Store) EraseUser(ctx context.Context, uid string) error { return s.driver.EraseUser(ctx, uid) }

// People lists whom there are documents of; see Driver.
func (s *Store) People(ctx context.Context, after string, limit int) ([]string, error) {
	return s.driver.People(ctx, after, limit)
}

// HoldsSealed says whether there is something of the person that their key has sealed,
// or had in another life: nothing is stored of who has neither answered nor said who
// they are.
func (s *Store) HoldsSealed(ctx context.Context, uid string) (bool, error) {
	for _, collection := range []string{collectionConsents, collectionProfiles} {
		docs, err := s.driver.List(ctx, Query{Collection: collection, UID: uid, Limit: 1})
		if len(docs) > 0 || err != nil {
			return err == nil, err
		}
	}
	account, err := s.Accounts.Get(ctx, uid, record.AccountKey)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && account.Value.Life > 0, err
}

// EachPerson calls see with everyone of whom there are documents.
func (s *Store) EachPerson(ctx context.Context, see func(uid string) error) error {
	for after := ""; ; {
		people, err := s.driver.People(ctx, after, MaxLimit)
		if err != nil || len(people) == 0 {
			return err
		}
		for _, uid := range people {
			if err := see(uid); err != nil {
				return err
			}
		}
		after = people[len(people)-1]
	}
}

// Due returns the documents of the agenda's shard that are due, and the uploads, the
// oldest first, as far as the driver knows; the collection that Holds one opens it. See
// Driver.
func (s *Store) Due(ctx context.Context, shard int, before time.Time, limit int) ([]Document, error) {
	return s.driver.Due(ctx, []string{collectionAgenda, collectionUploads}, shard, before, limit)
}

// PutOff has a document that is due be looked at later, as it is: for who cannot read it.
func (s *Store) PutOff(ctx context.Context, d Document, due time.Time) error {
	_, err := s.driver.Batch(ctx, []Write{{Key: d.Key, IfVersion: d.Version, Data: d.Data, Due: due, Came: d.Came}})
	if err != nil {
		return fmt.Errorf("put off %s: %w", d.Key.Collection, err)
	}
	return nil
}

// Erasing returns the accounts of the shard whose erasure is to go on, as far as
// the driver knows.
func (s *Store) Erasing(ctx context.Context, shard int, before time.Time, limit int) ([]Document, error) {
	return s.driver.Due(ctx, []string{collectionAccounts}, shard, before, limit)
}

// stirrer is a driver that tells where something is due for less than it costs to list
// each shard.
type stirrer interface {
	Stirring(ctx context.Context, before time.Time) (shards []int, err error)
}

// Stirring are the shards in which something may be due: all of them, where the driver
// cannot tell for less than it costs to list each.
func (s *Store) Stirring(ctx context.Context, before time.Time) ([]int, error) {
	if d, can := s.driver.(stirrer); can {
		return d.Stirring(ctx, before)
	}
	all := make([]int, Shards)
	for i := range all {
		all[i] = i
	}
	return all, nil
}

// Ready is nil where the driver reads and commits.
func (s *Store) Ready(ctx context.Context) error { return s.driver.Ready(ctx) }

// A Collection holds one kind of record by uid and key.
type Collection[T any] struct {
	driver Driver
	sealer Sealer
	name   string
}

// A Record is a value with its place and version.
type Record[T any] struct {
	Key     string
	Version int64
	Updated time.Time
	Due     time.Time // of the agenda's, of an upload, and of an account that is being erased
	Came    time.Time // of an upload
	Value   T
}

// Get returns the record, or ErrNotFound.
func (c Collection[T]) Get(ctx context.Context, uid, key string) (Record[T], error) {
	d, err := c.driver.Get(ctx, Key{c.name, uid, key})
	if err != nil {
		return Record[T]{}, fmt.Errorf("get %s: %w", c.name, err)
	}
	return c.Open(ctx, d)
}

// Put writes the record if it has the version given (0: must not exist; Any:
// whatever is there), else ErrConflict. It returns the new version.
func (c Collection[T]) Put(ctx context.Context, uid, key string, ifVersion int64, value T) (int64, error) {
	versions, err := apply(ctx, c.driver, uid, c.ToPut(key, ifVersion, value))
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

// Delete removes the record if it has the version given; one that is not there is nil.
func (c Collection[T]) Delete(ctx context.Context, uid, key string, ifVersion int64) error {
	_, err := apply(ctx, c.driver, uid, c.ToDelete(key, ifVersion))
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrUnknown) {
		if _, now := c.driver.Get(ctx, Key{c.name, uid, key}); errors.Is(now, ErrNotFound) {
			return nil
		}
	}
	return err
}

// List returns the records of the query, whose Collection and UID it sets.
func (c Collection[T]) List(ctx context.Context, uid string, q Query) ([]Record[T], error) {
	q.Collection, q.UID = c.name, uid
	docs, err := c.driver.List(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", c.name, err)
	}
	records := make([]Record[T], len(docs))
	for i, d := range docs {
		if records[i], err = c.Open(ctx, d); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Closed returns the records of the query that do not open, for that reason, without
// their values.
func (c Collection[T]) Closed(ctx context.Context, uid string, q Query, why error) (closed []Record[T], err error) {
	q.Collection, q.UID = c.name, uid
	docs, err := c.driver.List(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", c.name, err)
	}
	for _, d := range docs {
		r, err := c.Open(ctx, d)
		if errors.Is(err, why) {
			closed = append(closed, r)
		} else if err != nil {
			return nil, err
		}
	}
	return closed, nil
}

// Keys lists the keys of the person's records, the first so many, which need not open.
func (c Collection[T]) Keys(ctx context.Context, uid string, limit int) (keys []string, err error) {
	docs, err := c.driver.List(ctx, Query{Collection: c.name, UID: uid, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", c.name, err)
	}
	for _, d := range docs {
		keys = append(keys, d.Key.Key)
	}
	return keys, nil
}

// Tail sends a token when a record of the uid with a key behind all others may
// have been written; see Driver.
func (c Collection[T]) Tail(ctx context.Context, uid, after string) (<-chan struct{}, error) {
	return c.driver.Tail(ctx, c.name, uid, after)
}

// Holds says whether the document is one of the collection.
func (c Collection[T]) Holds(d Document) bool { return d.Key.Collection == c.name }

// Open is the record of a document that the driver returned.
func (c Collection[T]) Open(ctx context.Context, d Document) (Record[T], error) {
	r := Record[T]{Key: d.Key.Key, Version: d.Version, Updated: d.Updated, Due: d.Due, Came: d.Came}
	plain, err := c.sealer.Open(ctx, d.Key.UID, c.aad(d.Key.UID, d.Key.Key), d.Data)
	if err != nil {
		return r, fmt.Errorf("open %s: %w", c.name, err)
	}
	if err := json.Unmarshal(plain, &r.Value); err != nil {
		return r, fmt.Errorf("decode %s: %w", c.name, &fault.Error{Room: "store", Op: "decode", Class: fault.Broken, Cause: err})
	}
	return r, nil
}

func (c Collection[T]) aad(uid, key string) string { return "doc/" + c.name + "/" + uid + "/" + key }

// plain is the Sealer of records that hold nothing to hide.
type plain struct{}

func (plain) Seal(_ context.Context, _, _ string, p []byte) ([]byte, error) { return p, nil }
func (plain) Open(_ context.Context, _, _ string, c []byte) ([]byte, error) { return c, nil }
