package firestore_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	c := database(t)
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		return opener(t, c, func(d store.Driver) store.Driver { return d })
	})
}

// A driver that fails wherever it may, of which nothing is asked but what it promises.
func TestConformanceOfAHostileOne(t *testing.T) {
	c := database(t)
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		return opener(t, c, func(d store.Driver) store.Driver { return storetest.Hostile(d, storetest.Options{Now: time.Now}) })
	})
}
