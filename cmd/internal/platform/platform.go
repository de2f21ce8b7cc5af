// Package platform runs stages over drivers. It names neither: a binary gives it
// both as lists, and a Config says which of them this process is made of.
package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/signals"
	"github.com/clarity-loop/clarity/services/queue"
)

// A Stage is one of the things that a process can do.
type Stage struct {
	Name string
	// Needs is what Parts holds for Build: the rest of Opened, and the Listener
	// where it is not needed, are nil, whatever other stages are given. A stage
	// with the store needs the keys, too.
	Needs capability.Set
	// Spares is, of a stage that answers people, what there is something to serve
	// without.
	Spares capability.Set
	// Build makes what runs. It starts nothing.
	Build func(ctx context.Context, p Parts) ([]Runner, error)
}

// Parts are what a stage is built of.
type Parts struct {
	Opened
	Env
	Config   Config
	Listener net.Listener
	Registry *prometheus.Registry
	// Ready says why the process can do nothing useful now; nil always can.
	Ready func(context.Context) error
}

// A Runner runs until its context is done, which is no error. Where it fails it is run
// again after a while.
type Runner struct {
	Name string
	Run  func(context.Context) error
	// Once says that it is not: what it runs on is gone with it, a listener.
	Once bool
}

// A Platform is the stages of a Config, opened.
type Platform struct {
	opened    Opened
	readiness *readiness
	beside    []Runner // end with the runners
	stopping  stopping
	config    Config
	env       Env
	url       string
	adminURL  string
	runners   []Runner
	closers   []closer // in the order of opening
}

type closer struct {
	what string
	io.Closer
}

// Open validates the configuration, opens the drivers that its stages need and
// builds the stages. What it returns listens already and answers from Run on.
func Open(ctx context.Context, c Config, d Drivers, table []Stage, e Env) (p *Platform, err error) {
	if err := c.Validate(d, table); err != nil {
		return nil, err
	}
	p = &Platform{config: c, env: e}
	p.env.Closing = p.Closing
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.env.Traces, err = openTraces(ctx, c.Traces, d, p.env); err != nil { // the last that is closed
		return p, fmt.Errorf("open the traces: %w", err)
	}
	p.env.Calls = signals.NewCalls()
	on, err := p.listen(ctx, c.Needs(table))
	if err != nil {
		return p, err
	}
	opened, err := d.Open(ctx, c.Backends, c.Needs(table), p.env)
	if err != nil {
		return p, err
	}
	p.opened, p.readiness = opened, newReadiness(opened, c, table, e.Log)
	opened.Blobs, opened.Audit = p.env.Calls.Blobs(opened.Blobs), p.env.Calls.Audit(opened.Audit)
	registry, err := newRegistry(opened.Gauge, p.env.Calls)
	if err != nil {
		return p, err
	}
	if err := registry.Register(p.readiness); err != nil {
		return p, fmt.Errorf("register metrics: %w", err)
	}
	if opened.Queue != nil {
		messages := signals.NewMessages(opened.Queue, systemOf(c.Backends.Queue), p.env.Traces, p.env.Calls)
		aged := newAges(messages, e.Now)
		if err := errors.Join(registry.Register(messages), registry.Register(aged)); err != nil {
			return p, fmt.Errorf("register metrics: %w", err)
		}
		opened.Queue = aged
	}
	if opened.Gauge != nil {
		tellUnclaimed(ctx, opened.Gauge, e.Log)
	}
	for _, s := range table {
		if !slices.Contains(c.Stages, s.Name) {
			continue
		}
		runners, err := s.Build(ctx, Parts{Opened: opened.only(s.Needs), Env: p.env, Config: c,
			Listener: given(s.Needs.Has(capability.Listener), on.api), Registry: registry, Ready: p.ready})
		if err != nil {
			return p, fmt.Errorf("build the stage %s: %w", s.Name, err)
		}
		p.runners = append(p.runners, runners...)
	}
	if on.profile != nil {
		p.runners = append(p.runners, serveProfiles(on.profile))
	}
	if on.admin != nil {
		p.runners = append(p.runners, p.serveAdmin(on.admin, registry))
	}
	return p, nil
}

// Beside adds what runs beside the stages, made over the queue; nothing where no
// stage needs one.
func (p *Platform) Beside(build func(queue.Queue, queue.Gauge) (Runner, error)) error {
	if p.opened.Queue == nil {
		return nil
	}
	r, err := build(p.opened.Queue, p.opened.Gauge)
	if err == nil {
		p.beside = append(p.beside, r)
	}
	return err
}

// URL is where the platform answers; "" without the ingress.
func (p *Platform) URL() string { return p.url }

// AdminURL is where probes and metrics are alone; "" where the ingress answers them.
func (p *Platform) AdminURL() string { return p.adminURL }

// Run runs every stage until ctx is done, then closes the platform. A stage that fails is
// run again; what cannot heal ends all others, too, as if ctx were done. An ended ctx is a
// clean stop and no error, unless it takes longer than the configuration allows.
func (p *Platform) Run(ctx context.Context) error {
	told, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	running, release := p.stopping.linger(told, p.config.Stop)
	defer release()
	err := p.config.Stop.within(told, func() error { return p.run(running, fail) })
	if ctx.Err() == nil && errors.Is(err, ErrGrace) {
		err = errors.Join(context.Cause(told), err)
	}
	return err
}

func (p *Platform) run(ctx context.Context, fail context.CancelCauseFunc) error {
	group, running := errgroup.WithContext(ctx)
	watched, ended := context.WithCancel(running)
	var stages sync.WaitGroup
	failed := make(chan error, len(p.runners))
	for _, r := range p.runners {
		stages.Add(1)
		group.Go(func() error {
			defer stages.Done()
			if err := p.keep(running, r); err != nil {
				fail(err)
				failed <- err
			}
			return nil
		})
	}
	group.Go(func() error { return p.watchDrivers(watched) })
	group.Go(func() error { stages.Wait(); ended(); return nil })
	attrs := []any{"stages", p.config.Stages, "listen", p.url}
	if p.adminURL != "" {
		attrs = append(attrs, "admin", p.adminURL)
	}
	p.env.Log.Info("started", attrs...)
	stop := p.runBeside(running)
	errs := []error{group.Wait()}
	stop()
	p.env.Log.Info("stopped")
	close(failed)
	for err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, p.Close())...)
}

// watchInterval is how often drivers are asked whether they are broken.
const watchInterval = time.Second

// watchDrivers ends the platform once a driver cannot go on with what it has
// open: a process that is started anew finds out what the disk holds.
func (p *Platform) watchDrivers(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, c := range p.closers {
			driver, can := c.Closer.(interface{ Broken() error })
			if !can {
				continue
			}
			if err := driver.Broken(); err != nil {
				return fmt.Errorf("%s cannot go on, the process ends: %w", c.what, err)
			}
		}
	}
}

// runBeside runs what is beside the stages until the function returned is called,
// which waits for it. What fails there stops no stage.
func (p *Platform) runBeside(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, r := range p.beside {
		all.Go(func() {
			if err := r.Run(ctx); err != nil {
				p.env.Log.Warn("ended before the stages", "what", r.Name, "err", err)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// Close closes what Open opened, the last first. It is for platforms that were
// never Run; a second Close does nothing.
func (p *Platform) Close() error {
	var errs []error
	for _, c := range slices.Backward(p.closers) {
		if err := c.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.what, err))
		}
	}
	p.closers = nil
	return errors.Join(errs...)
}

// Closing has Close close c, before all that it was told of so far.
func (p *Platform) Closing(what string, c io.Closer) {
	p.closers = append(p.closers, closer{what, c})
}

// heard is what the platform listens on; nil where it does not.
type heard struct{ api, profile, admin net.Listener }

func (p *Platform) listen(ctx context.Context, needs capability.Set) (h heard, err error) {
	listen := p.config.Listen
	if needs.Has(capability.Listener) {
		if h.api, err = p.listenOn(ctx, "--listen", listen.API); err != nil {
			return h, err
		}
		p.url = "http://" + h.api.Addr().String()
	}
	if listen.Profile != "" {
		if h.profile, err = p.listenOn(ctx, "--pprof", listen.Profile); err != nil {
			return h, err
		}
	}
	if listen.Admin != "" {
		if h.admin, err = p.listenOn(ctx, "--admin-listen", listen.Admin); err != nil {
			return h, err
		}
		p.adminURL = "http://" + h.admin.Addr().String()
	}
	return h, nil
}

func (p *Platform) listenOn(ctx context.Context, flag, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenSentence(flag, address, err)
	}
	p.Closing("the listener on "+address, listening{l})
	return l, nil
}

// listening closes a listener that its server may have closed already.
type listening struct{ net.Listener }

func (l listening) Close() error {
	if err := l.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// listenSentence says why an address cannot be listened on.
func listenSentence(flag, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the address %s is taken by another process: choose another %s, or port 0 for a free one", address, flag)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user has no right to the address %s: choose a port from 1024 on", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %s: choose another %s", address, flag)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
