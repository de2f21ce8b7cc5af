package analyse_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

func (b *bench) look(end health.Day) analyse.Freshness {
	b.t.Helper()
	s, err := b.stage.Look(b.t.Context(), analysis.Request{UID: uid, End: end})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) order(end health.Day, o analyse.Order) (analyse.Outcome, int64) {
	b.t.Helper()
	outcome, version, err := b.stage.Analyse(b.t.Context(), analysis.Request{UID: uid, End: end}, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return outcome, version
}

// What a batch orders is what a message does: the same Result, byte for byte,
// and the same things told to the stages behind.
func TestAnOrderDoesWhatAMessageDoes(t *testing.T) {
	asked, told := newBench(t), newBench(t)
	end := asked.keepWeek()
	told.keepWeek()
	told.handle(end, 1)
	if s := asked.look(end); s != (analyse.Freshness{}) || len(asked.published) > 0 {
		t.Errorf("before: %+v, published %v", s, asked.topics())
	}
	outcome, first := asked.order(end, analyse.Order{})
	if outcome != analyse.Stored || first == 0 {
		t.Errorf("outcome %v, version %d", outcome, first)
	}
	if diff := gocmp.Diff(told.result(end), asked.result(end)); diff != "" {
		t.Errorf("another Result (-message +order):\n%s", diff)
	}
	if diff := gocmp.Diff(told.topics(), asked.topics()); diff != "" || len(asked.audited) != 1 {
		t.Errorf("%d audited; topics (-message +order):\n%s", len(asked.audited), diff)
	}
	if s := asked.look(end); s != (analyse.Freshness{Version: first, Current: true}) {
		t.Errorf("after: %+v", s)
	}
	published := len(asked.published)
	if outcome, version := asked.order(end, analyse.Order{}); outcome != analyse.Kept || version != first || len(asked.published) != published {
		t.Errorf("once more: outcome %v, version %d, %d more messages", outcome, version, len(asked.published)-published)
	}
	if outcome, version := asked.order(end, analyse.Order{Again: true}); outcome != analyse.Kept || version != first || len(asked.published) == published {
		t.Errorf("after a crash: outcome %v, version %d, %d more messages", outcome, version, len(asked.published)-published)
	}
	if outcome, version := asked.order(end, analyse.Order{Replace: true}); outcome != analyse.Stored || version == first || version == 0 {
		t.Errorf("replaced: outcome %v, version %d", outcome, version)
	}
	if diff := gocmp.Diff(told.result(end), asked.result(end)); diff != "" {
		t.Errorf("replaced by another Result (-message +order):\n%s", diff)
	}
	if outcome, version := asked.order(end+60, analyse.Order{}); outcome != analyse.NoData || version != 0 {
		t.Errorf("a window without data: outcome %v, version %d", outcome, version)
	}
}

// A batch that asks no model does not take away what another one's said.
func TestWithoutAModelAResultOfAnyVersionIsCurrent(t *testing.T) {
	b := newModelBench(t)
	end := b.keepDays(23, 29, false)
	b.handle(end, 1)
	if b.result(end).Model == nil {
		t.Fatal("the model said nothing")
	}
	b.stage.Models = nil
	if s := b.look(end); !s.Current {
		t.Errorf("%+v", s)
	}
	if outcome, _ := b.order(end, analyse.Order{}); outcome != analyse.Kept || b.result(end).Model == nil {
		t.Errorf("outcome %v, model %v", outcome, b.result(end).Model)
	}
	b.keepDays(23, 29, true) // other samples
	if s := b.look(end); s.Current {
		t.Errorf("after the samples changed: %+v", s)
	}
	if outcome, _ := b.order(end, analyse.Order{}); outcome != analyse.Stored || b.result(end).Model != nil {
		t.Errorf("after the samples changed: outcome %v, model %v", outcome, b.result(end).Model)
	}
}

// A Result rests on what is measured of its days: one that has got samples of other
// types since is current, and its lineage says of which samples it was made.
func TestAResultIsCurrentWhileWhatIsMeasuredIsTheSame(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	measured := func(input, digest string) {
		t.Helper()
		r, err := b.store.Days.Get(t.Context(), uid, end.String())
		if err != nil {
			t.Fatal(err)
		}
		r.Value.Measured = &held.Measured{Input: input, Zone: r.Value.Zone, Samples: r.Value.Samples, Begins: held.Ever}
		r.Value.Digest = cmp.Or(digest, r.Value.Digest)
		if _, err := b.store.Days.Put(t.Context(), uid, end.String(), r.Version, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	measured("m1", "")
	if got := b.handle(end, 1); got != "ack" {
		t.Fatal(got)
	}
	chunks := b.result(end).Lineage.Chunks
	if last := chunks[len(chunks)-1]; last.Measured != "m1" || last.Basis() != "m1" || chunks[0].Basis() != chunks[0].Digest {
		t.Errorf("the lineage says %+v", chunks)
	}
	for _, tt := range []struct {
		input, digest string
		current       bool
	}{{"m1", "", true}, {"m1", "with water", true}, {"m2", "with a beat", false}, {"", "by a release before", false}} {
		measured(tt.input, tt.digest)
		fresh, err := b.stage.Look(t.Context(), analysis.Request{UID: uid, End: end})
		if err != nil || fresh.Current != tt.current {
			t.Errorf("%+v: current is %t, %v", tt, fresh.Current, err)
		}
	}
}

// What no number is made of shows in no Result, so that it does not matter whether it came
// before the analysis or after it.
func TestWhatIsNotMeasuredShowsInNoResult(t *testing.T) {
	b := newBench(t)
	end, in := b.keepWeek(), aWeek(t)
	var samples []health.Sample
	for _, typ := range in.View.Types() {
		for _, s := range in.View.Samples(typ) {
			if health.DayOf(s.Start, in.Zone) == end {
				samples = append(samples, s)
			}
		}
	}
	keep := func(samples []health.Sample) {
		t.Helper()
		b.keep(end, samples)
		r, err := b.store.Days.Get(t.Context(), uid, end.String())
		if err == nil {
			r.Value.Measured = &held.Measured{Input: "m1", Zone: "Europe/Berlin", Samples: 9, Begins: held.Ever}
			_, err = b.store.Days.Put(t.Context(), uid, end.String(), r.Version, r.Value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	keep(samples)
	b.handle(end, 1)
	before := b.result(end)
	noon, _ := end.Bounds(in.Zone)
	keep(append(samples, health.Sample{UUID: health.UUID{1}, Type: "HKQuantityTypeIdentifierBodyMass", Start: noon, End: noon, Value: 80, Unit: "kg", Zone: "Europe/Berlin"}))
	if outcome, _ := b.order(end, analyse.Order{Replace: true}); outcome != analyse.Stored {
		t.Fatal(outcome)
	}
	if diff := gocmp.Diff(before, b.result(end)); diff != "" {
		t.Errorf("another Result (-without the weight +with it):\n%s", diff)
	}
}

func TestEndsAreThoseThatMessagesWouldAskFor(t *testing.T) {
	b := newBench(t)
	day := func(s string) health.Day {
		t.Helper()
		d, err := health.ParseDay(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	keep := func(days ...string) {
		t.Helper()
		for _, d := range days {
			if _, err := b.store.Days.Put(t.Context(), uid, d, store.Any, record.Day{Zone: "Pacific/Kiritimati"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	now := time.Date(2026, 11, 12, 11, 0, 0, 0, time.UTC) // the 13th in Kiritimati
	b.stage.Now = func() time.Time { return now }
	keep("2026-03-01", "2026-03-02", "2026-11-10")
	tests := map[string]struct {
		first, last string
		want        []string
	}{
		"a day before, and seven after": {"2026-02-01", "2026-04-01", []string{"2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04",
			"2026-03-05", "2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"}},
		"cut on both sides":            {"2026-03-02", "2026-03-04", []string{"2026-03-02", "2026-03-03", "2026-03-04"}},
		"days long before the data":    {"2026-01-01", "2026-01-31", nil},
		"none after today, over there": {"2026-11-12", "2026-12-31", []string{"2026-11-12", "2026-11-13"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ends, err := b.stage.Ends(t.Context(), uid, day(tt.first), day(tt.last))
			var got []string
			for _, e := range ends {
				got = append(got, e.String())
			}
			if diff := gocmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v; ends (-want +got):\n%s", err, diff)
			}
		})
	}
	keep("2026-11-20") // a phone whose clock is ahead
	if ends, err := b.stage.Ends(t.Context(), uid, day("2026-11-19"), day("2026-11-30")); err != nil || len(ends) != 2 {
		t.Errorf("up to the last day there is: %v, %v", ends, err)
	}
	b.consent(false)
	if _, err := b.stage.Ends(t.Context(), uid, day("2026-03-01"), day("2026-03-02")); !errors.Is(err, analysis.ErrNoConsent) {
		t.Errorf("without consent: %v", err)
	}
}

func TestEndsGoThroughEveryPage(t *testing.T) {
	b := newBench(t)
	const days = 1100
	for i := range health.Day(days) {
		if _, err := b.store.Days.Put(context.Background(), uid, (11_000 + i).String(), 0, record.Day{Zone: "UTC"}); err != nil {
			t.Fatal(err)
		}
	}
	ends, err := b.stage.Ends(t.Context(), uid, 10_000, 14_000)
	if err != nil || len(ends) != days+8 || ends[0] != 10_999 || ends[len(ends)-1] != 11_000+days+6 {
		t.Errorf("%d ends, %v", len(ends), err)
	}
}

func TestPassing(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("put: %w", store.ErrConflict):          true,
		fmt.Errorf("get chunk: %w", blob.ErrNotFound):     true,
		fmt.Errorf("get chunk: %w", blob.ErrCorrupt):      false,
		fmt.Errorf("open chunk: %w", keyring.ErrTampered): false,
	} {
		if analyse.Passing(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
