package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/analyse"
	"github.com/clarity-loop/clarity/services/worker/shard"
)

// ofShard is what a shard needs.
const ofShard = capability.Store | capability.Keys | capability.Blobs | capability.Queue | capability.Audit

// A lender gives what a shard needs for a while, until it is released.
type lender interface {
	Acquire(ctx context.Context) (platform.Opened, func() error, error)
}

// A dataLock lends a shard the data. It is shard.DataLock.
type dataLock struct {
	from lender
	env  platform.Env
	// model is asked every time; nil for none.
	model model.Model
}

// newDataLock lends the data directory, which the shard shares with others, or drivers
// that all have at once; done closes those.
func newDataLock(s *shardCall, m model.Model) (lock *dataLock, done func() error) {
	env := platform.Env{Now: time.Now, Log: s.log}
	if s.dir != "" {
		return &dataLock{model: m, env: env, from: &datadir.Lease{Dir: s.dir, Drivers: ofDirectory(), Timeout: s.wait, Needs: ofShard, Env: env}}, func() error { return nil }
	}
	all := &everybodys{drivers: drivers(s.getenv), backends: s.backends, env: env}
	return &dataLock{model: m, env: env, from: all}, all.Close
}

// Acquire is shard.DataLock's.
func (l *dataLock) Acquire(ctx context.Context) (shard.Data, func() error, error) {
	o, release, err := l.from.Acquire(ctx)
	if err != nil {
		return shard.Data{}, nil, err
	}
	windows := &due.Windows{Store: o.Store, Now: l.env.Now, Quiet: due.DefaultQuiet}
	needs := analyse.Needs{Store: o.Store, Windows: windows, Chunks: timeline.NewReader(vault.New(o.Blobs, o.Keys)), Queue: o.Queue, Audit: o.Audit, Now: l.env.Now, Log: l.env.Log}
	if l.model != nil {
		needs.Models = analyse.One(l.model)
	}
	return shard.Data{Stage: analyse.New(needs), Blobs: o.Blobs, People: o.Store, Keys: o.Keys}, release, nil
}

// everybodys are drivers that any number of processes have at once: they are opened
// with the first Acquire, and nobody waits for them.
type everybodys struct {
	drivers  platform.Drivers
	backends platform.Backends
	env      platform.Env

	opened  *platform.Opened
	closers []closer
}

type closer struct {
	what string
	io.Closer
}

// Acquire is lender's.
func (e *everybodys) Acquire(ctx context.Context) (platform.Opened, func() error, error) {
	kept := func() error { return nil }
	if e.opened != nil {
		return *e.opened, kept, nil
	}
	env := e.env
	env.Closing = func(what string, c io.Closer) { e.closers = append(e.closers, closer{what, c}) }
	opened, err := e.drivers.Open(ctx, e.backends, ofShard, env)
	if err != nil {
		return opened, nil, errors.Join(err, e.Close())
	}
	e.opened = &opened
	return opened, kept, nil
}

// Close closes what was opened, the last first.
func (e *everybodys) Close() error {
	var errs []error
	for _, c := range slices.Backward(e.closers) {
		if err := c.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.what, err))
		}
	}
	e.closers, e.opened = nil, nil
	return errors.Join(errs...)
}
