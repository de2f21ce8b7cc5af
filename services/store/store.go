// Package store is the contract for the small documents that refer to blobs:
// uploads, days, results, insights, consents. Never samples.
//
// A Driver keeps opaque documents by (collection, uid, key). Collections are
// the written-out list below; uid and key are 1 to 256 bytes of
// [A-Za-z0-9._:@=-]. Every document has a version, 1 when created and one more
// each time it changes. A Write applies only if the document has the version in
// IfVersion (0: does not exist); else its outcome is ErrConflict. Any lets it
// apply whatever the version. When Write returns nil the document MUST be
// durable. Concurrent Writes MAY be made durable together; each stands alone.
//
// Get returns ErrNotFound for a document that is not there. List is in byte
// order of keys (or the reverse), within one collection and uid. Watch sends a
// token whenever a document of the uid in the collection may have changed,
// after the change is visible to Get; tokens MAY be merged and MAY be spurious,
// never missing; the channel is closed once its context is done. A delete of a
// document that is not there is ErrNotFound, or nil where IfVersion is 0.
// EraseUser removes every document of the uid in every collection but Accounts.
//
// Callers retry, drivers do not. All methods may be called concurrently.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
)

// The sentinels a driver wraps.
var (
	ErrNotFound = errors.New("store: document not found")
	ErrConflict = errors.New("store: document has another version")
	ErrKey      = errors.New("store: illegal collection, uid or key")
)

// Any is the IfVersion of a write that replaces whatever is there.
const Any int64 = -1

// A Driver keeps documents.
type Driver interface {
	Get(ctx context.Context, k Key) (Document, error)
	// Write creates or replaces a document and returns its new version. Delete
	// is a Write with nil Data.
	Write(ctx context.Context, w Write) (version int64, err error)
	List(ctx context.Context, q Query) ([]Document, error)
	Watch(ctx context.Context, collection, uid string) (<-chan struct{}, error)
	EraseUser(ctx context.Context, uid string) error
}

// A Key names a document.
type Key struct{ Collection, UID, Key string }

// A Document is what is kept under a Key.
type Document struct {
	Key     Key
	Version int64
	Updated time.Time
	Data    []byte
}

// A Write is one conditional change.
type Write struct {
	Key       Key
	IfVersion int64
	Data      []byte // nil deletes
}

// A Query lists documents of one collection and uid.
type Query struct {
	Collection, UID string
	From, To        string // keys from From (inclusive) up to To (exclusive); "" is open
	After           string // a cursor: keys strictly behind this one, in the query's direction
	Descending      bool
	Limit           int // 1 to 1000
}

// Fault is what a driver returns for an error it met; see package fault. ErrNotFound
// is an answer and none.
func Fault(op string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return err
	}
	return fault.Wrap("store", op, err,
		fault.Known{Is: ErrConflict, Class: fault.Conflict, Code: "version"},
	)
}
