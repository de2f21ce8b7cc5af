package emulated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// How long a process that ended waits until it is started again: as long as it ran for
// less than short, twice as long as the time before.
const (
	firstAgain = 100 * time.Millisecond
	lastAgain  = 5 * time.Second
	short      = 10 * time.Second
)

// A Replica is a process of the platform. Like one in a pod it is started again whenever it ends.
type Replica struct {
	Name   string
	url    string // of the API, where it is an ingress
	launch func() (*peer, error)
	over   chan struct{} // closed once nobody starts it any more

	mu       sync.Mutex
	now      *peer
	expected bool // that it ends
	stopping bool
	falls    int // ends that nobody asked for
}

func (r *Replica) begin() (err error) {
	if r.now, err = r.launch(); err != nil {
		return err
	}
	r.over = make(chan struct{})
	go r.keep()
	return nil
}

// keep starts the process again until it is to stop.
func (r *Replica) keep() {
	defer close(r.over)
	wait := firstAgain
	for began := time.Now(); ; began = time.Now() {
		<-r.process().ended
		r.mu.Lock()
		stopping := r.stopping
		if !r.expected && !stopping {
			r.falls++
		}
		r.expected = false
		r.mu.Unlock()
		if stopping {
			return
		}
		if time.Since(began) > short {
			wait = firstAgain
		}
		time.Sleep(wait)
		wait = min(2*wait, lastAgain)
		next, err := r.launch()
		if err != nil {
			return // stop says so
		}
		r.mu.Lock()
		r.now = next
		again := r.stopping
		r.mu.Unlock()
		if again {
			_ = next.cmd.Process.Kill()
		}
	}
}

func (r *Replica) process() *peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Process is the one that runs now, to be stopped and continued.
func (r *Replica) Process() *os.Process { return r.process().cmd.Process }

// Log is where it writes.
func (r *Replica) Log() string { return r.process().log }

// Kill is SIGKILL: the process has no say in it. It is started again by itself.
func (r *Replica) Kill() error {
	r.mu.Lock()
	r.expected = true
	p := r.now
	r.mu.Unlock()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", r.Name, err)
	}
	<-p.ended
	return nil
}

// Ready is nil once the process says that it is, in time, and none has ended by itself meanwhile.
func (r *Replica) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	before := r.fallen()
	for {
		err := r.ready(ctx)
		switch {
		case err == nil:
			return nil
		case r.fallen() > before:
			said, _ := os.ReadFile(r.Log())
			return fmt.Errorf("%s has ended: %s", r.Name, bytes.TrimSpace(said))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", r.Name, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *Replica) fallen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.falls
}

// ready asks once.
func (r *Replica) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.process().address+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("readyz: %s", res.Status)
	}
	return errors.Join(err, res.Body.Close())
}

// stop ends it for good.
func (r *Replica) stop() error {
	r.mu.Lock()
	r.stopping = true
	p, falls := r.now, r.falls
	r.mu.Unlock()
	var err error
	select {
	case <-r.over:
		err = fmt.Errorf("%s could not be started again", r.Name)
	default:
		err = p.stop()
	}
	<-r.over
	if falls > 0 {
		err = errors.Join(err, fmt.Errorf("%s ended %d times by itself: see %s", r.Name, falls, p.log))
	}
	return err
}
