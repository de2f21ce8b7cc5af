package litedb

import (
	"errors"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/clarity-loop/clarity/services/fault"
)

// Classified is err, with the class of a fault that SQLite's result code says
// where there is one: what fault.Wrap asks for.
func Classified(err error) error {
	var code interface{ Code() int }
	if !errors.As(err, &code) {
		return err
	}
	return &classified{err, code.Code()}
}

type classified struct {
	error
	code int // its low byte is the primary one
}

func (c *classified) Unwrap() error { return c.error }

// FaultClass is what fault.Wrap asks.
func (c *classified) FaultClass() (fault.Class, string) {
	switch text := fmt.Sprintf("code %d", c.code); c.code & 0xff {
	case sqlite3.SQLITE_FULL:
		return fault.Limit, fault.NoSpace
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fault.Broken, text
	default:
		return fault.Unavailable, text
	}
}
