package intake_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A meter counts the documents that are read and written by way of it.
type meter struct {
	store.Driver
	mu   sync.Mutex
	cost cost
}

// A cost is what a document database bills: a document read, of one that is not
// there too, and each write of a batch.
type cost struct{ Reads, Commits, Writes int }

func (m *meter) add(c cost) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cost.Reads, m.cost.Commits, m.cost.Writes = m.cost.Reads+c.Reads, m.cost.Commits+c.Commits, m.cost.Writes+c.Writes
}

func (m *meter) Get(ctx context.Context, k store.Key) (store.Document, error) {
	m.add(cost{Reads: 1})
	return m.Driver.Get(ctx, k)
}

func (m *meter) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	docs, err := m.Driver.List(ctx, q)
	m.add(cost{Reads: max(1, len(docs))})
	return docs, err
}

func (m *meter) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	m.add(cost{Commits: 1, Writes: len(writes)})
	return m.Driver.Batch(ctx, writes)
}

// What merging one upload costs in documents, with the windows that are to be analysed
// and the news of it, for which no messages are published. It fails on any rise.
func TestWhatAMergeCosts(t *testing.T) {
	types := map[string]string{}
	for _, kind := range strings.Fields("HKA HKB HKC HKD HKE HKF HKG HKH") {
		types[kind] = "anchor"
	}
	w := newWorld()
	w.consent(t, true)
	m := &meter{Driver: (*driver)(w)}
	w.stage = w.over(m)[0]
	merge := func(id string) cost {
		t.Helper()
		m.cost = cost{}
		if v := w.handle(t, id, 1); v != "ack" || w.upload(t, id).State != record.UploadMerged {
			t.Fatalf("%s: %s", id, v)
		}
		return m.cost
	}
	for i, id := range []string{"first", "hourly", "deleting"} {
		e := envelope{Samples: []sample{beat(i, received.Add(-time.Hour), 61, "")}, Cursor: types}
		if id == "deleting" {
			e.Deleted = []deletion{{uuid(0), heartRate}}
		}
		w.arrive(t, arrival{id, e.encode(t), received.Add(time.Duration(i) * time.Minute)})
	}
	got := map[string]cost{
		"the first, of eight types":   merge("first"),
		"an hourly one":               merge("hourly"),
		"the hourly one, told again":  merge("hourly"),
		"with a deletion, of one day": merge("deleting"),
	}
	want := map[string]cost{
		"the first, of eight types":   {Reads: 8, Commits: 1, Writes: 5}, // there is no digest yet: it is made
		"an hourly one":               {Reads: 6, Commits: 1, Writes: 5},
		"the hourly one, told again":  {Reads: 2},
		"with a deletion, of one day": {Reads: 9, Commits: 4, Writes: 9}, // with a check of the upload
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
