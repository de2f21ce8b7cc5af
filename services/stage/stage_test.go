package stage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/stage"
)

var errGone, errPoison, errTaken, errLate = errors.New("gone"), errors.New("poison"), errors.New("taken"), errors.New("late")

type selfTold struct{}

func (selfTold) Error() string  { return faulttest.Mark }
func (selfTold) Reason() string { return "it says so itself" }

func TestVerdict(t *testing.T) {
	failures := stage.Failures{
		Stage: "bench", Retry: "failed, will retry", Dead: "is impossible",
		Settled: []error{errGone}, Hopeless: []error{errPoison}, Passing: []error{errTaken}, First: []error{errLate},
		Reasons: []stage.Reason{{Is: errPoison, Text: "it cannot be decoded"}, {Is: errTaken, Text: "it was replaced meanwhile"}},
	}
	about := func(err error) error { return fmt.Errorf("get %s: %w", faulttest.Mark, err) }
	of := func(c fault.Class) error { return about(&fault.Error{Room: "blob", Op: "get", Class: c}) }
	full := about(fault.Wrap("store", "write", syscall.ENOSPC))
	tests := map[string]struct {
		err    error
		want   string
		logged string
	}{
		"nothing":            {nil, "ack", ""},
		"what is settled":    {about(errGone), "ack", ""},
		"poison":             {about(errPoison), "dead: it cannot be decoded", `level=ERROR msg="is impossible" stage=bench attempt=3 reason="it cannot be decoded"`},
		"a known error":      {about(errTaken), "postpone: it was replaced meanwhile", `level=WARN msg="failed, will retry" stage=bench attempt=3 reason="it was replaced meanwhile"`},
		"its own reason":     {about(selfTold{}), "retry: it says so itself", ""},
		"the process's end":  {about(context.Canceled), "postpone: the process stops", ""},
		"a deadline":         {about(context.DeadlineExceeded), "retry: a backend did not answer in time", ""},
		"an unknown error":   {about(errors.New("x")), "retry: a backend is unavailable", ""},
		"a fault":            {about(fault.Wrap("blob", "get", about(errors.New("x")))), "retry: blob get: unavailable", `room=blob op=get class=unavailable code=""`},
		"a fault it knows":   {about(fault.Wrap("store", "write", errTaken)), "postpone: it was replaced meanwhile", `room=store op=write class=unavailable`},
		"a fault of a disk":  {about(fault.Wrap("store", "write", errTaken, fault.Known{Is: errTaken, Class: fault.Limit, Code: "no space"})), "postpone: it was replaced meanwhile", `class=limit code="no space"`},
		"a full disk":        {full, "retry: store write: limit (no space)", `class=limit code="no space"`},
		"what is damaged":    {of(fault.Broken), "postpone: blob get: broken", `class=broken`},
		"another was first":  {of(fault.Conflict), "postpone: blob get: conflict", `class=conflict`},
		"a later format":     {of(fault.Newer), "postpone: blob get: newer", `class=newer`},
		"later, not poison":  {errors.Join(errPoison, of(fault.Newer)), "postpone: it cannot be decoded", `class=newer`},
		"a fault and poison": {errors.Join(errPoison, fault.Wrap("blob", "get", errors.New("x"))), "dead: it cannot be decoded", `room=blob`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			var got string
			v := failures.Verdict(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), queue.Delivery{Attempt: 40, Failed: 2}, tt.err)
			again := func(how string) func(time.Duration, string) {
				return func(after time.Duration, why string) {
					got = how + ": " + why
					if after < patience.Backoff(1) {
						t.Errorf("it comes back after %v", after)
					}
				}
			}
			v.Match(queue.Cases{
				Ack: func() { got = "ack" }, Retry: again("retry"), Postpone: again("postpone"),
				Dead: func(why string) { got = "dead: " + why },
			})
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if !strings.Contains(log.String(), tt.logged) || (tt.want == "ack") != (log.Len() == 0) {
				t.Errorf("logged %q, want %q in it", log.String(), tt.logged)
			}
			if strings.Contains(log.String(), faulttest.Mark) {
				t.Errorf("the log names whom it is about: %s", log.String())
			}
		})
	}
}

// What was put off did not fail, however often it came: only what failed waits the
// longer, and counts as another failure.
func TestWhatIsPutOffDidNotFail(t *testing.T) {
	of := func(c fault.Class) error { return &fault.Error{Room: "blob", Op: "get", Class: c} }
	f := stage.Failures{Stage: "test", First: []error{errLate}, Passing: []error{errTaken}}
	for name, tt := range map[string]struct {
		err    error
		after  time.Duration
		failed bool
	}{
		"another was first":           {errLate, time.Second, false},
		"another was first of two":    {of(fault.Conflict), time.Second, false},
		"this process stops":          {context.Canceled, patience.Backoff(3), false},
		"a format of a later release": {of(fault.Newer), patience.MaxBackoff, false},
		"what is damaged":             {of(fault.Broken), patience.Backoff(3), true},
		"an error of its own":         {errTaken, patience.Backoff(3), true},
		"an outage":                   {of(fault.Unavailable), patience.Backoff(3), true},
	} {
		v := f.Verdict(t.Context(), slog.New(slog.DiscardHandler), queue.Delivery{Attempt: 40, Failed: 2}, tt.err)
		var after time.Duration
		waits := func(d time.Duration, _ string) { after = d }
		v.Match(queue.Cases{Ack: func() {}, Dead: func(string) {}, Retry: waits, Postpone: waits})
		if after != tt.after || v.Failed() != tt.failed {
			t.Errorf("%s: it comes back after %v, failed %v; want %v, %v", name, after, v.Failed(), tt.after, tt.failed)
		}
	}
}

// Who was first is done within a moment: a message that was put off often for other
// reasons waits no longer for that.
func TestAConflictIsTriedAgainSoon(t *testing.T) {
	of := &fault.Error{Room: "store", Op: "write", Class: fault.Conflict}
	f := stage.Failures{Stage: "test", Retry: "retry", Dead: "dead"}
	for attempt, want := range map[int]time.Duration{1: 200 * time.Millisecond, 10: time.Second, 100: time.Second} {
		got := f.Verdict(t.Context(), slog.New(slog.DiscardHandler), queue.Delivery{Attempt: attempt}, of)
		if got != queue.Postpone(want, "store write: conflict") {
			t.Errorf("attempt %d: %+v, want it in %s", attempt, got, want)
		}
	}
}
