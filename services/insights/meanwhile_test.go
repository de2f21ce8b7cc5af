package insights

import (
	"context"
	"testing"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// between has something happen before the first look at a Result.
type between struct {
	store.Driver
	do func()
}

func (b *between) Get(ctx context.Context, k store.Key) (store.Document, error) {
	d, err := b.Driver.Get(ctx, k)
	if do := b.do; do != nil && k.Collection == "results" {
		b.do = nil
		do()
	}
	return d, err
}

// A stage that saw no Result takes away the insight that it saw, and none that
// another wrote meanwhile, of a Result that came meanwhile.
func TestANewerInsightIsNotTakenAway(t *testing.T) {
	w := newWorld(t, plain("template"), plain("template"))
	if _, err := w.Store.Insights.Put(t.Context(), "anna", friday, 0, record.Insight{Insight: analysis.Insight{InputDigest: "old"}}); err != nil {
		t.Fatal(err)
	}
	calm := w.Store
	w.Store = store.New(&between{Driver: w.driver, do: func() {
		if _, err := calm.Insights.Put(t.Context(), "anna", friday, store.Any, record.Insight{Insight: analysis.Insight{InputDigest: "new"}}); err != nil {
			t.Error(err)
		}
	}}, w.keys)
	if got := w.ready(friday, 1); got != "postpone: the insight was replaced meanwhile" {
		t.Errorf("verdict %q", got)
	}
	if in, err := calm.Insights.Get(t.Context(), "anna", friday); err != nil || in.Value.Insight.InputDigest != "new" {
		t.Errorf("%+v, %v", in.Value.Insight, err)
	}
}

// Who has seen a Result writes no first insight of it once it is withdrawn: who takes
// that away finds none, and would not come again.
func TestNoInsightIsWrittenOfAWithdrawnResult(t *testing.T) {
	w := newWorld(t, plain("template"), plain("template"))
	w.put(result(t, friday, "d1", 432))
	calm := w.Store
	w.Store = store.New(&between{Driver: w.driver, do: func() {
		if err := calm.Results.Delete(t.Context(), "anna", friday, store.Any); err != nil {
			t.Error(err)
		}
	}}, w.keys)
	if got := w.ready(friday, 1); got != "postpone: the insight was replaced meanwhile" {
		t.Errorf("verdict %q", got)
	}
	if got := w.ready(friday, 2); got != "ack" {
		t.Errorf("verdict %q", got)
	}
	if in, err := calm.Insights.Get(t.Context(), "anna", friday); err == nil {
		t.Errorf("there is %+v", in.Value.Insight)
	}
}
