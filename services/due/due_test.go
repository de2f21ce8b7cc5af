package due_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
	"github.com/clarity-loop/clarity/services/trace"
)

const anna = "anna-canary"

// A world is the stage over a laptop's store, with a clock that the test moves.
type world struct {
	t       *testing.T
	store   *store.Store
	driver  store.Driver
	keys    store.Sealer
	mu      sync.Mutex // of now
	now     time.Time
	windows *due.Windows
	stage   *due.Stage
	said    []string
	putOff  count
	fails   error
	log     bytes.Buffer
	causes  []string // of what was said last
}

// Start notes whose doing a message is.
func (w *world) Start(s trace.Start) trace.Span {
	w.causes = append([]string{s.Parent}, s.Links...)
	return trace.From(context.Background())
}

// A count counts.
type count int

func (c *count) Inc() { *c++ }

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 4, 2, 9, 0, 0, 0, time.UTC)}
	now := w.clock
	l := stagetest.Open(t, stagetest.Options{Now: now, Over: func(d store.Driver) store.Driver { w.driver = d; return d }})
	w.store, w.keys = l.Store, l.Keys
	w.windows = &due.Windows{Store: w.store, Now: now, Quiet: time.Second}
	w.stage = due.New(due.Needs{Store: w.store, Queue: w, Windows: w.windows, PutOff: &w.putOff, Now: now, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	return w
}

// clock is for the drivers' own goroutines, too.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(by)
}

func (w *world) Publish(ctx context.Context, msgs ...queue.Message) error {
	trace.Outgoing(ctx, w, trace.Start{})
	if w.fails != nil {
		return w.fails
	}
	for _, m := range msgs {
		if m.Key != anna {
			w.t.Errorf("the key is %q", m.Key)
		}
		var what struct {
			UploadID string
			End      *health.Day
			Asked    int
		}
		if err := json.Unmarshal(m.Body, &what); err != nil {
			w.t.Error(err)
		}
		if what.End != nil {
			what.UploadID = what.End.String() + " "
		}
		w.said = append(w.said, fmt.Sprintf("%s %s%d", m.Topic, what.UploadID, what.Asked))
	}
	return nil
}

// pass moves the clock and returns what is asked for then.
func (w *world) pass(by time.Duration) (said []string) {
	w.t.Helper()
	w.later(by)
	if _, err := w.stage.Pass(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	said, w.said = w.said, nil
	return said
}

func (w *world) ask(ends ...health.Day) {
	w.t.Helper()
	if err := w.windows.Ask(w.t.Context(), anna, ends...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) asked() due.Asked {
	w.t.Helper()
	a, err := w.windows.Asked(w.t.Context(), anna)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestABurstMakesOneMessage(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.ask(health.Day(100+i), health.Day(101+i))
	}
	same(t, "before the person is quiet", nil, w.pass(900*time.Millisecond))
	same(t, "quiet", []string{"analyses 1"}, w.pass(200*time.Millisecond))
	same(t, "at once", nil, w.pass(0))
	if ends := w.asked().Ends(); len(ends) != 51 || ends[0] != 150 || ends[50] != 100 {
		t.Errorf("the windows are %v", ends)
	}
}

// merged is the span of a merge.
type merged struct {
	trace.Span
	parent string
}

func (m merged) Parent() string { return m.parent }

// What a burst brings about is in the trace of the first that is sampled, and linked to the
// others; so is what is asked for again, and nothing that comes behind it.
func TestABurstIsTheDoingOfAll(t *testing.T) {
	w := newWorld(t)
	const one, two, three = "00-0000000000000000000000000000000a-000000000000000a-00", "00-0000000000000000000000000000000b-000000000000000b-01", "00-0000000000000000000000000000000c-000000000000000c-01"
	for _, parent := range []string{one, two, three, two} {
		if err := w.windows.Ask(trace.With(t.Context(), merged{parent: parent}), anna, 100); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "before it is due", nil, w.pass(0))
	for _, later := range []time.Duration{2 * time.Second, 2 * time.Hour} {
		if said := w.pass(later); len(said) != 1 {
			t.Fatalf("said %q", said)
		}
		same(t, "the doing of", []string{two, one, three}, w.causes)
	}
	if _, err := w.windows.Done(t.Context(), anna, w.asked(), w.asked().Ends()); err != nil {
		t.Fatal(err)
	}
	w.ask(100)
	w.pass(2 * time.Second)
	same(t, "of nobody's doing", []string{""}, w.causes)
}

// One who is never quiet is analysed all the same.
func TestWhoIsNeverQuietIsAnalysed(t *testing.T) {
	w := newWorld(t)
	for i := range 25 {
		w.ask(health.Day(i))
		if said := w.pass(900 * time.Millisecond); len(said) > 0 {
			if waited := time.Duration(i+1) * 900 * time.Millisecond; waited < 19*time.Second {
				t.Errorf("asked for after %v", waited)
			}
			return
		}
	}
	t.Error("never asked for")
}

// A message that is lost is asked for again, ever more rarely, until the work is done.
func TestWhatIsLostIsAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.ask(7)
	same(t, "first", []string{"analyses 1"}, w.pass(time.Second))
	same(t, "a little later", nil, w.pass(50*time.Second))
	same(t, "after a minute", []string{"analyses 2"}, w.pass(20*time.Second))
	same(t, "after another", nil, w.pass(time.Minute))
	w.fails = errors.New("away")
	w.later(2 * time.Minute)
	if _, err := w.stage.Pass(t.Context()); err == nil {
		t.Error("nothing is wrong with a queue that takes nothing")
	}
	w.fails = nil
	same(t, "what could not be published", []string{"analyses 4"}, w.pass(5*time.Minute))
	a := w.asked()
	if left, err := w.windows.Done(t.Context(), anna, a, a.Ends()); err != nil || left {
		t.Fatal(left, err)
	}
	same(t, "done", nil, w.pass(24*time.Hour))
}

// What is asked for while it is being done is not taken off with it.
func TestWhatIsAskedForMeanwhileStays(t *testing.T) {
	w := newWorld(t)
	w.ask(1, 2, 3)
	a := w.asked()
	w.ask(2, 9)
	left, err := w.windows.Done(t.Context(), anna, a, []health.Day{1, 2, 3})
	if err != nil || !left {
		t.Fatal(left, err)
	}
	same(t, "left", []health.Day{9, 2}, w.asked().Ends())
	if left, err = w.windows.Done(t.Context(), anna, w.asked(), []health.Day{9, 2}); err != nil || left {
		t.Fatal(left, err)
	}
	if left, err = w.windows.Done(t.Context(), anna, a, []health.Day{1, 2, 3}); err != nil || left {
		t.Errorf("done twice: %v, %v", left, err)
	}
}

// A success ends the pauses that grew in an outage; who has the rest in hand tells of
// all that is stored, as the one before may not have.
func TestWhatIsLeftIsAskedForSoon(t *testing.T) {
	w := newWorld(t)
	w.ask(1, 2)
	w.pass(time.Second)
	if w.asked().Again() {
		t.Error("asked for once, somebody has had it in hand")
	}
	for range 9 {
		w.pass(2 * time.Hour)
	}
	a := w.asked()
	if left, err := w.windows.Done(t.Context(), anna, a, []health.Day{2}); err != nil || !left {
		t.Fatal(left, err)
	}
	if !w.asked().Again() {
		t.Error("of what is left nobody says that it was in hand")
	}
	same(t, "the pause that began before", []string{"analyses 3"}, w.pass(time.Hour))
	same(t, "the next", []string{"analyses 4"}, w.pass(4*time.Minute))
}

// Who was slow takes nothing off that was asked for since another had done all of it:
// the entry is another by then, whose generations begin anew.
func TestWhatIsAskedForAnewStays(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.ask(1, 2)
	}
	slow := w.asked()
	if left, err := w.windows.Done(t.Context(), anna, slow, []health.Day{1, 2}); err != nil || left {
		t.Fatal(left, err)
	}
	w.ask(2)
	if left, err := w.windows.Done(t.Context(), anna, slow, []health.Day{1, 2}); err != nil || !left {
		t.Error(left, err)
	}
	same(t, "left", []health.Day{2}, w.asked().Ends())
}

// Two processes that look at the same entries ask once.
func TestWhoeverIsFirstAsks(t *testing.T) {
	w := newWorld(t)
	w.ask(1)
	w.later(time.Second)
	docs, err := w.driver.Due(t.Context(), []string{"agenda", "uploads"}, store.ShardOf(anna), w.clock(), 10)
	if err != nil || len(docs) != 1 {
		t.Fatal(docs, err)
	}
	other := due.New(due.Needs{Store: store.New(stale{w.driver, docs}, w.keys), Queue: w, Windows: w.windows, PutOff: &w.putOff, Now: w.clock, Log: slog.New(slog.DiscardHandler)})
	same(t, "the one", []string{"analyses 1"}, w.pass(0))
	if _, err := other.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "the other", nil, w.said)
}

// stale lists what was due a while ago.
type stale struct {
	store.Driver
	docs []store.Document
}

func (s stale) Due(_ context.Context, _ []string, shard int, _ time.Time, _ int) ([]store.Document, error) {
	if shard != store.ShardOf(anna) {
		return nil, nil
	}
	return s.docs, nil
}

// put writes an upload's record, to be looked at in such a time.
func (w *world) put(id string, u record.Upload, in time.Duration) {
	w.t.Helper()
	if _, err := w.store.Batch(w.t.Context(), anna, w.store.Uploads.ToPut(id, store.Any, u).At(w.clock().Add(in))); err != nil {
		w.t.Fatal(err)
	}
}

func TestAnUploadIsAnnouncedAgainUntilItIsDone(t *testing.T) {
	w := newWorld(t)
	u := record.Upload{State: record.UploadReceived}
	w.put("upload-1", u, 5*time.Minute)
	w.put("upload-2", record.Upload{State: record.UploadReceived, Historical: true}, 7*time.Minute)
	same(t, "soon", nil, w.pass(4*time.Minute))
	same(t, "after five minutes", []string{"uploads upload-10"}, w.pass(time.Minute))
	same(t, "one of the past", []string{"history upload-20"}, w.pass(2*time.Minute))
	same(t, "after nine", nil, w.pass(2*time.Minute))
	same(t, "after ten", []string{"uploads upload-10"}, w.pass(time.Minute))
	u.State = record.UploadMerged
	for _, id := range []string{"upload-1", "upload-2"} {
		w.put(id, u, 31*24*time.Hour)
	}
	same(t, "merged", nil, w.pass(31*24*time.Hour-time.Second))
	if _, err := w.store.Uploads.Get(t.Context(), anna, "upload-1"); err != nil {
		t.Error(err)
	}
	same(t, "of no use any more", nil, w.pass(time.Second))
	if left, err := w.store.Uploads.List(t.Context(), anna, store.Query{Limit: 10}); err != nil || len(left) > 0 {
		t.Errorf("%d records are left, %v", len(left), err)
	}
}

// What a release before has put on the agenda of an upload is looked at by the
// upload's record from then on; of one that is done, or gone, nothing is left.
func TestAnUploadOfAReleaseBeforeIsAdopted(t *testing.T) {
	w := newWorld(t)
	began := w.clock()
	for id, state := range map[string]record.UploadState{"received": record.UploadReceived, "held": record.UploadHeld, "merged": record.UploadMerged, "gone": ""} {
		e := agenda.Errand{Kind: agenda.Upload, Ref: id}
		changes := []store.Change{w.store.Agenda.ToPut(e.Key(), 0, e).At(began)}
		if state != "" {
			changes = append(changes, w.store.Uploads.ToPut(id, 0, record.Upload{State: state}))
		}
		if _, err := w.store.Batch(t.Context(), anna, changes...); err != nil {
			t.Fatal(err)
		}
	}
	said := append(w.pass(0), w.pass(time.Second)...)
	slices.Sort(said)
	same(t, "asked for", []string{"uploads held0", "uploads received0"}, said)
	if left, err := w.store.Agenda.List(t.Context(), anna, store.Query{Limit: 10}); err != nil || len(left) > 0 {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
	held, err := w.store.Uploads.Get(t.Context(), anna, "held")
	if err != nil || !held.Value.HeldAt.Equal(began) {
		t.Errorf("held since %v, %v; want %v", held.Value.HeldAt, err, began)
	}
}

// What cannot be read, and what is of a later release, is put off for ever longer, an
// hour at most, and counted: it does not stand before everything else.
func TestWhatCannotBeReadIsPutOff(t *testing.T) {
	w := newWorld(t)
	odd := agenda.Errand{Kind: "later"}
	if _, err := w.store.Batch(t.Context(), anna, w.store.Agenda.ToPut(odd.Key(), 0, odd).At(w.clock())); err != nil {
		t.Fatal(err)
	}
	u := record.Upload{State: record.UploadReceived}
	w.put("damaged", u, 0)
	docs, err := w.driver.Due(t.Context(), []string{"agenda", "uploads"}, store.ShardOf(anna), w.clock(), 10)
	if err != nil || len(docs) != 2 {
		t.Fatal(docs, err)
	}
	for _, d := range docs {
		if w.store.Uploads.Holds(d) {
			d.Data[len(d.Data)-1]++
			if _, err := w.driver.Batch(t.Context(), []store.Write{{Key: d.Key, IfVersion: d.Version, Data: d.Data, Due: d.Due}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var pauses []time.Duration
	for range 12 {
		docs, err := w.driver.Due(t.Context(), []string{"agenda", "uploads"}, store.ShardOf(anna), w.clock().Add(24*time.Hour), 10)
		if err != nil || len(docs) != 2 || docs[0].Due != docs[1].Due {
			t.Fatal(docs, err)
		}
		pause := docs[0].Due.Sub(w.clock())
		pauses = append(pauses, pause)
		same(t, "a moment before", nil, w.pass(pause-time.Microsecond))
		same(t, "put off so often", 2*(len(pauses)-1), int(w.putOff))
		same(t, "then", nil, w.pass(time.Microsecond))
	}
	same(t, "pauses", []time.Duration{0, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour}, pauses)
}

func (w *world) agree(granted bool) {
	w.t.Helper()
	if _, err := w.store.Answer(w.t.Context(), anna, record.PurposeProcessing, func(record.Consent) record.Consent {
		return record.Consent{Granted: granted, At: w.clock()}
	}); err != nil {
		w.t.Fatal(err)
	}
}

// What was held for want of consent goes on with it, uploads and windows, and does
// not ask before.
func TestConsentTakesUpWhatWasHeld(t *testing.T) {
	w := newWorld(t)
	w.agree(true)
	w.ask(5)
	for i, state := range []record.UploadState{record.UploadHeld, record.UploadMerged, record.UploadHeld} {
		if _, err := w.store.Uploads.Put(t.Context(), anna, fmt.Sprint("upload-", i), 0, record.Upload{State: state}); err != nil {
			t.Fatal(err)
		}
	}
	w.agree(false)
	standing, err := w.store.Standing(t.Context(), anna)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.windows.Hold(t.Context(), anna, standing); err != nil {
		t.Fatal(err)
	}
	same(t, "without consent", nil, w.pass(30*24*time.Hour))
	w.agree(true)
	if err := w.windows.Hold(t.Context(), anna, standing); !errors.Is(err, store.ErrConflict) {
		t.Errorf("held as they stood before: %v, want a conflict", err)
	}
	first := w.pass(0)
	same(t, "with it", 3, len(append(first, w.pass(0)...)))
}

// An upload whose message came in an erasure's grace, which has it be looked at later,
// goes on at once when the erasure is taken back.
func TestAnErasureTakenBackTakesUpWhatCameMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.agree(true)
	change := w.store.Uploads.ToPut("upload-1", 0, record.Upload{State: record.UploadReceived}).At(w.clock().Add(5 * time.Minute))
	if _, err := w.store.Batch(t.Context(), anna, change); err != nil {
		t.Fatal(err)
	}
	same(t, "before", nil, w.pass(0))
	if _, err := w.store.Batch(t.Context(), anna, w.store.Errand(agenda.Resume, w.clock(), w.clock())); err != nil {
		t.Fatal(err)
	}
	first := w.pass(0)
	same(t, "then", 1, len(append(first, w.pass(0)...)))
}

// An export whose message came in the grace is written once that is over, not by its own retry.
func TestAnErasureTakenBackTakesUpExports(t *testing.T) {
	w := newWorld(t)
	w.agree(true)
	later := w.clock().Add(time.Hour)
	for slot, state := range map[int]exported.State{1: exported.Pending, 2: exported.Ready} {
		e := agenda.Errand{Kind: agenda.Export, Ref: fmt.Sprint("export-", slot)}
		if _, err := w.store.Batch(t.Context(), anna, w.store.Exports.ToPut(e.Ref, 0, record.Export{State: state, Slot: slot}), w.store.Agenda.ToPut(agenda.ExportKey(slot), 0, e).At(later)); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "before", nil, w.pass(0))
	if _, err := w.store.Batch(t.Context(), anna, w.store.Errand(agenda.Resume, w.clock(), w.clock())); err != nil {
		t.Fatal(err)
	}
	first := w.pass(0)
	same(t, "then", []string{"exports 0"}, append(first, w.pass(0)...))
}

// A Result that changed while there was no consent is told of with it: one without
// an Insight, one whose Insight is of another, one that is gone, and one whose Insight
// was written when nobody may have told of it; no other, and nothing is lost where the
// queue takes nothing.
func TestConsentHasWhatChangedPutIntoWords(t *testing.T) {
	w := newWorld(t)
	w.agree(true)
	digests := map[string][2]string{ // of the Result and of its Insight
		"2026-03-25": {"a", "a"}, "2026-03-26": {"a", "a"}, "2026-03-27": {"a", "a"}, "2026-03-28": {"a", "a"}, "2026-03-29": {"b", ""}, "2026-03-30": {"c", "before"}, "2026-03-31": {"", "d"},
	}
	written := map[string]time.Duration{"2026-03-25": time.Hour, "2026-03-26": -23 * time.Hour, "2026-03-27": -25 * time.Hour, "2026-03-28": -48 * time.Hour} // behind the withdrawal
	for key, digest := range digests {
		if digest[0] != "" {
			if _, err := w.store.Results.Put(t.Context(), anna, key, 0, record.Result{Result: analysis.Result{Lineage: analysis.Lineage{InputDigest: digest[0]}}}); err != nil {
				t.Fatal(err)
			}
		}
		if digest[1] != "" {
			if _, err := w.store.Insights.Put(t.Context(), anna, key, 0, record.Insight{Insight: analysis.Insight{InputDigest: digest[1]}, WrittenAt: w.clock().Add(written[key])}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.agree(false)
	same(t, "without consent", nil, w.pass(30*24*time.Hour))
	w.agree(true)
	w.fails = errors.New("away")
	if _, err := w.stage.Pass(t.Context()); err == nil {
		t.Error("nothing is wrong with a queue that takes nothing")
	}
	w.fails = nil
	same(t, "with it", []string{"results 2026-03-25 0", "results 2026-03-26 0", "results 2026-03-29 0", "results 2026-03-30 0", "results 2026-03-31 0"}, w.pass(0))
	same(t, "once", nil, w.pass(24*time.Hour))
}

// A change of what every Result rests on has all windows with data looked at, and
// none that ends after today where the person was last.
func TestAReviewAsksForEveryWindowWithData(t *testing.T) {
	for zone, beyond := range map[string]health.Day{"UTC": 0, "": 0, "Pacific/Kiritimati": 1, "Pacific/Pago_Pago": 0} {
		t.Run(zone, func(t *testing.T) { reviews(t, zone, beyond) })
	}
}

// reviews has a day of the zone reviewed, in whose windows are so many days that are beyond it.
func reviews(t *testing.T, zone string, beyond health.Day) {
	w := newWorld(t)
	w.now = w.now.Add(2 * time.Hour)
	today, err := health.ParseDay("2026-04-02")
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range []health.Day{today - 100, today} {
		if _, err := w.store.Days.Put(t.Context(), anna, day.String(), 0, record.Day{Zone: zone}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.store.Batch(t.Context(), anna, w.store.Errand(agenda.Review, w.clock(), w.clock())); err != nil {
		t.Fatal(err)
	}
	w.pass(0)
	want := []health.Day{today, today - 1}
	if beyond > 0 {
		want = []health.Day{today + beyond, today, today - 1}
	}
	for end := today - 93; end >= today-101; end-- {
		want = append(want, end)
	}
	same(t, "windows", want, w.asked().Ends())
	same(t, "asked", []string{"analyses 1"}, w.pass(time.Second))
}

// One entry that cannot be read stops no other, and nobody is named.
func TestWhatCannotBeReadStopsNoOther(t *testing.T) {
	w := newWorld(t)
	w.ask(1)
	odd := agenda.Errand{Kind: "later", Since: w.clock()}
	if _, err := w.store.Batch(t.Context(), anna, w.store.Agenda.ToPut(odd.Key(), 0, odd).At(w.clock())); err != nil {
		t.Fatal(err)
	}
	same(t, "asked", []string{"analyses 1"}, w.pass(time.Second))
	if _, err := w.store.Agenda.Get(t.Context(), anna, odd.Key()); err != nil {
		t.Errorf("an entry of a later release is gone: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	w.fails = errors.New(anna)
	w.ask(2)
	w.later(time.Hour)
	w.stage.Run(ctx, 10*time.Millisecond)
	if !bytes.Contains(w.log.Bytes(), []byte("what is due waits")) || bytes.Contains(w.log.Bytes(), []byte(anna)) {
		t.Errorf("the log says %s", w.log.String())
	}
}

// A shard that cannot be listed costs no other; a store that is away is not asked 64 times.
func TestAShardThatCannotBeListedStopsNoOther(t *testing.T) {
	w := newWorld(t)
	w.ask(1)
	for name, tt := range map[string]struct { // each at the same time
		broken func(shard int) bool
		asked  int // shards
		said   []string
	}{
		"one before hers":   {func(shard int) bool { return shard == store.ShardOf(anna)-1 }, store.Shards, []string{"analyses 1"}},
		"the store is away": {func(int) bool { return true }, 5, nil},
	} {
		w.later(time.Second)
		patchy := &patchy{Driver: w.driver, broken: tt.broken}
		stage := due.New(due.Needs{Store: store.New(patchy, w.keys), Queue: w, Windows: w.windows, PutOff: &w.putOff, Now: w.clock, Log: slog.New(slog.DiscardHandler)})
		if _, err := stage.Pass(t.Context()); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
		same(t, name, tt.said, w.said)
		same(t, name, tt.asked, int(patchy.asked.Load()))
		w.said = nil
		w.later(-time.Second)
	}
}

// patchy lists some shards only.
type patchy struct {
	store.Driver
	broken func(shard int) bool
	asked  atomic.Int64 // by a stage on its own clock, while the test looks
}

func (p *patchy) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	if p.asked.Add(1); p.broken(shard) {
		return nil, errors.New("away")
	}
	return p.Driver.Due(ctx, collections, shard, before, limit)
}

// What cannot be taken up for long is said once, looked at ever more rarely, and taken
// up by itself once it can be.
func TestATroubleIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool // and what was read before it changes, the stage writes behind it
		full.Store(true)
		p := &patchy{Driver: storetest.Memory(time.Now), broken: func(int) bool { return full.Load() }}
		var log bytes.Buffer
		st := store.New(p, nil)
		stage := due.New(due.Needs{Store: st, Windows: &due.Windows{Store: st, Now: time.Now, Quiet: time.Second}, PutOff: new(count), Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { stage.Run(ctx, 200*time.Millisecond); close(ended) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if lines, asked := strings.Count(log.String(), "\n"), p.asked.Load(); lines != 1 || !strings.Contains(log.String(), "level=WARN") || asked > 5*20 {
			t.Errorf("in a minute the driver was asked %d times, and the log says\n%s", asked, &log)
		}
		full.Store(false)
		time.Sleep(10 * time.Second)
		stop()
		<-ended
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "level=INFO") {
			t.Errorf("once it is over the log says\n%s", &log)
		}
	})
}

// BenchmarkNothingDue is what a look costs where nothing is wrong.
func BenchmarkNothingDue(b *testing.B) {
	now := time.Now
	s := stagetest.Open(b, stagetest.Options{Now: now}).Store
	stage := due.New(due.Needs{Store: s, Windows: &due.Windows{Store: s, Now: now, Quiet: time.Second}, PutOff: new(count), Now: now, Log: slog.New(slog.DiscardHandler)})
	b.ReportAllocs()
	for b.Loop() {
		if n, err := stage.Pass(b.Context()); err != nil || n > 0 {
			b.Fatal(n, err)
		}
	}
}
