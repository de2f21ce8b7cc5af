package veil

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/store"
)

// Documents is a store.Driver over another, which never sees a uid. It keeps the
// contract but for this: keys of uploads and of the agenda are listed in an order of
// their own, the same each time and in both directions, and have no bounds.
type Documents struct {
	store.Driver
	veil *veil
}

var _ store.Driver = (*Documents)(nil)

// NewDocuments is the driver over d.
func NewDocuments(d store.Driver, n Namer) *Documents { return &Documents{d, newVeil(n)} }

// forms are what can stand in front of a document of the lists over all people.
const (
	nobodys = 0 // and nothing else
	named   = 1 // and whose it is
)

// listed says whether a list over all people finds documents of the collection.
func listed(collection string) bool {
	return collection == "accounts" || collection == "consents" || collection == "agenda" || collection == "uploads"
}

// sealedKeys says whether the collection's keys are sealed.
func sealedKeys(collection string) bool { return collection == "uploads" || collection == "agenda" }

// place is where the driver keeps what has the key.
func (d *Documents) place(ctx context.Context, k store.Key) (store.Key, error) {
	name, err := d.veil.name(ctx, k.UID)
	if err != nil {
		return k, err
	}
	key, err := d.key(ctx, k.Collection, k.UID, k.Key, d.veil.sealKey)
	return store.Key{Collection: k.Collection, UID: name, Key: key}, err
}

// key has a key's secret part sealed, or opened: all of an upload's, and in the agenda
// what is behind the kind.
func (d *Documents) key(ctx context.Context, collection, uid, key string, as func(ctx context.Context, uid, part string) (string, error)) (string, error) {
	if key == "" || !sealedKeys(collection) {
		return key, nil
	}
	kind, part := "", key
	if collection == "agenda" {
		before, behind, found := strings.Cut(key, ":")
		if !found || behind == "" {
			return key, nil
		}
		kind, part = before+":", behind
	}
	changed, err := as(ctx, uid, part)
	return kind + changed, err
}

// with is the document's data with whose it is in front, where that belongs there.
func (d *Documents) with(ctx context.Context, k store.Key, data []byte) ([]byte, error) {
	if !listed(k.Collection) {
		return data, nil
	}
	if k.Collection == "accounts" && ended(data) {
		return append([]byte{nobodys}, data...), nil
	}
	uid, err := d.veil.seal(ctx, ofPeople, []byte(k.UID))
	if err != nil {
		return nil, err
	}
	head := binary.AppendUvarint([]byte{named}, uint64(len(uid)))
	return append(append(head, uid...), data...), nil
}

// ended says whether an account is of a person whose erasure has.
func ended(data []byte) bool {
	var a record.Account
	if json.Unmarshal(data, &a) != nil || a.ErasedAt.IsZero() {
		return false
	}
	return a.Receipt != "" || a.Erasure != nil && a.Erasure.Step == erased.Ended
}

// split takes the data apart: whose it is, sealed, and the rest.
func split(collection string, data []byte) (owner, rest []byte, err error) {
	if !listed(collection) {
		return nil, data, nil
	}
	if len(data) > 0 && data[0] == nobodys {
		return nil, data[1:], nil
	}
	if len(data) > 0 && data[0] == named {
		length, n := binary.Uvarint(data[1:])
		if behind := data[1+max(n, 0):]; n > 0 && length <= uint64(len(behind)) {
			return behind[:length], behind[length:], nil
		}
	}
	return nil, nil, errForeign
}

// reveal is the person's document as it was written.
func (d *Documents) reveal(ctx context.Context, uid string, doc store.Document) (store.Document, error) {
	_, rest, err := split(doc.Key.Collection, doc.Data)
	if err != nil {
		return doc, fmt.Errorf("read %s: %w", doc.Key.Collection, err)
	}
	key, err := d.key(ctx, doc.Key.Collection, uid, doc.Key.Key, d.veil.openKey)
	if err != nil {
		return doc, fmt.Errorf("read %s: %w", doc.Key.Collection, err)
	}
	doc.Key.UID, doc.Key.Key, doc.Data = uid, key, rest
	return doc, nil
}

// Veil is a document that was kept under the uid, as the driver is to keep it.
func (d *Documents) Veil(ctx context.Context, doc store.Document) (store.Document, error) {
	data, err := d.with(ctx, doc.Key, doc.Data)
	if err != nil {
		return doc, err
	}
	doc.Data = data
	doc.Key, err = d.place(ctx, doc.Key)
	return doc, err
}

// Get returns the document, or store.ErrNotFound.
func (d *Documents) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if err := k.Check(); err != nil {
		return store.Document{}, fmt.Errorf("get document: %w", err)
	}
	at, err := d.place(ctx, k)
	if err != nil {
		return store.Document{}, err
	}
	doc, err := d.Driver.Get(ctx, at)
	if err != nil {
		return store.Document{}, err
	}
	return d.reveal(ctx, k.UID, doc)
}

// Batch applies the writes.
func (d *Documents) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if err := store.CheckBatch(writes); err != nil {
		return nil, store.Fault("write", err)
	}
	veiled := make([]store.Write, len(writes))
	for i, w := range writes {
		var err error
		if w.Data != nil {
			w.Data, err = d.with(ctx, w.Key, w.Data)
		}
		if err == nil {
			w.Key, err = d.place(ctx, w.Key)
		}
		if err != nil {
			return nil, err
		}
		veiled[i] = w
	}
	return d.Driver.Batch(ctx, veiled)
}

// errBounds refuses a query that no order can answer.
var errBounds = errors.New("keys that are sealed have no bounds")

// List returns the documents of the query.
func (d *Documents) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	if sealedKeys(q.Collection) && (q.From != "" || q.To != "") {
		return nil, store.Fault("list", errBounds)
	}
	uid := q.UID
	after, err := d.place(ctx, store.Key{Collection: q.Collection, UID: uid, Key: q.After})
	if err != nil {
		return nil, err
	}
	q.UID, q.After = after.UID, after.Key
	docs, err := d.Driver.List(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range docs {
		if docs[i], err = d.reveal(ctx, uid, docs[i]); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// Tail tells of documents behind all others.
func (d *Documents) Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error) {
	if err := (store.Query{Collection: collection, UID: uid, After: after, Limit: 1}).Check(); err != nil {
		return nil, fmt.Errorf("tail documents: %w", err)
	}
	at, err := d.place(ctx, store.Key{Collection: collection, UID: uid, Key: after})
	if err != nil {
		return nil, err
	}
	return d.Driver.Tail(ctx, collection, at.UID, at.Key)
}

// Due lists what is due of the collections in a shard: that of the person's name.
func (d *Documents) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	docs, err := d.Driver.Due(ctx, collections, shard, before, limit)
	if err != nil {
		return nil, err
	}
	mine, full := docs[:0], len(docs) == limit
	for _, doc := range docs {
		revealed, err := d.due(ctx, doc)
		if errors.Is(err, errForeign) {
			err = nil
			if full {
				err = d.putOff(ctx, doc)
			}
		} else if err == nil {
			mine = append(mine, revealed)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", doc.Key.Collection, err)
		}
	}
	return mine, nil
}

// due is what is due as it was written; the error is errForeign where no key of these
// tells whose it is.
func (d *Documents) due(ctx context.Context, doc store.Document) (store.Document, error) {
	owner, _, err := split(doc.Key.Collection, doc.Data)
	if err != nil || owner == nil {
		return doc, errForeign
	}
	uid, err := d.veil.open(ctx, ofPeople, owner)
	if err != nil {
		return doc, err
	}
	return d.reveal(ctx, string(uid), doc)
}

// unknown is for how long what is nobody's that these keys know is not looked at, where
// it stands before something else: other keys may be put back.
const unknown = time.Hour

// putOff goes by the driver's clock: who looks may look far ahead.
func (d *Documents) putOff(ctx context.Context, doc store.Document) error {
	due := doc.Due
	if doc.Updated.After(due) {
		due = doc.Updated
	}
	_, err := d.Driver.Batch(ctx, []store.Write{{Key: doc.Key, IfVersion: doc.Version, Data: doc.Data, Due: due.Add(unknown), Came: doc.Came}})
	if errors.Is(err, store.ErrConflict) { // another was first
		return nil
	}
	return err
}

// Stirring are the shards in which something may be due: all, where the driver below
// cannot tell.
func (d *Documents) Stirring(ctx context.Context, before time.Time) ([]int, error) {
	if below, can := d.Driver.(interface {
		Stirring(ctx context.Context, before time.Time) ([]int, error)
	}); can {
		return below.Stirring(ctx, before)
	}
	all := make([]int, store.Shards)
	for i := range all {
		all[i] = i
	}
	return all, nil
}

// Shard is the one in which Due lists what is the person's.
func (d *Documents) Shard(ctx context.Context, uid string) (int, error) {
	name, err := d.veil.name(ctx, uid)
	return store.ShardOf(name), err
}

// People lists those of whom there are documents, in an order of their names, but for
// who is erased for good: nobody knows any more who that is.
func (d *Documents) People(ctx context.Context, after string, limit int) (uids []string, err error) {
	if after != "" {
		if after, err = d.veil.name(ctx, after); err != nil {
			return nil, err
		}
	}
	for len(uids) == 0 {
		names, err := d.Driver.People(ctx, after, limit)
		if err != nil || len(names) == 0 {
			return nil, err
		}
		for _, name := range names {
			uid, err := d.owner(ctx, name)
			if err != nil {
				return nil, err
			}
			if uid != "" {
				uids = append(uids, uid)
			}
		}
		after = names[len(names)-1]
	}
	return uids, nil
}

// owner is whose name it is; "" where nothing of theirs says so.
func (d *Documents) owner(ctx context.Context, name string) (string, error) {
	for _, collection := range []string{"accounts", "consents"} {
		docs, err := d.Driver.List(ctx, store.Query{Collection: collection, UID: name, Limit: 1})
		if err != nil {
			return "", err
		}
		if len(docs) == 0 {
			continue
		}
		owner, _, err := split(collection, docs[0].Data)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", collection, err)
		}
		if owner == nil {
			continue
		}
		uid, err := d.veil.open(ctx, ofPeople, owner)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", collection, err)
		}
		return string(uid), nil
	}
	return "", nil
}

// EraseUser removes every document of the person but the account.
func (d *Documents) EraseUser(ctx context.Context, uid string) error {
	if err := (store.Key{Collection: store.Personal()[0], UID: uid, Key: "-"}).Check(); err != nil {
		return fmt.Errorf("erase user: %w", err)
	}
	name, err := d.veil.name(ctx, uid)
	if err != nil {
		return err
	}
	return d.Driver.EraseUser(ctx, name)
}
