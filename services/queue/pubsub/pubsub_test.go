package pubsub_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

func plain(d queue.Driver) queue.Driver { return d }

func hostile(d queue.Driver) queue.Driver { return patient{queuetest.Hostile(d, 1)} }

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

// opener opens one place, with documents in memory.
func opener(t *testing.T, cfg pubsub.Config, over func(queue.Driver) queue.Driver) queuetest.Opener {
	documents := storetest.Memory(time.Now)
	if err := pubsub.Prepare(context.Background(), cfg, queuetest.Consumers()); err != nil {
		t.Fatal(err)
	}
	var q *pubsub.Queue
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
		var err error
		if q, err = pubsub.Open(context.Background(), cfg, c, documents, time.Now); err != nil {
			t.Fatal(err)
		}
		return over(q)
	}
}
