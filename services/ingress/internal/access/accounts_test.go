package access

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
)

// written is what is written of everybody's account; it counts how often it is read.
type written struct {
	active, consent       error
	processing, narrative bool
	reads                 atomic.Int64
}

func (w *written) CheckActive(context.Context, string) error {
	w.reads.Add(1)
	return w.active
}

func (w *written) Consented(_ context.Context, _, purpose string) (bool, error) {
	if purpose == record.PurposeProcessing {
		return w.processing, w.consent
	}
	return w.narrative, w.consent
}

func TestWhoMayStore(t *testing.T) {
	down := errors.New("down")
	tests := map[string]struct {
		written *written
		account Account
		get     error // what Get returns
		store   error // what storing returns
		consent error // what storing with consent returns
	}{
		"agreed to all":               {&written{processing: true, narrative: true}, Account{Processing: true, Narrative: true}, nil, nil, nil},
		"agreed to analysis":          {&written{processing: true}, Account{Processing: true}, nil, nil, nil},
		"agreed to words":             {&written{narrative: true}, Account{Narrative: true}, nil, nil, analysis.ErrNoConsent},
		"agreed to nothing":           {&written{}, Account{}, nil, nil, analysis.ErrNoConsent},
		"erased":                      {&written{active: fmt.Errorf("x: %w", analysis.ErrErased), processing: true}, Account{Erased: true}, nil, analysis.ErrErased, analysis.ErrErased},
		"a store that is down":        {&written{active: down}, Account{}, down, down, down},
		"consents that are down":      {&written{consent: down}, Account{}, down, down, down},
		"a key that is destroyed":     {&written{consent: fmt.Errorf("open: %w", keyring.ErrDestroyed)}, Account{}, analysis.ErrErased, analysis.ErrErased, analysis.ErrErased},
		"an account that is shredded": {&written{active: keyring.ErrDestroyed}, Account{}, analysis.ErrErased, analysis.ErrErased, analysis.ErrErased},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewAccountCache(tt.written, time.Now, time.Minute)
			got, err := c.Get(t.Context(), "anna")
			if !errors.Is(err, tt.get) {
				t.Errorf("get: %v, want %v", err, tt.get)
			}
			if diff := cmp.Diff(tt.account, got); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
			if err := c.MayStore(t.Context(), "anna"); !errors.Is(err, tt.consent) || (err == nil) != (tt.consent == nil) {
				t.Errorf("may store: %v, want %v", err, tt.consent)
			}
			for what, call := range map[string]struct {
				do   func(context.Context, string, func() error) error
				want error
			}{"storing": {c.Storing, tt.store}, "storing with consent": {c.StoringConsented, tt.consent}, "changing": {c.Changing, tt.store}} {
				ran := 0
				err := call.do(t.Context(), "anna", func() error { ran++; return nil })
				if !errors.Is(err, call.want) || (err == nil) != (call.want == nil) {
					t.Errorf("%s: %v, want %v", what, err, call.want)
				}
				if want := map[bool]int{true: 1, false: 0}[call.want == nil]; ran != want {
					t.Errorf("%s: the write ran %d times, want %d", what, ran, want)
				}
			}
			broken := errors.New("disk full")
			if err := c.Erasing("anna", func() error { return broken }); !errors.Is(err, broken) {
				t.Errorf("erasing: %v", err)
			}
		})
	}
	failed := errors.New("disk full")
	c := NewAccountCache(&written{processing: true}, time.Now, time.Minute)
	for what, do := range map[string]func(context.Context, string, func() error) error{"storing": c.Storing, "storing with consent": c.StoringConsented, "changing": c.Changing} {
		if err := do(t.Context(), "anna", func() error { return failed }); !errors.Is(err, failed) {
			t.Errorf("%s: %v, want the write's error", what, err)
		}
	}
}

func TestTheCacheForgets(t *testing.T) {
	now := time.Unix(1000, 0)
	w := &written{processing: true}
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
	_ = c.Storing(t.Context(), "anna", func() error { return nil })
	_ = c.StoringConsented(t.Context(), "anna", func() error { return nil })
	reads(2)
	_ = c.Changing(t.Context(), "anna", func() error { return nil })
	reads(2)
	get()
	reads(3)
	_ = c.Erasing("anna", func() error { return nil })
	get()
	reads(4)
	w.active = errors.New("down")
	now = now.Add(time.Hour)
	get()
	get()
	reads(6) // what could not be read is not remembered
}

func TestTheCacheIsBounded(t *testing.T) {
	c := NewAccountCache(&written{}, time.Now, time.Hour)
	for i := range rememberedAccounts + 10 {
		if _, err := c.Get(t.Context(), fmt.Sprint("person-", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.known) != rememberedAccounts {
		t.Errorf("%d accounts are remembered, want %d", len(c.known), rememberedAccounts)
	}
	used := map[any]bool{}
	for i := range 10_000 {
		used[c.lock(fmt.Sprint("person-", i))] = true
	}
	if len(used) < len(c.locks)/2 {
		t.Errorf("10,000 people share %d locks of %d", len(used), len(c.locks))
	}
}

// While somebody stores for a person, nobody changes; and the other way round.
func TestStoringAndChangingExcludeEachOther(t *testing.T) {
	c := NewAccountCache(&written{processing: true}, time.Now, time.Minute)
	other := "ben" // whom another of the locks is for: two people may share one
	for c.lock(other) == c.lock("anna") {
		other += "n"
	}
	inside, changed := make(chan struct{}), make(chan error, 1)
	var stored atomic.Bool
	err := c.StoringConsented(t.Context(), "anna", func() error {
		go func() {
			close(inside)
			changed <- c.Changing(t.Context(), "anna", func() error {
				if !stored.Load() {
					return errors.New("changed while something was being stored")
				}
				return nil
			})
		}()
		<-inside
		if err := c.Storing(t.Context(), other, func() error { return nil }); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
		stored.Store(true)
		return nil
	})
	if err := errors.Join(err, <-changed); err != nil {
		t.Error(err)
	}
	for range 3 { // every lock was given back
		if err := errors.Join(c.Changing(t.Context(), "anna", func() error { return nil }), c.Storing(t.Context(), "anna", func() error { return nil }),
			c.StoringConsented(t.Context(), "anna", func() error { return nil }), c.Erasing("anna", func() error { return nil })); err != nil {
			t.Error(err)
		}
	}
}
