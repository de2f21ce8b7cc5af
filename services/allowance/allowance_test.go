package allowance_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/allowance"
	"github.com/clarity-loop/clarity/services/record/spent"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
)

// What a day allows is one, however many processes are asked and whenever they were
// started, at once too; another person's is theirs, and the next day's is new.
func TestAnAllowanceIsOfAllProcesses(t *testing.T) {
	s := stagetest.Open(t, stagetest.Options{}).Store
	late := time.Date(2026, 11, 20, 23, 59, 58, 0, time.UTC)
	now := late
	var processes [3]*allowance.Allowance
	for i := range processes {
		processes[i] = allowance.New(s.Spent, allowance.OnDemand, 5, func() time.Time { return now })
	}
	var taken, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			wait, err := processes[i%len(processes)].Take(t.Context(), "anna")
			switch {
			case errors.Is(err, store.ErrConflict): // tried in vain, and nothing is taken
			case err != nil:
				t.Error(err)
			case wait == 0:
				taken.Add(1)
			case wait == 2*time.Second:
				refused.Add(1)
			default:
				t.Errorf("to wait are %v", wait)
			}
		})
	}
	all.Wait()
	if taken.Load() != 5 || refused.Load() == 0 {
		t.Errorf("%d are taken, %d refused", taken.Load(), refused.Load())
	}
	for name, tt := range map[string]struct {
		who  string
		at   time.Time
		wait time.Duration
	}{
		"another person":           {"ben", late, 0},
		"a moment before midnight": {"anna", late.Add(1999 * time.Millisecond), time.Millisecond},
	} {
		now = tt.at
		if wait, err := processes[0].Take(t.Context(), tt.who); err != nil || wait != tt.wait {
			t.Errorf("%s: %v %v, want %v", name, wait, err, tt.wait)
		}
	}
	now = late.Add(2 * time.Second)
	if wait, err := processes[1].Take(t.Context(), "anna"); err != nil || wait != 0 {
		t.Errorf("the next day: %v %v", wait, err)
	}
}

// What is taken of the one kind is not missing of the other, though both are in one record.
func TestKindsAreApart(t *testing.T) {
	s := stagetest.Open(t, stagetest.Options{}).Store
	now := func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }
	kinds := map[string]*allowance.Allowance{
		"on demand": allowance.New(s.Spent, allowance.OnDemand, 2, now), "texts": allowance.New(s.Spent, allowance.Texts, 1, now),
	}
	for _, step := range []struct {
		kind string
		wait time.Duration
	}{{"texts", 0}, {"on demand", 0}, {"texts", 12 * time.Hour}, {"on demand", 0}, {"on demand", 12 * time.Hour}} {
		if wait, err := kinds[step.kind].Take(t.Context(), "anna"); err != nil || wait != step.wait {
			t.Errorf("%s: %v %v, want %v", step.kind, wait, err, step.wait)
		}
	}
	found, err := s.Spent.Get(t.Context(), "anna", spent.Key)
	if diff := cmp.Diff(spent.Day{Day: now().Unix() / 86400, Insights: 2, Texts: 1}, found.Value); diff != "" || err != nil {
		t.Errorf("kept, %v (-want +got):\n%s", err, diff)
	}
}

// A store that cannot be read allows nothing.
func TestNobodyKnowsWhatIsTaken(t *testing.T) {
	away := errors.New("away")
	s := stagetest.Open(t, stagetest.Options{Over: func(d store.Driver) store.Driver { return deaf{d, away} }}).Store
	if _, err := allowance.New(s.Spent, allowance.Texts, 1, time.Now).Take(t.Context(), "anna"); !errors.Is(err, away) {
		t.Errorf("taken: %v", err)
	}
}

// deaf is a driver that cannot be read.
type deaf struct {
	store.Driver
	err error
}

func (d deaf) Get(context.Context, store.Key) (store.Document, error) { return store.Document{}, d.err }
