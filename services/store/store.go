// Package store is the contract for the small documents that refer to blobs:
// uploads, days, results, insights, consents. Never samples. It promises what
// its weakest driver keeps, a database of many machines in one region.
//
// A Driver keeps opaque documents by (collection, uid, key), each at most
// MaxDocument bytes. Collections are the written-out list below; uid and key are
// 1 to 256 bytes of [A-Za-z0-9._:@=-].
//
// # Versions
//
// Every document has a version. It is opaque: 0 is "not there", every other
// says nothing by its size. It changes with every change of the document, and
// MUST NOT ever come back for the same key: not after a delete, not after an
// erasure, not after a restart.
//
// # Writes
//
// Batch applies 1 to MaxBatch Writes of one person, each to a document of its
// own: all of them or none. A Write applies only if the document has the
// version in IfVersion (0: is not there); Any lets it apply whatever is there.
// A Write with Check changes nothing and demands the version of a document that
// is there. Where one of them does not apply, the outcome is ErrConflict: some
// document really had another version at that time. Data larger than
// MaxDocument is ErrTooLarge, and so is a batch whose data are more than 9 MiB
// together. When Batch returns nil the changes MUST be durable
// and seen by every Get and List that begins from then on, in any process; the
// versions are those of the documents afterwards, 0 for what was deleted.
//
// ErrUnknown says that it is not known whether the batch was applied, or still
// will be. The caller reads before it writes again: where it finds its own bytes
// the batch was applied. Every other error means that nothing was applied. One
// document SHOULD NOT be changed more than once a second for long: a driver may
// be that slow.
//
// # Reads
//
// Get returns ErrNotFound for a document that is not there. List is in byte
// order of keys (or the reverse), within one collection and uid. Each document
// read costs, List's as Get's, and Get's where there is none.
//
// An upload has the time at which it Came, to the millisecond, in each Write of it:
// List with Newest lists them by that, the newest first, and those of one millisecond
// in the order of their keys.
//
// Tail sends a token when a document of the uid in the collection, with a key
// behind `after` and behind every key that was there, may have been written:
// after it is visible to List. Tokens MAY be merged, MAY be spurious, MAY come
// seconds late, and are never missing for what is written once Tail has
// returned; what was written before MAY have one. The channel is closed once
// its context is done. A change or a delete of what is there need not be told.
//
// # The agenda
//
// The documents of the collection agenda are what is unfinished: each has the
// time it is Due, to the microsecond, written in a Batch with what it is about
// and removed in the Batch that finishes it. What has a document of its own may have
// the time there, and is listed with them: an upload, which is looked at until it is
// merged and again when it has served its time; an account that is being erased, which
// outlives all else. Due lists those of the collections named over all people of one
// shard, due at `before` or earlier, the oldest first: what is due of other collections
// takes no room of theirs, however much that is. It MAY be stale by
// seconds: one that was just written may be missing, one that was just removed
// or put off may still be there. So whoever acts on an entry does it under the
// entry's version. It costs what it lists, and nothing where nothing is due. A driver
// that can tell in one query in which shards something is due at `before` or earlier
// MAY have a method for it, Stirring(ctx, before) (shards []int, err error), by rising
// number; its answer MAY be as stale.
//
// # People
//
// People lists those of whom there is a document in accounts or consents, in an
// order of the driver's own, at most limit of them behind the uid `after`. It is for
// retention, a shard of a batch and who verifies: it costs everybody.
//
// EraseUser removes every document of the uid in every collection that is Personal.
// It is no transaction: after an error some are gone, and it is repeated. What
// another process writes meanwhile may stay.
//
// Ready is nil where documents can be read and written, as the driver's last calls went
// or as it asks now: cheap enough to be asked every second. Where they can be read and
// not written it SHOULD say that it is partly so (fault.Partly).
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
	ErrKey      = errors.New("store: illegal key, or illegal batch")
	ErrTooLarge = errors.New("store: document is too large")
	ErrUnknown  = errors.New("store: not known whether it was written")
)

// The bounds.
const (
	MaxDocument = 900 << 10 // bytes of one document, sealed
	MaxBatch    = 20        // writes of one Batch
	MaxLimit    = 1000      // documents of one Query, and of one Due

	// Firestore takes a request of 10 MiB; beside the data a write has its names.
	maxBatchData = 9 << 20
)

// Any is the IfVersion of a write that replaces whatever is there.
const Any int64 = -1

// A Driver keeps documents.
type Driver interface {
	Get(ctx context.Context, k Key) (Document, error)
	// Batch applies all the writes, or none, and returns the new versions.
	Batch(ctx context.Context, writes []Write) (versions []int64, err error)
	List(ctx context.Context, q Query) ([]Document, error)
	Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error)
	Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]Document, error)
	People(ctx context.Context, after string, limit int) (uids []string, err error)
	EraseUser(ctx context.Context, uid string) error
	Ready(ctx context.Context) error
}

// A Key names a document.
type Key struct{ Collection, UID, Key string }

// A Document is what is kept under a Key.
type Document struct {
	Key     Key
	Version int64
	Updated time.Time
	Due     time.Time // of the agenda's, of an upload, and of an account that is being erased
	Came    time.Time // of an upload
	Data    []byte
}

// A Write is one conditional change.
type Write struct {
	Key       Key
	IfVersion int64
	Data      []byte    // nil deletes
	Due       time.Time // of the agenda's, of an upload, and of an account that is being erased
	Came      time.Time // of an upload
	Check     bool      // changes nothing: the document is there, in that version
}

// A Query lists documents of one collection and uid.
type Query struct {
	Collection, UID string
	From, To        string // keys from From (inclusive) up to To (exclusive); "" is open
	After           string // a cursor: keys strictly behind this one, in the query's direction
	Descending      bool
	Newest          bool      // uploads alone: by the time they came, instead of their keys
	Came            time.Time // when that of After came, with Newest
	Limit           int       // 1 to MaxLimit
}

// Fault is what a driver returns for an error it met; see package fault. ErrNotFound
// is an answer and none.
func Fault(op string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return err
	}
	return fault.Wrap("store", op, err,
		fault.Known{Is: ErrConflict, Class: fault.Conflict, Code: "version"},
		fault.Known{Is: ErrKey, Class: fault.Broken, Code: "key"},
		fault.Known{Is: ErrTooLarge, Class: fault.Limit, Code: "size"},
		fault.Known{Is: ErrUnknown, Class: fault.Unavailable, Code: "unknown"},
	)
}
