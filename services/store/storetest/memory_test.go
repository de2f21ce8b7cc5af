package storetest_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// What tests stand on keeps the contract, too.
func TestTheMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opener {
		m := storetest.Memory(time.Now)
		return func() store.Driver { return m }
	})
}
