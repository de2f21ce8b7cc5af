package sqlite_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

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
	queuetest.Run(t, func(t *testing.T) queuetest.Opener {
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
		return func(c queue.Consumers) queue.Queue {
			shut()
			q = openFor(t, dir, c, time.Now)
			return q
		}
	})
}
