package platform_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

// stopped is what becomes of a platform with one stage, told to stop after a second:
// when its runner was told, and when the platform ended, behind that.
func stopped(t *testing.T, how platform.Stop, run func(ctx context.Context)) (told, ended time.Duration, ready []error, closed bool, err error) {
	t.Helper()
	began, end := time.Now(), &ending{}
	var mu sync.Mutex // of what the stage and the clock write down
	var stopping func(context.Context) error
	table := []platform.Stage{{Name: "s", Needs: capability.Audit, Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
		stopping = p.Ready
		p.Closing("what a stage has", end)
		return []platform.Runner{{Name: "s", Run: func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			told = time.Since(began) - time.Second
			mu.Unlock()
			run(ctx)
			return nil
		}}}, nil
	}}}
	c := config("s")
	c.Stop = how
	p, err := platform.Open(t.Context(), c, drivers(&diary{}, nil), table, env())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, stop)
	look := func() {
		mu.Lock()
		defer mu.Unlock()
		ready = append(ready, stopping(context.Background()))
	}
	time.AfterFunc(900*time.Millisecond, look)
	time.AfterFunc(1100*time.Millisecond, look)
	err = p.Run(ctx)
	ended = time.Since(began) - time.Second
	time.Sleep(time.Second) // what is said of readiness is said
	mu.Lock()
	defer mu.Unlock()
	return told, ended, ready, end.closed.Load(), err
}

// an ending says whether it was closed.
type ending struct{ closed atomic.Bool }

func (e *ending) Close() error { e.closed.Store(true); return nil }

func TestAStop(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		how         platform.Stop
		takes       time.Duration
		told, ended time.Duration
		left        bool
	}{
		"at once":                    {platform.Stop{}, 0, 0, 0, false},
		"what takes its time":        {platform.Stop{}, 30 * s, 0, 30 * s, false},
		"within the grace":           {platform.Stop{Grace: 20 * s}, 19 * s, 0, 19 * s, false},
		"others learn of it first":   {platform.Stop{Grace: 20 * s, Linger: 10 * s}, 3 * s, 10 * s, 13 * s, false},
		"what does not end is left":  {platform.Stop{Grace: 20 * s, Linger: 10 * s}, 60 * s, 10 * s, 20 * s, true},
		"and without anybody to ask": {platform.Stop{Grace: 10 * s}, 60 * s, 0, 10 * s, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told, ended, ready, closed, err := stopped(t, tt.how, func(context.Context) { time.Sleep(tt.takes) })
				if told != tt.told || ended != tt.ended || errors.Is(err, platform.ErrGrace) != tt.left || err != nil && !tt.left {
					t.Errorf("told after %v, ended after %v with %v; want %v and %v", told, ended, err, tt.told, tt.ended)
				}
				if len(ready) != 2 || ready[0] != nil || ready[1] == nil {
					t.Errorf("before and behind the signal it says %v of stopping", ready)
				}
				if closed == tt.left {
					t.Errorf("its drivers are closed: %v, and it is left behind: %v", closed, tt.left)
				}
				time.Sleep(time.Minute) // what was left behind ends
			})
		})
	}
}

// What cannot heal ends the platform as a signal does: requests go elsewhere first, and
// /readyz says so; without a linger it ends at once.
func TestAFailureLingersAsAStopDoes(t *testing.T) {
	for _, linger := range []time.Duration{0, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			gone := errors.New("gone")
			var ready func(context.Context) error
			c := config("s")
			c.Stop = platform.Stop{Grace: 20 * time.Second, Linger: linger}
			served := time.Duration(0)
			p, err := platform.Open(t.Context(), c, drivers(&diary{}, nil), []platform.Stage{{Name: "s", Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
				ready = p.Ready
				began := time.Now()
				return []platform.Runner{
					{Name: "s", Once: true, Run: func(context.Context) error { time.Sleep(time.Second); return gone }},
					{Name: "other", Run: func(ctx context.Context) error { <-ctx.Done(); served = time.Since(began); return nil }},
				}, nil
			}}}, env())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			time.AfterFunc(time.Second+linger/2, func() {
				if linger > 0 && ready(context.Background()) == nil {
					t.Error("it is ready, and about to end")
				}
			})
			if err := p.Run(t.Context()); !errors.Is(err, gone) || time.Since(began) != time.Second+linger || served != time.Second+linger {
				t.Errorf("%v after %v, and the other served for %v", err, time.Since(began), served)
			}
		})
	}
}

// What cannot heal, and what does not end behind it, are both told.
func TestAFailureThatIsLeftBehindIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		c := config("s")
		c.Stop = platform.Stop{Grace: 10 * time.Second}
		p, err := platform.Open(t.Context(), c, drivers(&diary{}, nil), []platform.Stage{{Name: "s", Build: func(context.Context, platform.Parts) ([]platform.Runner, error) {
			return []platform.Runner{
				{Name: "s", Once: true, Run: func(context.Context) error { return gone }},
				{Name: "slow", Run: func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Minute); return nil }},
			}, nil
		}}}, env())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(t.Context()); !errors.Is(err, gone) || !errors.Is(err, platform.ErrGrace) {
			t.Errorf("%v", err)
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestHowLongAStopMayTake(t *testing.T) {
	const s = time.Second
	for how, want := range map[platform.Stop]string{
		{}:                                "",
		{Grace: 6 * s}:                    "",
		{Grace: 50 * s, Linger: 10 * s}:   "",
		{Linger: s}:                       "",
		{Grace: -s}:                       "cannot be negative",
		{Linger: -s}:                      "cannot be negative",
		{Grace: 5 * s}:                    "a grace of 5s has to be 6s longer than the linger of 0s",
		{Grace: 15 * s, Linger: 10 * s}:   "has to be 6s longer",
		{Grace: 16*s - 1, Linger: 10 * s}: "has to be 6s longer",
	} {
		c := config("s")
		c.Stop = how
		err := c.Validate(drivers(&diary{}, nil), []platform.Stage{stage(&diary{}, "s", 0, nil)})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", how, err, want)
		}
	}
	if got := (platform.Stop{Grace: 50 * s, Linger: 10 * s}).Drain(); got != 35*s {
		t.Errorf("handlers have %v", got)
	}
}
