package pubsub_test

import (
	"testing"

	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
)

// What pstest gets wrong, by the test's name. All of it passes over pubsubd.
var pstestCannot = map[string]string{
	"TestHostileSuiteOverPstest/no_key_waits_for_all_that_another_has": "a message of a key comes when the one before is acked, and acks are sent ten times a second: " +
		"a hundred of them, some held for a moment, take longer than the suite waits",
}

func TestSuiteOverPstest(t *testing.T) { suiteOverPstest(t, plain) }

func TestHostileSuiteOverPstest(t *testing.T) { suiteOverPstest(t, hostile) }

func suiteOverPstest(t *testing.T, over func(queue.Driver) queue.Driver) {
	minutes(t)
	t.Parallel()
	queuetest.Run(t, func(t *testing.T) queuetest.Opener {
		if why := pstestCannot[t.Name()]; why != "" {
			t.Skip(why)
		}
		server := pstest.NewServer()
		t.Cleanup(func() { _ = server.Close() })
		return opener(t, counted(t, pubsub.Config{Project: "test", Emulator: server.Addr}), over)
	})
}
