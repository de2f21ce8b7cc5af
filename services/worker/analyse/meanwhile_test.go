package analyse_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
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

// meanwhile has another do something once, while the stage reads the samples of a
// window whose record it has read.
type meanwhile struct {
	*timeline.Reader
	do func()
}

func (m *meanwhile) Chunk(ctx context.Context, uid, name string) (timeline.Chunk, error) {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Reader.Chunk(ctx, uid, name)
}

// A Result that another replica stored while this one computed is neither replaced
// nor removed by it: this one looks again.
func TestAResultThatCameMeanwhileIsKept(t *testing.T) {
	for name, empty := range map[string]bool{"computed": false, "withdrawn": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			end := b.keepWeek()
			if v := b.handle(end, 1); v != "ack" {
				t.Fatal(v)
			}
			for day := end - 8; day <= end+1; day++ {
				b.keep(day, nil)
			}
			if !empty {
				b.keep(end, []health.Sample{walked(end)})
			}
			newer := record.Result{Result: analysis.Result{Schema: "of another replica"}, ComputedAt: time.Now()}
			b.stage = analyse.New(analyse.Needs{Store: b.store, Windows: b.windows, Queue: b, Audit: b, Now: time.Now, Log: slog.New(slog.DiscardHandler),
				Chunks: &meanwhile{timeline.NewReader(vault.New(b.blobs, b.keys)), func() {
					if _, err := b.store.Results.Put(t.Context(), uid, end.String(), store.Any, newer); err != nil {
						t.Error(err)
					}
				}}})
			if v := b.handle(end, 1); v != "postpone: the result was replaced meanwhile" {
				t.Errorf("verdict %q", v)
			}
			if r := b.result(end); r == nil || r.Schema != newer.Result.Schema {
				t.Errorf("the newer result is gone: %+v", r)
			}
			if v := b.handle(end, 2); v != "ack" || (b.result(end) == nil) != empty {
				t.Errorf("the next look: %q, a result: %t", v, b.result(end) != nil)
			}
		})
	}
}

// A slow process that has read days of which the samples are deleted by now writes
// nothing of them: others have looked at the windows anew, and nobody is asked again.
func TestASlowProcessWritesNothingOfDaysThatAreOthers(t *testing.T) {
	for name, cursors := range map[string]bool{"of somebody who is known": true, "of somebody without cursors": false} {
		t.Run(name, func(t *testing.T) {
			b := newModelBench(t)
			end := b.keepDays(1, 9, false)
			if cursors {
				b.merged(nil)
			}
			b.ask(end, end)
			prompt := b.stage
			slow := b.slow(func() {
				for day := end - 9; day <= end+1; day++ {
					b.keep(day, nil)
				}
				b.merged(&end)
				b.stage = prompt
				if v := b.due(1); v != "ack" || len(b.left()) != 0 || b.result(end) != nil {
					t.Errorf("the other process: %q, left %v", v, b.left())
				}
			})
			b.stage = slow
			if v := b.due(1); v != "postpone: the result was replaced meanwhile" {
				t.Errorf("verdict %q", v)
			}
			if b.result(end) != nil || b.embedding(end) != nil {
				t.Errorf("what was deleted is back: a result %t, an embedding %t", b.result(end) != nil, b.embedding(end) != nil)
			}
			if v := b.due(2); v != "ack" || b.result(end) != nil {
				t.Errorf("the next look: %q", v)
			}
		})
	}
}

// What is merged meanwhile of other days is in no window's way.
func TestAMergeOfOtherDaysIsInNoWindowsWay(t *testing.T) {
	b := newModelBench(t)
	end := b.keepDays(1, 9, false)
	b.merged(nil)
	b.ask(end, end)
	b.stage = b.slow(func() {
		b.keep(end-60, []health.Sample{walked(end - 60)})
		b.merged(nil)
	})
	if v := b.due(1); v != "ack" || b.result(end) == nil || b.embedding(end) == nil {
		t.Errorf("verdict %q, a result %t, an embedding %t", v, b.result(end) != nil, b.embedding(end) != nil)
	}
}

// slow is the stage in a process in which something is done while it reads samples.
func (b *bench) slow(do func()) *analyse.Stage {
	needs := b.stage.Needs
	needs.Chunks = &meanwhile{timeline.NewReader(vault.New(b.blobs, b.keys)), do}
	return analyse.New(needs)
}

// merged has the person's cursors be written, as who merges does, and the window that
// ends then be asked for.
func (b *bench) merged(end *health.Day) {
	b.t.Helper()
	found, err := b.store.Synced(b.t.Context(), uid)
	if err == nil {
		_, err = b.store.Cursors.Put(b.t.Context(), uid, found.Key, found.Version, found.Value)
	}
	if err == nil && end != nil {
		err = b.windows.Ask(b.t.Context(), uid, *end)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func walked(day health.Day) health.Sample {
	at := health.InstantOf(time.Date(1970, 1, 1, 10, 0, 0, 0, time.UTC).AddDate(0, 0, int(day)))
	return health.Sample{UUID: health.UUID{1}, Type: "HKQuantityTypeIdentifierStepCount", Start: at, End: at + 60_000, Zone: "Europe/Berlin", Value: 100, Unit: "count", OriginalValue: 100, OriginalUnit: "count"}
}

// Whatever became of the process that stored a Result, and whatever its clock was, it
// is told of: the message comes again of itself, or what is due is asked for again.
func TestAResultIsToldOfWhoeverAsksAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		asked  int
		behind time.Duration // the clock of who stored it
	}{
		"the same message": {1, 0}, "the same message, of a clock that is behind": {1, 2 * time.Hour},
		"asked for again": {2, 0}, "asked for again, of a clock that is behind": {2, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			end := b.keepWeek()
			b.stage = analyse.New(analyse.Needs{Store: b.store, Windows: b.windows, Queue: b, Audit: b, Log: slog.New(slog.DiscardHandler),
				Chunks: timeline.NewReader(vault.New(b.blobs, b.keys)), Now: func() time.Time { return time.Now().Add(-tt.behind) }})
			b.ask(end, end)
			b.fail = errors.New("down")
			if b.due(1) == "ack" || b.result(end) == nil {
				t.Fatal("no result that nobody was told of")
			}
			b.fail = nil
			if v := b.due(tt.asked); v != "ack" || len(b.published) < 1 {
				t.Errorf("verdict %q, told %v", v, b.topics())
			}
		})
	}
}

// A day that a later release wrote is no damage: its windows wait for a process
// that knows it, and are nobody's dead letter.
func TestADayOfALaterReleaseIsWaitedFor(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	day, err := b.store.Days.Get(t.Context(), uid, end.String())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := b.blobs.Get(t.Context(), day.Value.Chunk)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := b.keys.Open(t.Context(), uid, day.Value.Chunk, sealed)
	if err != nil {
		t.Fatal(err)
	}
	later := bytes.Clone(plain)
	later[3]++ // of the magic, which is its version
	b.write(t.Context(), day.Value.Chunk, later)
	b.ask(end, end)
	b.ask(end-9, end-9) // reads another week, and is not held up
	for attempt := range 20 {
		if v := b.due(attempt + 1); v != "postpone: timeline decode: newer" {
			t.Fatalf("verdict %q", v)
		}
	}
	if !slices.Equal(b.left(), []health.Day{end}) {
		t.Errorf("left are %v", b.left())
	}
	b.write(t.Context(), day.Value.Chunk, plain)
	if v := b.due(1); v != "ack" || b.result(end) == nil {
		t.Errorf("once it is known: %q", v)
	}
}
