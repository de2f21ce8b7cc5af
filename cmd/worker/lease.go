package main

import (
	"context"
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

// A dataLock lends a shard the data directory, which it shares with others. It
// is shard.DataLock.
type dataLock struct {
	lease datadir.Lease
	// model is asked every time; nil for none.
	model model.Model
}

func newDataLock(s *shardCall, m model.Model) *dataLock {
	return &dataLock{model: m, lease: datadir.Lease{
		Dir: s.dir, Drivers: drivers(), Timeout: s.wait,
		Needs: capability.Store | capability.Keys | capability.Blobs | capability.Queue | capability.Audit,
		Env:   platform.Env{Now: time.Now, Log: s.log},
	}}
}

// Acquire is shard.DataLock's.
func (l *dataLock) Acquire(ctx context.Context) (shard.Data, func() error, error) {
	o, release, err := l.lease.Acquire(ctx)
	if err != nil {
		return shard.Data{}, nil, err
	}
	windows := &due.Windows{Store: o.Store, Now: l.lease.Env.Now, Quiet: due.DefaultQuiet}
	needs := analyse.Needs{Store: o.Store, Windows: windows, Chunks: timeline.NewReader(vault.New(o.Blobs, o.Keys)), Queue: o.Queue, Audit: o.Audit, Now: l.lease.Env.Now, Log: l.lease.Env.Log}
	if l.model != nil {
		needs.Models = analyse.One(l.model)
	}
	return shard.Data{Stage: analyse.New(needs), Blobs: o.Blobs, People: o.Store, Keys: o.Keys}, release, nil
}
