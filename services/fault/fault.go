// Package fault is why a backend could not do what it was asked, in words that
// may be logged: which room, which operation, of which class. An Error's text
// is made of these alone and never of its cause, since the cause may name an
// object, and the object a person. The cause is there for errors.Is and
// errors.As.
package fault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
)

// A Class says what can be done about a fault.
type Class string

// The classes.
const (
	Unavailable Class = "unavailable" // it may pass: the backend is away, too slow, or was cut off
	Conflict    Class = "conflict"    // another writer was first: read again
	Limit       Class = "limit"       // it is too much: a quota, a full disk, a size
	Broken      Class = "broken"      // what is kept is damaged, or not what it should be
	Newer       Class = "newer"       // what is kept was written by a later release
)

// NoSpace is the code of a Limit that is the disk's.
const NoSpace = "no space"

// An Error is one fault of a driver.
type Error struct {
	Room, Op string // constants of the code, "store" and "write"
	Class    Class
	Code     string // the backend's own word for it, "" where it has none
	Cause    error  // not in the text
}

// Error names the room, the operation, the class and the code.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s %s: %s", e.Room, e.Op, e.Class)
	}
	return fmt.Sprintf("%s %s: %s (%s)", e.Room, e.Op, e.Class, e.Code)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// A Known is an error that a room knows the class of.
type Known struct {
	Is    error
	Class Class
	Code  string
}

// Wrap makes a fault of what a driver met; nil stays nil, and a fault stays what
// it is. The class is that of the first known error it is, or what the operating
// system says, or what an error in the chain says by its method
// FaultClass() (Class, string), the string being the code; else Unavailable.
func Wrap(room, op string, err error, known ...Known) error {
	var already *Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	e := &Error{Room: room, Op: op, Class: Unavailable, Cause: err}
	for _, k := range append(known, general()...) {
		if errors.Is(err, k.Is) {
			e.Class, e.Code = k.Class, k.Code
			return e
		}
	}
	var number syscall.Errno
	var classed interface{ FaultClass() (Class, string) }
	switch {
	case errors.As(err, &number):
		e.Code = number.Error()
	case errors.As(err, &classed):
		e.Class, e.Code = classed.FaultClass()
	}
	return e
}

func general() []Known {
	return []Known{
		{context.Canceled, Unavailable, "canceled"},
		{context.DeadlineExceeded, Unavailable, "deadline"},
		{syscall.ENOSPC, Limit, NoSpace},
		{syscall.EDQUOT, Limit, NoSpace},
		{syscall.EMFILE, Limit, "open files"},
		{syscall.EIO, Broken, "input/output"},
	}
}

// partly is what Partly says.
type partly struct{ error }

// Unwrap is what is away.
func (p partly) Unwrap() error { return p.error }

// Partly says of why a driver is not ready that it does some of its work all the same;
// nil stays nil.
func Partly(err error) error {
	if err == nil {
		return nil
	}
	return partly{err}
}

// IsPartly says whether Partly was said of the error.
func IsPartly(err error) bool {
	var p partly
	return errors.As(err, &p)
}

// Text is what may be told of any error: the fault's own words, or that a
// backend is unavailable; nothing of none.
func Text(err error) string {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Error()
	}
	return "a backend is unavailable"
}

// Attrs are the keys of a log record about the error: none where it is no fault.
func Attrs(err error) []any {
	var e *Error
	if !errors.As(err, &e) {
		return nil
	}
	return []any{slog.String("room", e.Room), slog.String("op", e.Op), slog.String("class", string(e.Class)), slog.String("code", e.Code)}
}
