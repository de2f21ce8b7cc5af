package fault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
)

var errTaken = errors.New("taken")

type classed struct{ error }

func (classed) FaultClass() (fault.Class, string) { return fault.Broken, "code 267" }

func TestWrapSaysWhatTheCauseMeans(t *testing.T) {
	known := fault.Known{Is: errTaken, Class: fault.Conflict, Code: "taken"}
	tests := map[string]struct {
		err  error
		want string
	}{
		"a known error":     {fmt.Errorf("%w: of %s", errTaken, faulttest.Mark), "store write: conflict (taken)"},
		"no space":          {&os.PathError{Op: "write", Path: faulttest.Mark, Err: syscall.ENOSPC}, "store write: limit (no space)"},
		"a broken disk":     {&os.PathError{Op: "read", Path: faulttest.Mark, Err: syscall.EIO}, "store write: broken (input/output)"},
		"another number":    {&os.PathError{Op: "open", Path: faulttest.Mark, Err: syscall.EACCES}, "store write: unavailable (permission denied)"},
		"one that says it":  {fmt.Errorf("commit: %w", classed{errors.New(faulttest.Mark)}), "store write: broken (code 267)"},
		"a context":         {context.Canceled, "store write: unavailable (canceled)"},
		"a deadline":        {context.DeadlineExceeded, "store write: unavailable (deadline)"},
		"whatever else":     {errors.New(faulttest.Mark), "store write: unavailable"},
		"a fault, in words": {fmt.Errorf("again: %w", &fault.Error{Room: "blob", Op: "get", Class: fault.Newer}), "again: blob get: newer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := fault.Wrap("store", "write", tt.err, known)
			if got.Error() != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if !errors.Is(got, tt.err) {
				t.Error("the cause is lost")
			}
		})
	}
	if err := fault.Wrap("store", "write", nil, known); err != nil {
		t.Errorf("nothing became %v", err)
	}
}

func TestWhatMayBeTold(t *testing.T) {
	f := fmt.Errorf("read %s: %w", faulttest.Mark, fault.Wrap("blob", "get", &os.PathError{Op: "open", Path: faulttest.Mark, Err: syscall.EACCES}))
	if got := fault.Text(f); got != "blob get: unavailable (permission denied)" {
		t.Errorf("text %q", got)
	}
	if got := fault.Text(nil); got != "" {
		t.Errorf("text %q of no error", got)
	}
	if got := fault.Text(errors.New(faulttest.Mark)); got != "a backend is unavailable" {
		t.Errorf("text of an error that is no fault: %q", got)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", fault.Attrs(f)...)
	if !strings.Contains(log.String(), `room=blob op=get class=unavailable code="permission denied"`) || strings.Contains(log.String(), faulttest.Mark) {
		t.Errorf("logged %s", log.String())
	}
	if got := fault.Attrs(errors.New("x")); len(got) > 0 {
		t.Errorf("attributes of an error that is no fault: %v", got)
	}
}
