package datadir

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/keyring"
)

// Keys are the keys of a place, to be counted and rotated whether or not a platform
// is running there: any number of processes share them. They must be there.
func Keys(ctx context.Context, p Place, d platform.Drivers) (keyring.Rotator, error) {
	at, err := p.of(func(b platform.Backends) string { return b.Keys })
	if err == nil {
		err = MustHold(p, capability.Keys, at)
	}
	if err != nil {
		return nil, err
	}
	rotator, err := d.Rotator(ctx, embedded.In(p.Dir, p.Backends), platform.Env{})
	if err != nil {
		return nil, Sentence(p.Dir, err)
	}
	return rotator, nil
}
