package ingresstest

import (
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/files"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/queue"
	queuedb "github.com/clarity-loop/clarity/services/queue/sqlite"
	"github.com/clarity-loop/clarity/services/store"
	storedb "github.com/clarity-loop/clarity/services/store/sqlite"
)

// backend is what the ingress stands on in tests.
type backend struct {
	store *store.Store
	blobs blob.Store
	queue queue.Driver
	keys  keyring.Keyring
	clock *Clock
	dir   string

	faults *faults
}

// newBackend is the embedded drivers in a directory of the test's own.
func newBackend(t testing.TB) backend {
	t.Helper()
	b := backend{clock: &Clock{}, dir: t.TempDir(), faults: &faults{broken: map[string]bool{}}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	documents, err := storedb.Open(t.Context(), b.dir, b.clock.Now)
	must(err)
	messages, err := queuedb.Open(t.Context(), b.dir, flow.Consumers(), b.clock.Now)
	must(err)
	keys, err := tink.Open(b.dir + "/keys")
	must(err)
	objects, err := files.Open(b.dir+"/blobs", b.clock.Now)
	must(err)
	t.Cleanup(func() {
		_ = documents.Close()
		_ = messages.Close()
		_ = objects.Close()
	})
	b.store, b.blobs, b.queue, b.keys = store.New(b.faults.over(documents), keys), objects, messages, keys
	return b
}
