package pubsub_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

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

// What pstest gets wrong, by the test's name. All of it passes over pubsubd.
var pstestCannot = map[string]string{
	"TestHostileSuiteOverPstest/no_key_waits_for_all_that_another_has": "a message of a key comes when the one before is acked, and acks are sent ten times a second: " +
		"a hundred of them, some held for a moment, take longer than the suite waits",
}

func TestSuiteOverPstest(t *testing.T) { suiteOverPstest(t, plain) }

func TestHostileSuiteOverPstest(t *testing.T) { suiteOverPstest(t, hostile) }

func suiteOverPstest(t *testing.T, over func(queue.Driver) queue.Driver) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	defer leaksNothing(t)
	queuetest.Run(t, func(t *testing.T) queuetest.Opener {
		if why := pstestCannot[t.Name()]; why != "" {
			t.Skip(why)
		}
		return opener(t, overPstest(t), over)
	})
}

// leaksNothing fails the test where a goroutine is left, but for those of the client's
// that are: one for good that counts, and one a Receive that ends with its next tick,
// ten seconds later.
func leaksNothing(t *testing.T) {
	t.Helper()
	goleak.VerifyNone(t,
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreAnyFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
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
