package platform

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/worker/analyse"
	"github.com/clarity-loop/clarity/services/worker/shard"
)

// Turns lends a data directory to shards, one at a time: the embedded drivers
// belong to one process. A shard that has had its turn gives the directory back
// before it asks again, so that those that wait come to theirs. A platform that
// runs on the directory never gives it back.
type Turns struct {
	Config Config // Dir, Drivers, Log and Now
	// Model is asked in every turn; nil for none.
	Model model.Model
	// Patience is how long a shard waits for its turn.
	Patience time.Duration

	entered bool
}

// ErrBusy says that others had the directory as long as a shard could wait.
var ErrBusy = errInUse

// look is the mean time between two looks at a directory that another has.
const look = 25 * time.Millisecond

// Enter is shard.Lender's.
func (t *Turns) Enter(ctx context.Context) (shard.Data, func() error, error) {
	c := t.Config
	c.Stages = []string{Worker}
	if err := c.validate(); err != nil {
		return shard.Data{}, nil, err
	}
	if err := mustExist(c.Dir); err != nil {
		return shard.Data{}, nil, err
	}
	if t.entered { // let those who wait have a look
		if err := sleep(ctx, 3*look); err != nil {
			return shard.Data{}, nil, err
		}
	}
	release, err := t.wait(ctx)
	if err != nil {
		return shard.Data{}, nil, err
	}
	t.entered = true
	p := &Platform{config: c}
	p.closing("the data directory", release)
	d, err := p.open(ctx)
	if err != nil {
		return shard.Data{}, nil, errors.Join(sentence(c.Dir, err), p.Close())
	}
	needs := analyse.Needs{Store: d.store, Blobs: d.blobs, Keys: d.keys, Queue: d.queue, Audit: d.audit, Now: c.Now, Log: c.Log}
	if t.Model != nil {
		needs.Models = analyse.One(t.Model)
	}
	stage := analyse.New(needs)
	return shard.Data{Stage: stage, Blobs: d.blobs, Keys: d.tokens}, p.Close, nil
}

// wait takes the directory's lock, or says who has it.
func (t *Turns) wait(ctx context.Context) (release func() error, err error) {
	for began := time.Now(); ; {
		release, err := lock(t.Config.Dir)
		if err == nil {
			return release, nil
		}
		if !errors.Is(err, errInUse) {
			return nil, sentence(t.Config.Dir, err)
		}
		if time.Since(began) >= t.Patience {
			return nil, &inUse{sentence(t.Config.Dir, err)}
		}
		if err := sleep(ctx, look/2+rand.N(look)); err != nil { //nolint:gosec // no secret
			return nil, err
		}
	}
}

// inUse is errInUse in a sentence.
type inUse struct{ error }

func (*inUse) Is(target error) bool { return target == errInUse }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// SubjectPseudonym is the opaque token of a person of the directory, whether or not
// a platform runs on it.
func SubjectPseudonym(ctx context.Context, dir, user string) (string, error) {
	if err := mustExist(dir); err != nil {
		return "", err
	}
	keys, err := openKeys(dir)
	if err != nil {
		return "", err
	}
	return keys.Pseudonym(ctx, user)
}
