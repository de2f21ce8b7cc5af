package platform

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Stop is how a process ends that is told to.
type Stop struct {
	// Grace is how long it may take: what has not ended by then is left behind, and
	// done again elsewhere. 0 waits for what closes.
	Grace time.Duration `yaml:"grace"`
	// Linger is how long of that it goes on as before, but for saying that it is not
	// ready: so long others may still send it requests.
	Linger time.Duration `yaml:"linger"`
}

// closingTime is what of the grace is left to the drivers, to send what waits and
// hang up.
const closingTime = 5 * time.Second

// Drain is how long handlers and requests that run have; 0 where the grace has no end.
func (s Stop) Drain() time.Duration {
	if s.Grace == 0 {
		return 0
	}
	return s.Grace - s.Linger - closingTime
}

func (s Stop) check() error {
	switch {
	case s.Grace < 0 || s.Linger < 0:
		return configErrorf("stop: grace and linger cannot be negative, as %v and %v are", s.Grace, s.Linger)
	case s.Grace > 0 && s.Drain() < time.Second:
		return configErrorf("stop: a grace of %v has to be %v longer than the linger of %v", s.Grace, closingTime+time.Second, s.Linger)
	}
	return nil
}

// ErrGrace says that what ran did not end in time.
var ErrGrace = errors.New("it had not ended when its grace was over: what it had in hand is done again")

// A stopping says whether a process was told to stop.
type stopping struct{ told atomic.Bool }

// errStopping is why a process that stops is not ready.
var errStopping = errors.New("the process is stopping")

func (s *stopping) err() error {
	if s.told.Load() {
		return errStopping
	}
	return nil
}

// linger is a context that ends when ctx has, and the linger has passed; release ends
// it at once.
func (s *stopping) linger(ctx context.Context, how Stop) (running context.Context, release func()) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-ctx.Done():
		case <-running.Done():
			return
		}
		s.told.Store(true)
		rest := time.NewTimer(how.Linger)
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-running.Done():
		}
		cancel()
	})
	return running, func() { cancel(); waiting.Wait() }
}

// within is what wait returns, or ErrGrace where that takes longer than the grace
// from the end of ctx on; what waits is left behind then.
func (s Stop) within(ctx context.Context, wait func() error) error {
	if s.Grace == 0 {
		return wait()
	}
	ended := make(chan error, 1)
	go func() { ended <- wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	over := time.NewTimer(s.Grace)
	defer over.Stop()
	select {
	case err := <-ended:
		return err
	case <-over.C:
		return ErrGrace
	}
}
