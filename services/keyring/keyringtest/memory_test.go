package keyringtest_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
)

// What tests stand on keeps the contract, too: with a lag, and without.
func TestTheMemoryKeepsTheContract(t *testing.T) {
	for _, lag := range []time.Duration{0, 20 * time.Millisecond} {
		keyringtest.Run(t, func(*testing.T) func() keyring.Keyring {
			keys := keyringtest.Memory(time.Now, lag)
			return func() keyring.Keyring { return keys.Process() }
		})
	}
}
