package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

// A Lease is one process's way to share a data directory with others that have
// it for a while each: the embedded drivers belong to one process. Who has had it
// gives it back before it asks again, so that those that wait come to theirs. A
// platform that is running on the directory never gives it back.
type Lease struct {
	Dir     string
	Drivers platform.Drivers
	// Backends are the drivers that are not the directory's own.
	Backends platform.Backends
	// Needs is what Acquire opens.
	Needs capability.Set
	// Timeout is how long Acquire waits for the directory.
	Timeout time.Duration
	// AsItIs refuses a directory of a release before, which would be brought to this
	// layout else.
	AsItIs bool
	Env    platform.Env

	acquired bool
}

// poll is the mean time between two attempts at a directory that another has.
const poll = 25 * time.Millisecond

// Acquire waits until the directory is free and opens it; release gives it back.
// The error is ErrInUse where others had it as long as it could wait.
func (l *Lease) Acquire(ctx context.Context) (o platform.Opened, release func() error, err error) {
	if err := mustExist(l.Dir); err != nil {
		return o, nil, err
	}
	if l.acquired { // let those who wait have a look
		if err := sleep(ctx, 3*poll); err != nil {
			return o, nil, err
		}
	}
	unlock, err := l.wait(ctx)
	if err != nil {
		return o, nil, err
	}
	l.acquired = true
	closers := []func() error{unlock}
	release = func() error {
		var errs []error
		for _, c := range slices.Backward(closers) {
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	b := embedded.In(l.Dir, l.Backends)
	version, err := readVersion(l.Dir)
	if err == nil && l.AsItIs && version < layout {
		err = fmt.Errorf("the data directory %s is of a release before (version %d, this one is of %d), and is left as it is: look at it with that program, or start it with this one first", l.Dir, version, layout)
	}
	if err == nil && l.Needs.HasAny(capability.Keys|capability.Erasure) {
		err = embedded.CheckWhole(ctx, l.Dir, b)
	}
	if err == nil && l.Needs.HasAny(capability.Audit|capability.Store) {
		err = upgrade(ctx, l.Dir, b, l.Env)
	}
	if err != nil {
		return o, nil, errors.Join(err, release())
	}
	e := l.Env
	e.Closing = func(_ string, c io.Closer) { closers = append(closers, c.Close) }
	if o, err = l.Drivers.Open(ctx, b, l.Needs, e); err != nil {
		return o, nil, errors.Join(Sentence(l.Dir, err), release())
	}
	return o, release, nil
}

// wait takes the directory's lock, or says who has it.
func (l *Lease) wait(ctx context.Context) (unlock func() error, err error) {
	for began := time.Now(); ; {
		unlock, err := lock(l.Dir)
		if err == nil || !errors.Is(err, ErrInUse) || time.Since(began) >= l.Timeout {
			return unlock, err
		}
		if err := sleep(ctx, poll/2+rand.N(poll)); err != nil { //nolint:gosec // no secret
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
