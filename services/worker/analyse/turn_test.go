package analyse_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// counted counts how often each chunk is read.
type counted struct {
	*timeline.Reader
	reads map[string]int
}

func (c counted) Chunk(ctx context.Context, uid, name string) (timeline.Chunk, error) {
	c.reads[name]++
	return c.Reader.Chunk(ctx, uid, name)
}

// due hands the stage the person's message, and returns its verdict in a word.
func (b *bench) due(asked int) string {
	b.t.Helper()
	body, err := json.Marshal(flow.WindowsDue{UID: uid, Asked: asked})
	if err != nil {
		b.t.Fatal(err)
	}
	return stagetest.Word(b.stage.Handle(context.Background(), queue.Delivery{Message: queue.Message{Topic: flow.TopicAnalyses, Key: uid, Body: body}, Attempt: 1}))
}

func (b *bench) left() []health.Day {
	b.t.Helper()
	a, err := b.windows.Asked(context.Background(), uid)
	if err != nil {
		b.t.Fatal(err)
	}
	return a.Ends()
}

func (b *bench) ask(first, last health.Day) {
	b.t.Helper()
	var ends []health.Day
	for end := first; end <= last; end++ {
		ends = append(ends, end)
	}
	if err := b.windows.Ask(context.Background(), uid, ends...); err != nil {
		b.t.Fatal(err)
	}
}

// A turn is the newest windows, their days read once; then others have theirs.
func TestATurnIsTheNewestWindows(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	chunks := counted{timeline.NewReader(vault.New(b.blobs, b.keys)), map[string]int{}}
	b.stage = analyse.New(analyse.Needs{Store: b.store, Windows: b.windows, Chunks: chunks, Queue: b, Audit: b, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	b.ask(end-16, end+3)
	if got := b.due(1); got != "postpone: the next windows have their turn" {
		t.Fatal(got)
	}
	if left := b.left(); len(left) != 6 || left[0] != end-11 {
		t.Errorf("left are %v, want the six oldest, up to %v", left, end-11)
	}
	if b.result(end) == nil {
		t.Error("the newest week has no result behind the first turn")
	}
	for name, n := range chunks.reads {
		if n != 1 {
			t.Errorf("%s is read %d times for one turn", name, n)
		}
	}
	if got := b.due(1); got != "ack" || len(b.left()) != 0 {
		t.Errorf("the second turn: %s, left %v", got, b.left())
	}
	told := len(b.published)
	if got := b.due(1); got != "ack" || len(b.published) != told {
		t.Errorf("the message again: %s, %d more messages", got, len(b.published)-told)
	}
}

// Without consent the windows wait, and with it they are there.
func TestWindowsWaitForConsent(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	b.ask(end, end)
	b.consent(false)
	if got := b.due(1); got != "ack" || !slices.Equal(b.left(), []health.Day{end}) {
		t.Fatalf("%s, left %v", got, b.left())
	}
	if due, err := b.store.Due(t.Context(), store.ShardOf(uid), time.Now().Add(365*24*time.Hour), 10); err != nil || len(due) != 0 {
		t.Errorf("%d entries are due without consent, %v", len(due), err)
	}
	b.consent(true)
	if got := b.due(2); got != "ack" || b.result(end) == nil || len(b.left()) != 0 {
		t.Errorf("%s, left %v", got, b.left())
	}
}

// A window that cannot be read costs no other its Result, and is told.
func TestAWindowThatCannotBeReadCostsNoOther(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	b.keep(end+12, nil)
	if _, err := b.store.Days.Put(t.Context(), uid, (end + 12).String(), store.Any, record.Day{Chunk: "days/none", Digest: "x", Zone: "Europe/Berlin"}); err != nil {
		t.Fatal(err)
	}
	b.ask(end-1, end+12)
	if got := b.due(1); got != "postpone: a chunk was replaced meanwhile" {
		t.Fatal(got)
	}
	if b.result(end) == nil || slices.Contains(b.left(), end) || !slices.Contains(b.left(), end+12) {
		t.Errorf("left %v", b.left())
	}
}

// Whoever changes a field of the profile that enters a Result's input has the
// Results looked at again, and nobody else: field by field.
func TestAProfileSteersWhatEntersTheDigest(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	if got := b.handle(end, 1); got != "ack" {
		t.Fatal(got)
	}
	steering := 0
	for i := range reflect.TypeFor[record.Profile]().NumField() {
		var p record.Profile
		switch f := reflect.ValueOf(&p).Elem().Field(i); f.Interface().(type) {
		case int:
			f.SetInt(1980)
		case float64:
			f.SetFloat(1.8)
		case string:
			f.SetString("America/New_York")
		case []string:
			f.Set(reflect.ValueOf([]string{"iPhone"}))
		case time.Time:
			f.Set(reflect.ValueOf(time.Now()))
		default:
			t.Fatalf("a field of type %s", f.Type())
		}
		name := reflect.TypeFor[record.Profile]().Field(i).Name
		if _, err := b.store.Profiles.Put(t.Context(), uid, record.ProfileKey, store.Any, p); err != nil {
			t.Fatal(err)
		}
		fresh, err := b.stage.Look(t.Context(), analysis.Request{UID: uid, End: end})
		if err != nil {
			t.Fatal(err)
		}
		if fresh.Current == p.Steers(record.Profile{}) {
			t.Errorf("%s: the result is current %v, and it steers %v", name, fresh.Current, p.Steers(record.Profile{}))
		}
		if !fresh.Current {
			steering++
		}
	}
	if steering == 0 {
		t.Error("no field steers a result: this test proves nothing")
	}
}
