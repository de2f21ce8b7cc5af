// Package faulttest is what the suites of the rooms share: errors name no person.
package faulttest

import (
	"errors"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/fault"
)

// Mark is in every name that a suite must not find in a text.
const Mark = "marked-c0ffee"

// NamesNobody fails the test where there is no error, or its text has the Mark.
func NamesNobody(t testing.TB, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: no error", what)
	case strings.Contains(err.Error(), Mark):
		t.Errorf("%s: the error names whom it is about: %v", what, err)
	}
}

// Of fails the test where the error is no fault of the room and the operation,
// or names somebody.
func Of(t testing.TB, err error, room, op string) {
	t.Helper()
	NamesNobody(t, op, err)
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Errorf("%s: %v is no fault", op, err)
		return
	}
	if f.Room != room || f.Op != op || f.Class == "" {
		t.Errorf("a fault of %s %s, class %q; want one of %s %s", f.Room, f.Op, f.Class, room, op)
	}
}
