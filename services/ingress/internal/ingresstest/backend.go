package ingresstest

import (
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
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
	b := backend{clock: &Clock{}, faults: &faults{broken: map[string]bool{}, listed: map[string]int{}}}
	l := stagetest.Open(t, stagetest.Options{Now: b.clock.Now, Over: b.faults.over})
	b.store, b.blobs, b.queue, b.keys, b.dir = l.Store, l.Blobs, l.Queue, l.Keys, l.Dir
	return b
}
