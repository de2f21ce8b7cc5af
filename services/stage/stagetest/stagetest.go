// Package stagetest is what a stage stands on in its tests: the drivers of a
// laptop, in a directory of the test's own, and a verdict in a word.
package stagetest

import (
	"errors"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob/files"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/queue"
	queuedb "github.com/clarity-loop/clarity/services/queue/sqlite"
	"github.com/clarity-loop/clarity/services/store"
	storedb "github.com/clarity-loop/clarity/services/store/sqlite"
)

// Options are what a test has otherwise.
type Options struct {
	// Dir is the directory; "" is a new one.
	Dir string
	// Now is the drivers' clock; nil is the machine's.
	Now func() time.Time
	// Consumers are the queue's; nil are those of the flow.
	Consumers queue.Consumers
	// Over is put between the store and its driver; nil puts nothing.
	Over func(store.Driver) store.Driver
}

// A Laptop is the embedded drivers, open until the test ends.
type Laptop struct {
	Store *store.Store
	Blobs *files.Store
	Queue *queuedb.Queue
	Keys  *tink.Keyring
	Dir   string
}

// Open opens the drivers.
func Open(t testing.TB, o Options) *Laptop {
	t.Helper()
	l := &Laptop{Dir: o.Dir}
	if l.Dir == "" {
		l.Dir = t.TempDir()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Consumers == nil {
		o.Consumers = flow.Consumers()
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	documents, err := storedb.Open(t.Context(), l.Dir, o.Now)
	must(err)
	l.Queue, err = queuedb.Open(t.Context(), l.Dir, o.Consumers, o.Now)
	must(err)
	l.Keys, err = tink.Open(l.Dir + "/keys")
	must(err)
	l.Blobs, err = files.Open(l.Dir+"/blobs", o.Now)
	must(err)
	t.Cleanup(func() {
		if err := errors.Join(l.Queue.Close(), documents.Close(), l.Blobs.Close()); err != nil {
			t.Error(err)
		}
	})
	var driver store.Driver = documents
	if o.Over != nil {
		driver = o.Over(documents)
	}
	l.Store = store.New(driver, l.Keys)
	return l
}

// Word is a verdict: "ack", "retry: WHY" or "dead: WHY".
func Word(v queue.Verdict) (word string) {
	v.Match(queue.Cases{
		Ack:      func() { word = "ack" },
		Retry:    func(_ time.Duration, why string) { word = "retry: " + why },
		Postpone: func(_ time.Duration, why string) { word = "postpone: " + why },
		Dead:     func(why string) { word = "dead: " + why },
	})
	return word
}
