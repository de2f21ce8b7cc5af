package peer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/services/internal/peer"
)

var errAway = errors.New("away")

// asked counts who is asked, and answers.
type asked struct {
	mu    sync.Mutex
	n     int
	err   error
	takes time.Duration
}

func (a *asked) ask(ctx context.Context) error {
	a.mu.Lock()
	a.n++
	err, takes := a.err, a.takes
	a.mu.Unlock()
	select {
	case <-time.After(takes):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestWhoHasHeardDoesNotAsk(t *testing.T) {
	const s = time.Second
	type step struct {
		what   string
		passes time.Duration
		saw    []error
		away   bool // the service
		want   bool // that it is ready
		asked  int  // in all
	}
	tests := map[string][]step{
		"nothing is used": {{"it is asked at first", 0, nil, false, true, 1}, {"and believed", 9 * s, nil, true, true, 1},
			{"for its time", s, nil, true, false, 2}, {"and who is away is not asked at once", s / 2, nil, false, false, 2}, {"but soon", s / 2, nil, false, true, 3}},
		"what is used is not asked": {{"a call", 0, []error{nil}, true, true, 0}, {"another", 9 * s, []error{nil}, true, true, 0}, {"in time", 9 * s, nil, true, true, 0}},
		"a call that fails":         {{"has it asked", 0, []error{nil, errAway}, true, false, 1}, {"which one behind it makes needless", 0, []error{errAway, nil}, true, true, 1}},
		"one of many that fail":     {{"is no outage", 0, []error{nil, errAway}, false, true, 1}},
		"one that fails while it is away": {{"it is", 0, nil, true, false, 1}, {"and is not asked the more", 0, []error{errAway, errAway}, true, false, 1},
			{"until one goes through", 0, []error{nil}, true, true, 1}},
		"a clock that is set back": {{"a call", 0, []error{nil}, false, true, 0}, {"an hour before", -3600 * s, nil, true, false, 1}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			a := &asked{}
			p := peer.New(func() time.Time { return now }, 10*s)
			for _, step := range steps {
				now = now.Add(step.passes)
				for _, err := range step.saw {
					p.Saw(err)
				}
				a.err = nil
				if step.away {
					a.err = errAway
				}
				if err := p.Ready(t.Context(), a.ask); (err == nil) != step.want || a.n != step.asked {
					t.Errorf("%s: %v after %d questions, want ready %v after %d", step.what, err, a.n, step.want, step.asked)
				}
			}
		})
	}
}

// However many want to know, one asks; who goes meanwhile takes nobody's answer away.
func TestOneAsksForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{takes: time.Second}
		p := peer.New(time.Now, 10*time.Second)
		goes, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := p.Ready(goes, a.ask); !errors.Is(err, context.Canceled) {
				t.Errorf("who goes: %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			all.Go(func() {
				if err := p.Ready(t.Context(), a.ask); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if a.n != 1 || p.Good().IsZero() {
			t.Errorf("%d questions; good at %v", a.n, p.Good())
		}
	})
}

// Who never answers is away in the time of a probe.
func TestNoAnswerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, a := time.Now(), &asked{takes: time.Hour}
		p := peer.New(time.Now, 10*time.Second)
		if err := p.Ready(t.Context(), a.ask); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 4*time.Second || !p.Good().IsZero() {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
