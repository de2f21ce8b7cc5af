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
// Get returns the bytes that were put, whole, or ErrNotFound, or ErrCorrupt
// where they are damaged; it MUST NOT return damaged bytes. Delete of a name that
// is not there is nil; after Delete returns, Get MUST NOT find the object, also
// after a restart. List is in byte order of names, at most limit names after
// the name `after`; objects put or deleted meanwhile MAY be missed.
//
// Callers retry, drivers do not. All methods may be called concurrently.
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
)

// A Store keeps immutable objects by name.
type Store interface {
	Put(ctx context.Context, name string, data []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	Delete(ctx context.Context, name string) error
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)
}

// Info describes an object without its bytes.
type Info struct {
	Name    string
	Size    int64
	Created time.Time
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
	)
}
