package datadir

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
)

// DeadLetters lists the dead letters of every topic and consumer of a directory
// on which nothing is running.
func DeadLetters(ctx context.Context, dir string, d platform.Drivers, now func() time.Time) (letters []queue.DeadLetter, err error) {
	err = withQueue(ctx, dir, d, now, func(q queue.Queue) error {
		for _, topic := range flow.Topics() {
			for _, name := range flow.Consumers()[topic] {
				some, err := deadOf(ctx, q, topic, name)
				if err != nil {
					return err
				}
				letters = append(letters, some...)
			}
		}
		return nil
	})
	return letters, err
}

func deadOf(ctx context.Context, q queue.Queue, topic, name string) (letters []queue.DeadLetter, err error) {
	const page = 500
	for after := int64(0); ; after = letters[len(letters)-1].Sequence {
		some, err := q.Dead(ctx, topic, name, after, page)
		if err != nil {
			return nil, err
		}
		if letters = append(letters, some...); len(some) < page {
			return letters, nil
		}
	}
}

// ReplayDead makes a message of a dead letter again, on a directory on which
// nothing is running.
func ReplayDead(ctx context.Context, dir string, d platform.Drivers, now func() time.Time, sequence int64) error {
	return withQueue(ctx, dir, d, now, func(q queue.Queue) error { return q.Replay(ctx, sequence) })
}

// DropDead removes a dead letter for good, on a directory on which nothing is running.
func DropDead(ctx context.Context, dir string, d platform.Drivers, now func() time.Time, sequence int64) error {
	return withQueue(ctx, dir, d, now, func(q queue.Queue) error { return q.Drop(ctx, sequence) })
}

func withQueue(ctx context.Context, dir string, d platform.Drivers, now func() time.Time, use func(queue.Queue) error) error {
	l := Lease{Dir: dir, Drivers: d, Needs: capability.Queue, Env: platform.Env{Now: now}}
	o, release, err := l.Acquire(ctx)
	if err != nil {
		return err
	}
	return errors.Join(use(o.Queue), release())
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
