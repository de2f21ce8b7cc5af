package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// How long a clean stop may take.
const (
	drain    = 1500 * time.Millisecond // of handlers and requests that run
	sweeping = time.Hour               // between two sweeps of the retention
)

// The collector's bounds: a small platform stays small. The limit is soft; a
// large upload may pass it for a moment.
const (
	gcPercent   = 50
	memoryLimit = 48 << 20
)

// A Platform is every stage of a Config over one data directory.
type Platform struct {
	config   Config
	listener net.Listener // nil without the ingress
	profile  net.Listener // nil without Profile
	url      string
	stages   []stage
	closers  []closer // in the order of opening
}

// A stage runs until its context is done.
type stage struct {
	name string
	run  func(context.Context) error
}

type closer struct {
	what  string
	close func() error
}

// Open takes the data directory, opens the drivers and builds the stages. What
// it returns listens already and answers from Run on.
func Open(ctx context.Context, c Config) (p *Platform, err error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.SoftMemoryLimit {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(memoryLimit)
	}
	p = &Platform{config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := probe(c.Dir); err != nil {
		return p, err
	}
	release, err := lock(c.Dir)
	if err != nil {
		return p, sentence(c.Dir, err)
	}
	p.closing("the data directory", release)
	if err := p.listen(ctx); err != nil {
		return p, err
	}
	d, err := p.open(ctx)
	if err != nil {
		return p, sentence(c.Dir, err)
	}
	if err := p.build(ctx, d); err != nil {
		return p, fmt.Errorf("build the stages: %w", err)
	}
	if p.url != "" {
		if err := writeEndpoint(c.Dir, p.url); err != nil {
			return p, err
		}
		p.closing("the endpoint", func() error { return os.Remove(filepath.Join(c.Dir, endpointName)) })
	}
	return p, nil
}

// URL is where the platform answers; "" without the ingress.
func (p *Platform) URL() string { return p.url }

// Run runs every stage until ctx is done or one of them fails, then closes the
// platform. An ended ctx is a clean stop and no error.
func (p *Platform) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	for _, s := range p.stages {
		group.Go(func() error {
			err := s.run(running)
			if err != nil && running.Err() == nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			return nil
		})
	}
	p.config.Log.Info("platform runs", "stages", p.config.Stages, "listen", p.url)
	err := group.Wait()
	p.config.Log.Info("platform stops")
	return errors.Join(err, p.Close())
}

// Close closes what Open opened, the last first. It is for platforms that were
// never Run; a second Close does nothing.
func (p *Platform) Close() error {
	var errs []error
	for _, c := range slices.Backward(p.closers) {
		if err := c.close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.what, err))
		}
	}
	p.closers = nil
	return errors.Join(errs...)
}

func (p *Platform) closing(what string, close func() error) {
	p.closers = append(p.closers, closer{what, close})
}

func (p *Platform) listen(ctx context.Context) error {
	var config net.ListenConfig
	if slices.Contains(p.config.Stages, Ingress) {
		l, err := config.Listen(ctx, "tcp", p.config.Listen)
		if err != nil {
			return listenSentence(p.config.Listen, err)
		}
		p.listener, p.url = l, "http://"+l.Addr().String()
		p.closing("the listener", ignoreClosed(l))
	}
	if p.config.Profile != "" {
		l, err := config.Listen(ctx, "tcp", p.config.Profile)
		if err != nil {
			return listenSentence(p.config.Profile, err)
		}
		p.profile = l
		p.closing("the profile listener", ignoreClosed(l))
	}
	return nil
}

// ignoreClosed closes a listener that its server may have closed already.
func ignoreClosed(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}
