package pubsub_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// No goroutine is left, but for those of the client's that are: one for good that
// counts, and one a Receive that ends with its next tick, ten seconds later.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreAnyFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
}

// minutes skips a test that takes long.
func minutes(t *testing.T) {
	t.Helper()
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("takes most of a minute: set CLARITY_CLOUD=1, or run make test-cloud")
	}
}
