package analyse_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// The days of a turn are read once, and its windows analysed one after another: a
// Result that another stored of newer days meanwhile is kept, whichever window's it is.
func TestATurnThatWasSlowReplacesNothingNewer(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	newer := record.Result{Result: analysis.Result{Schema: "of newer days"}, ComputedAt: time.Now()}
	b.stage = analyse.New(analyse.Needs{Store: b.store, Windows: b.windows, Queue: b, Audit: b, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Chunks: &meanwhile{timeline.NewReader(vault.New(b.blobs, b.keys)), func() {
			if _, err := b.store.Results.Put(t.Context(), uid, (end - 1).String(), store.Any, newer); err != nil {
				t.Error(err)
			}
		}}})
	b.ask(end-1, end)
	if got := b.due(1); got != "postpone: the result was replaced meanwhile" {
		t.Errorf("verdict %q", got)
	}
	if r := b.result(end - 1); r == nil || r.Schema != newer.Result.Schema {
		t.Errorf("the newer result is gone: %+v", r)
	}
	if got := b.due(1); got != "ack" || len(b.left()) > 0 {
		t.Errorf("the next look: %q, left %v", got, b.left())
	}
}

// A window behind those that were asked for is brought up to date where it has a
// Result: it was tomorrow where another phone is, or by another process's clock.
func TestAResultOfTomorrowIsBroughtUpToDate(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	b.ask(end, end+1)
	if got := b.due(1); got != "ack" || b.result(end+1) == nil {
		t.Fatalf("%q, %v", got, b.result(end+1))
	}
	before := b.result(end + 1).Lineage.InputDigest
	b.keep(end, []health.Sample{walked(end)})
	b.ask(end, end)
	if got := b.due(1); !strings.HasPrefix(got, "postpone: ") || len(b.left()) != 1 {
		t.Errorf("%q, left %v; want that tomorrow's has its turn", got, b.left())
	}
	if got := b.due(1); got != "ack" || b.result(end+1).Lineage.InputDigest == before {
		t.Errorf("%q, and tomorrow's result rests on what was", got)
	}
	if b.result(end+2) != nil {
		t.Error("there is a result that nobody asked for")
	}
}

// Who was asked for a window of tomorrow and is slow stores its Result when others have
// taken it off, of days that came since, and dies: who is asked next for windows up to
// today finds it current, and that nobody was told of it.
func TestAResultOfTomorrowThatASlowProcessStoredIsToldOf(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	needs := b.stage.Needs
	needs.Now = func() time.Time { return time.Date(1970, 1, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, int(end)) }
	b.stage = analyse.New(needs)
	b.ask(end+1, end+1)
	if got := b.due(1); got != "ack" || len(b.published) != 1 {
		t.Fatalf("%q, published %v", got, b.topics())
	}
	b.keep(end, []health.Sample{walked(end)})
	b.fail = errors.New("down")
	if _, _, err := b.stage.Analyse(t.Context(), analysis.Request{UID: uid, End: end + 1}, analyse.Order{}); err == nil {
		t.Fatal("the slow process told of it")
	}
	b.fail = nil
	b.ask(end, end)
	for _, want := range []string{"postpone: the next windows have their turn", "ack"} {
		if got := b.due(1); got != want {
			t.Errorf("verdict %q, want %q", got, want)
		}
	}
	if want := "result.stored " + (end + 1).String() + " " + b.result(end+1).Lineage.InputDigest; !slices.Contains(b.told(), want) {
		t.Errorf("told %v, and not %s", b.told(), want)
	}
	told := len(b.published)
	b.ask(end, end)
	if got := b.due(1); got != "ack" || len(b.published) != told {
		t.Errorf("%q: who was told is told again", got)
	}
}

// Of two deliveries of a message the one deleted a Result and died before it told;
// the other finds nothing to delete, and tells all the same.
func TestAWithdrawalThatWasNotToldIsTold(t *testing.T) {
	b := newBench(t)
	end := aWeek(t).End
	if _, err := b.store.Insights.Put(context.Background(), uid, end.String(), 0, record.Insight{}); err != nil {
		t.Fatal(err)
	}
	if got := b.handle(end, 1); got != "ack" || len(b.published) != 1 {
		t.Errorf("%q, published %v; want the event, and that the insight goes", got, b.topics())
	}
}
