package queuetest_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
)

// What tests stand on keeps the contract, too.
func TestTheMemoryKeepsTheContract(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queuetest.Opener {
		place := queuetest.Memory(time.Now)
		return func(c queue.Consumers) queue.Driver { return place.Open(c) }
	})
}
