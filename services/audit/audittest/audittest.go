// Package audittest is the suite every audit.Log passes. How a driver's stored
// form can be tampered with is the driver's own to test.
package audittest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
)

// A Log that the suite can close and open again.
type Log interface {
	audit.Log
	Close() error
}

// Run holds a driver against the contract. fresh returns a way to open one and
// the same, at first empty, log.
func Run(t *testing.T, fresh func(t *testing.T) (open func() Log)) {
	ctx := context.Background()
	event := audit.Event{Action: audit.DataRead, UID: "anna", ActorUID: "anna", Object: "2026-11-20", Outcome: "ok"}

	t.Run("an empty log verifies", func(t *testing.T) {
		l := fresh(t)()
		defer closeLog(t, l)
		wantEntries(t, l, 0)
	})
	t.Run("errors are faults of the room and name no person", func(t *testing.T) {
		l := fresh(t)()
		defer closeLog(t, l)
		over, cancel := context.WithCancel(ctx)
		cancel()
		err := l.Append(over, audit.Event{Action: audit.DataRead, UID: faulttest.Mark, ActorUID: faulttest.Mark, Object: faulttest.Mark, Outcome: "ok"})
		faulttest.Of(t, err, "audit", "append")
	})
	t.Run("every entry counts, on through a reopening", func(t *testing.T) {
		open := fresh(t)
		for round := range int64(3) {
			l := open()
			for range 5 {
				if err := l.Append(ctx, event); err != nil {
					t.Fatal(err)
				}
			}
			wantEntries(t, l, (round+1)*5)
			closeLog(t, l)
		}
	})
	t.Run("entries appended at once are all there", func(t *testing.T) {
		l := fresh(t)()
		defer closeLog(t, l)
		const n = 200
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				e := event
				e.Object = fmt.Sprint(i)
				if err := l.Append(ctx, e); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantEntries(t, l, n)
	})
	t.Run("a cancelled caller appends nothing", func(t *testing.T) {
		l := fresh(t)()
		defer closeLog(t, l)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := l.Append(gone, event); err == nil {
			t.Error("Append with a cancelled context succeeds")
		}
		wantEntries(t, l, 0)
	})
	t.Run("a closed log refuses", func(t *testing.T) {
		l := fresh(t)()
		closeLog(t, l)
		if err := l.Append(ctx, event); err == nil {
			t.Error("Append to a closed log succeeds")
		}
	})
}

func wantEntries(t *testing.T, l Log, want int64) {
	t.Helper()
	got, err := l.Verify(context.Background())
	if err != nil || got != want {
		t.Fatalf("Verify = %d, %v; want %d entries", got, err, want)
	}
}

func closeLog(t *testing.T, l Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
