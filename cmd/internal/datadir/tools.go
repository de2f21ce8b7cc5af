package datadir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/queue"
)

// DeadLetters lists the dead letters of every topic of a directory on which
// nothing is running.
func DeadLetters(ctx context.Context, dir string, d platform.Drivers, now func() time.Time) (letters []queue.DeadLetter, err error) {
	l := Lease{Dir: dir, Drivers: d, Needs: capability.Queue, Env: platform.Env{Now: now}}
	o, release, err := l.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	const page = 500
	for _, topic := range platform.Topics() {
		for after := int64(0); ; {
			some, err := o.Queue.Dead(ctx, topic, after, page)
			if err != nil {
				return nil, fmt.Errorf("list the dead letters of %s: %w", topic, err)
			}
			letters = append(letters, some...)
			if len(some) < page {
				break
			}
			after = some[page-1].Sequence
		}
	}
	return letters, nil
}

// Pseudonym is what names a person of the directory to those who may not know
// the person, whether or not a platform is running on it.
func Pseudonym(ctx context.Context, dir, user string) (string, error) {
	if err := mustExist(dir); err != nil {
		return "", err
	}
	keys, err := embedded.Keys(ctx, filepath.Join(dir, "keys"), platform.Env{})
	if err != nil {
		return "", Sentence(dir, err)
	}
	return keys.Pseudonym(ctx, user)
}

// VerifyAudit checks the audit log of a directory, whether or not a platform is
// running on it, and returns how many entries it has.
func VerifyAudit(ctx context.Context, dir string) (int64, error) {
	if err := mustExist(dir); err != nil {
		return 0, err
	}
	return embedded.VerifyAudit(ctx, filepath.Join(dir, "audit"))
}
