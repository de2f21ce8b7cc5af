package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// written is what is written of everybody's account; it counts how often it is read.
type written struct {
	account record.Account
	version int64
	err     error
	reads   atomic.Int64
}

func (w *written) Standing(context.Context, string) (store.Record[record.Account], error) {
	w.reads.Add(1)
	return store.Record[record.Account]{Version: w.version, Value: w.account}, w.err
}

func (w *written) Under(store.Record[record.Account]) store.Change { return store.Change{} }

func agreed(purposes ...string) record.Account { return record.Account{Purposes: purposes} }

func TestWhoMayStore(t *testing.T) {
	down := errors.New("down")
	gone := record.Account{ErasedAt: time.Unix(1, 0), Purposes: []string{record.PurposeProcessing}}
	tests := map[string]struct {
		written *written
		get     error // what Get returns
		store   error // what storing returns
		consent error // what storing with consent returns
	}{
		"agreed to all":           {&written{account: agreed(record.PurposeProcessing, record.PurposeNarrative)}, nil, nil, nil},
		"agreed to analysis":      {&written{account: agreed(record.PurposeProcessing)}, nil, nil, nil},
		"agreed to words":         {&written{account: agreed(record.PurposeNarrative)}, nil, nil, analysis.ErrNoConsent},
		"agreed to nothing":       {&written{}, nil, nil, analysis.ErrNoConsent},
		"erased":                  {&written{account: gone}, nil, analysis.ErrErased, analysis.ErrErased},
		"a store that is down":    {&written{err: down}, down, down, down},
		"a key that is destroyed": {&written{err: fmt.Errorf("open: %w", keyring.ErrDestroyed)}, analysis.ErrErased, analysis.ErrErased, analysis.ErrErased},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewAccountCache(tt.written, time.Now, time.Minute)
			got, err := c.Get(t.Context(), "anna")
			if !errors.Is(err, tt.get) || (err == nil) != (tt.get == nil) {
				t.Errorf("get: %v, want %v", err, tt.get)
			}
			if diff := cmp.Diff(tt.written.account, got); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
			if err := c.MayStore(t.Context(), "anna"); !errors.Is(err, tt.consent) || (err == nil) != (tt.consent == nil) {
				t.Errorf("may store: %v, want %v", err, tt.consent)
			}
			for what, call := range map[string]struct {
				do   func(context.Context, string, func(store.Change) error) error
				want error
			}{"storing": {c.Storing, tt.store}, "storing with consent": {c.StoringConsented, tt.consent}} {
				ran := 0
				err := call.do(t.Context(), "anna", func(store.Change) error { ran++; return nil })
				if !errors.Is(err, call.want) || (err == nil) != (call.want == nil) {
					t.Errorf("%s: %v, want %v", what, err, call.want)
				}
				if want := map[bool]int{true: 1, false: 0}[call.want == nil]; ran != want {
					t.Errorf("%s: the write ran %d times, want %d", what, ran, want)
				}
			}
		})
	}
	failed := errors.New("disk full")
	c := NewAccountCache(&written{account: agreed(record.PurposeProcessing)}, time.Now, time.Minute)
	for what, do := range map[string]func(context.Context, string, func(store.Change) error) error{"storing": c.Storing, "storing with consent": c.StoringConsented} {
		if err := do(t.Context(), "anna", func(store.Change) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("%s: %v, want the write's error", what, err)
		}
	}
}

// A write that is refused is run again only where the person stands otherwise, and may still.
func TestAStandingThatIsRememberedAndOld(t *testing.T) {
	tests := map[string]struct {
		change  func(w *written) // before the write is refused the first time
		refused int              // how often
		runs    int
		want    error
	}{
		"nothing changed":       {func(*written) {}, 1, 1, store.ErrConflict},
		"agreed to more":        {func(w *written) { w.version++ }, 1, 2, nil},
		"withdrawn":             {func(w *written) { w.version++; w.account = agreed() }, 1, 1, analysis.ErrNoConsent},
		"erased":                {func(w *written) { w.version++; w.account = agreed().Erased(time.Unix(1, 0), "receipt") }, 1, 1, analysis.ErrErased},
		"cannot be read again":  {func(w *written) { w.err = io.ErrUnexpectedEOF }, 1, 1, io.ErrUnexpectedEOF},
		"changing all the time": {func(w *written) { w.version++ }, 1000, standingTries, store.ErrConflict},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := &written{account: agreed(record.PurposeProcessing), version: 1}
			c := NewAccountCache(w, time.Now, time.Hour)
			runs := 0
			err := c.StoringConsented(t.Context(), "anna", func(store.Change) error {
				if runs++; runs > tt.refused {
					return nil
				}
				tt.change(w)
				return fmt.Errorf("write: %w", store.ErrConflict)
			})
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || runs != tt.runs {
				t.Errorf("%v after %d runs, want %v after %d", err, runs, tt.want, tt.runs)
			}
		})
	}
}

func TestTheCacheForgets(t *testing.T) {
	now := time.Unix(1000, 0)
	w := &written{account: agreed(record.PurposeProcessing)}
	c := NewAccountCache(w, func() time.Time { return now }, 3*time.Second)
	reads := func(want int64) {
		t.Helper()
		if got := w.reads.Load(); got != want {
			t.Errorf("read %d times, want %d", got, want)
		}
	}
	get := func() { t.Helper(); _, _ = c.Get(t.Context(), "anna") }
	get()
	get()
	reads(1)
	now = now.Add(3*time.Second - 1)
	get()
	reads(1)
	now = now.Add(1) // a time to live old
	get()
	reads(2)
	_ = c.Storing(t.Context(), "anna", func(store.Change) error { return nil })
	_ = c.StoringConsented(t.Context(), "anna", func(store.Change) error { return nil })
	reads(2)
	c.Forget("anna")
	get()
	reads(3)
	w.err = errors.New("down")
	now = now.Add(time.Hour)
	get()
	get()
	reads(5) // what could not be read is not remembered
}

// Who agrees, or comes back, by way of another process is not refused here for
// what was so before.
func TestARefusalIsNeverRemembered(t *testing.T) {
	for name, before := range map[string]record.Account{
		"was never asked": {}, "had withdrawn": agreed(record.PurposeNarrative), "was erased": agreed().Erased(time.Unix(1, 0), "receipt"),
	} {
		t.Run(name, func(t *testing.T) {
			w := &written{account: before, version: 1}
			c := NewAccountCache(w, time.Now, time.Hour)
			if err := c.MayStore(t.Context(), "anna"); err == nil {
				t.Fatal("let in")
			}
			w.account, w.version = agreed(record.PurposeProcessing), 2 // at another process
			if err := c.MayStore(t.Context(), "anna"); err != nil {
				t.Errorf("refused for what was before: %v", err)
			}
			if err := c.StoringConsented(t.Context(), "anna", func(store.Change) error { return nil }); err != nil {
				t.Errorf("not stored for what was before: %v", err)
			}
		})
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	c := NewAccountCache(&written{account: agreed(record.PurposeProcessing)}, time.Now, time.Hour)
	for i := range rememberedAccounts + 10 {
		if _, err := c.Get(t.Context(), fmt.Sprint("person-", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.known) != rememberedAccounts {
		t.Errorf("%d accounts are remembered, want %d", len(c.known), rememberedAccounts)
	}
}
