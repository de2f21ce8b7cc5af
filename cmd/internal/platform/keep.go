package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
)

// How a stage that fails is begun again: a moment later, then ever more rarely, until it
// has run for as long as a failure takes to show.
const (
	firstPause = 200 * time.Millisecond
	longPause  = 30 * time.Second
	steady     = 10 * time.Second
)

// keep runs a stage, again where it fails, until ctx ends. What it returns cannot heal in
// this process.
func (p *Platform) keep(ctx context.Context, r Runner) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		began := time.Now()
		runs := time.AfterFunc(steady, func() { p.readiness.rose(r.Name) })
		err := r.Run(ctx)
		runs.Stop()
		if err == nil || ctx.Err() != nil {
			return nil //nolint:nilerr // what it says of being told to stop is no failure
		}
		if r.Once || !heals(err) {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		if time.Since(began) >= steady {
			pause = firstPause
		}
		p.readiness.fell(r.Name, err)
		p.env.Log.Error("a stage has failed and is begun again", append([]any{"stage", r.Name, "after", pause, "reason", fault.Text(err)}, fault.Attrs(err)...)...)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// heals says whether what failed may go well once it is begun again: not where a later
// release has written what it met, where what it runs on is closed, or where it asks for
// what nobody configured.
func heals(err error) bool {
	var f *fault.Error
	if errors.As(err, &f) && f.Class == fault.Newer {
		return false
	}
	for _, is := range []error{queue.ErrClosed, queue.ErrNoSubscription, net.ErrClosed} {
		if errors.Is(err, is) {
			return false
		}
	}
	return true
}
