// Package blob is the contract for immutable objects: raw uploads and day
// chunks, encrypted before they come here.
//
// Names are slash-separated paths of 1 to 512 bytes of [A-Za-z0-9._=-] a
// segment, no segment "." or "..". A driver MUST refuse any other name with
// ErrName, before touching anything.
//
// Put is create-only. It MUST NOT replace an object: where the name is taken it
// returns ErrExists and leaves the object as it is. When Put returns nil the
// object MUST survive the death of the process and of the machine's power; when
// it returns an error the object MAY exist, and a caller that retries must be
// content with ErrExists. After a failed write or sync a driver MUST NOT
// acknowledge anything more through the same file descriptor.
//
// # Generations
//
// Every object has a generation, which Put, Renew, Stat and List say: above 0,
// opaque, and MUST NOT ever come back for the same name, not after a delete and
// not after a restart. Delete removes the object of the generation given, and
// that alone: what another writer has put or renewed since the caller looked
// stays. Where that generation is not there, because there is nothing or because
// there is another, Delete is nil. After it returns, Get MUST NOT find that object,
// also after a restart. After an error the object MAY be gone.
//
// Renew makes an object that is there as if it had just been put: the same bytes,
// created now, under a new generation, which it returns; or ErrNotFound. It is
// atomic: at no moment there is neither. So a writer who finds its name taken by
// the same bytes renews them, and no sweeper that has seen the old ones takes
// them away. After an error it MAY be renewed.
//
// # Reads
//
// Get returns the bytes that were put, whole, or ErrNotFound, or ErrCorrupt
// where they are damaged; it MUST NOT return damaged bytes. What it keeps them in may
// be away: that is ErrUnavailable, and no damage. Stat tells of an object
// without its bytes, or ErrNotFound. List is in byte order of names, at most limit
// names after the name `after`; objects put or deleted meanwhile MAY be missed. It
// is for erasures, retention and who verifies, never for a request.
//
// # Erasure
//
// DeletePrefix removes every object whose name begins with the prefix, whatever
// its generation, and the names with them: when it returns nil, nothing that the
// driver keeps has a name that was there and begins so. It may take long, and it
// is no transaction: after an error some are gone, and it is repeated.
//
// ErrUnavailable says that the backend is away or too slow, and may have done what
// it was asked. Callers retry, drivers do not. All methods may be called
// concurrently.
package blob

import (
	"context"
	"errors"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
)

// The sentinels a driver wraps.
var (
	ErrNotFound = errors.New("blob: object not found")
	ErrExists   = errors.New("blob: object exists")
	ErrName     = errors.New("blob: illegal name")
	ErrCorrupt  = errors.New("blob: object is damaged")
	// ErrUnavailable may pass.
	ErrUnavailable = errors.New("blob: objects cannot be reached now")
)

// A Store keeps immutable objects by name.
type Store interface {
	Put(ctx context.Context, name string, data []byte) (generation int64, err error)
	Renew(ctx context.Context, name string) (generation int64, err error)
	Get(ctx context.Context, name string) ([]byte, error)
	Stat(ctx context.Context, name string) (Info, error)
	Delete(ctx context.Context, name string, generation int64) error
	DeletePrefix(ctx context.Context, prefix string) error
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)
}

// Info describes an object without its bytes.
type Info struct {
	Name       string
	Size       int64
	Created    time.Time
	Generation int64
}

// Fault is what a driver returns for an error it met; see package fault. ErrNotFound
// is an answer and none.
func Fault(op string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return err
	}
	return fault.Wrap("blob", op, err,
		fault.Known{Is: ErrExists, Class: fault.Conflict, Code: "exists"},
		fault.Known{Is: ErrCorrupt, Class: fault.Broken, Code: "corrupt"},
		fault.Known{Is: ErrUnavailable, Class: fault.Unavailable, Code: "away"},
	)
}
