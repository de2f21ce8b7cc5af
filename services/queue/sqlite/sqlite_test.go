package sqlite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/queue/sqlite"
)

func open(t testing.TB, dir string, now func() time.Time) *sqlite.Queue {
	t.Helper()
	return openFor(t, dir, queuetest.Consumers(), now)
}

func openFor(t testing.TB, dir string, consumers queue.Consumers, now func() time.Time) *sqlite.Queue {
	t.Helper()
	q, err := sqlite.Open(context.Background(), dir, consumers, now)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t)
	queuetest.Run(t, func(t *testing.T) queuetest.Opener { return opener(t, func(d queue.Driver) queue.Driver { return d }) })
}

// The suite proves no more than the words: a driver that is as bad as they allow
// passes it.
func TestTheSuiteProvesTheWordsAndNoMore(t *testing.T) {
	defer goleak.VerifyNone(t)
	queuetest.Run(t, func(t *testing.T) queuetest.Opener {
		return opener(t, func(d queue.Driver) queue.Driver { return patient{queuetest.Hostile(d, 1)} })
	})
}

// patient publishes again what may not have been published: every caller does.
type patient struct{ queue.Driver }

func (p patient) Publish(ctx context.Context, msgs ...queue.Message) error {
	for {
		err := p.Driver.Publish(ctx, msgs...)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != "lost" {
			return err
		}
	}
}

func opener(t *testing.T, over func(queue.Driver) queue.Driver) queuetest.Opener {
	dir := t.TempDir()
	var q *sqlite.Queue
	shut := func() {
		if q != nil {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(shut)
	return func(c queue.Consumers) queue.Driver {
		shut()
		q = openFor(t, dir, c, time.Now)
		return over(q)
	}
}
