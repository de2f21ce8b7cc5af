package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// world is a stage over the embedded drivers.
type world struct {
	*Stage
	t     testing.TB
	keys  keyring.Keyring
	queue queue.Queue
	log   *bytes.Buffer
	// What the Store stands on.
	driver store.Driver
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, flow.Consumers())
}

func newWorldOf(t testing.TB, consumers queue.Consumers) *world {
	t.Helper()
	w := &world{t: t, log: &bytes.Buffer{}}
	l := stagetest.Open(t, stagetest.Options{Consumers: consumers, Over: func(d store.Driver) store.Driver { w.driver = d; return d }})
	w.keys, w.queue = l.Keys, l.Queue
	w.over(l.Store)
	return w
}

// over has a process of its own over the store; it remembers nobody.
func (w *world) over(s *store.Store) *Stage {
	w.Stage = New(Needs{Store: s, Queue: w.queue, News: news.NewBook(s, noon), Log: slog.New(slog.NewTextHandler(w.log, nil))})
	return w.Stage
}

// key is an event's number as the store has it.
func key(n uint64) string { return fmt.Sprintf("%016x", n) }

// tell hands an event to the stage and returns the verdict in a word.
func tell(t testing.TB, s *Stage, uid string, kind flow.EventKind, ref, version string) string {
	t.Helper()
	body, err := json.Marshal(flow.Event{UID: uid, Kind: kind, Ref: ref, Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return handle(s, body)
}

func handle(s *Stage, body []byte) string {
	return stagetest.Word(s.Handle(context.Background(), queue.Delivery{Message: queue.Message{Topic: flow.TopicEvents, Body: body}, Attempt: 1}))
}

// recorded is everything kept for the uid, in order, as "key kind ref version".
func (w *world) recorded(uid string) (lines []string) {
	w.t.Helper()
	for after := ""; ; {
		page, err := w.Store.Events.List(w.t.Context(), uid, store.Query{After: after, Limit: 500})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range page {
			first, err := strconv.ParseUint(r.Key, 16, 64)
			if err != nil {
				w.t.Fatal(err)
			}
			for i, e := range r.Value.All() {
				lines = append(lines, fmt.Sprintf("%s %s %s %s", key(first+uint64(i)), e.Kind, e.Ref, e.Version))
			}
			after = r.Key
		}
		if len(page) < 500 {
			return lines
		}
	}
}

func TestDeliveriesAreNumberedAPerson(t *testing.T) {
	w := newWorld(t)
	for _, d := range []struct{ uid, ref string }{{"anna", "u1"}, {"bert", "u9"}, {"anna", "u2"}} {
		if got := tell(t, w.Stage, d.uid, flow.UploadMerged, d.ref, "1"); got != "ack" {
			t.Fatal(got)
		}
	}
	want := map[string][]string{
		"anna": {"0000000000000001 upload.merged u1 1", "0000000000000002 upload.merged u2 1"},
		"bert": {"0000000000000001 upload.merged u9 1"},
	}
	for uid, lines := range want {
		if diff := cmp.Diff(lines, w.recorded(uid)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", uid, diff)
		}
	}
	r, err := w.Store.Events.Get(t.Context(), "anna", "0000000000000001")
	if err != nil || !r.Value.At.Equal(noon()) {
		t.Errorf("At = %v, %v", r.Value.At, err)
	}
}

func TestARepetitionIsNotRecorded(t *testing.T) {
	tests := map[string]struct {
		second  flow.Event
		forgets bool // a restart lies between the two
		want    int
	}{
		"the same":                          {second: flow.Event{Kind: flow.InsightReady, Ref: "2026-11-20", Version: "a"}, want: 1},
		"the same, behind a restart":        {second: flow.Event{Kind: flow.InsightReady, Ref: "2026-11-20", Version: "a"}, forgets: true, want: 1},
		"another version":                   {second: flow.Event{Kind: flow.InsightReady, Ref: "2026-11-20", Version: "b"}, want: 2},
		"another kind":                      {second: flow.Event{Kind: flow.ResultStored, Ref: "2026-11-20", Version: "a"}, want: 2},
		"another ref":                       {second: flow.Event{Kind: flow.InsightReady, Ref: "2026-11-21", Version: "a"}, want: 2},
		"another ref, behind a restart":     {second: flow.Event{Kind: flow.InsightReady, Ref: "2026-11-21", Version: "a"}, forgets: true, want: 2},
		"another of the same story":         {second: flow.Event{Kind: flow.InsightWithdrawn, Ref: "2026-11-20", Version: "a"}, want: 2},
		"letters moved from ref to version": {second: flow.Event{Kind: flow.InsightReady, Ref: "2026-11-20a", Version: "a"}, want: 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tell(t, w.Stage, "anna", flow.InsightReady, "2026-11-20", "a")
			if tt.forgets {
				w.over(w.Store)
			}
			if got := tell(t, w.Stage, "anna", tt.second.Kind, tt.second.Ref, tt.second.Version); got != "ack" {
				t.Fatal(got)
			}
			if got := w.recorded("anna"); len(got) != tt.want {
				t.Errorf("recorded %v, want %d", got, tt.want)
			}
		})
	}
}

// What was withdrawn and stored again is news each time, whatever came between.
func TestWhatComesBackIsTold(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []flow.EventKind{flow.ResultStored, flow.ResultWithdrawn, flow.ResultStored, flow.ResultStored, flow.ResultWithdrawn} {
		tell(t, w.Stage, "anna", kind, "2026-11-20", "a")
		tell(t, w.Stage, "anna", flow.ResultStored, "2026-11-21", "b")
		tell(t, w.Stage, "anna", flow.InsightReady, "2026-11-20", "a")
	}
	want := []string{"result.stored 2026-11-20 a", "result.stored 2026-11-21 b", "insight.ready 2026-11-20 a", "result.withdrawn 2026-11-20 a", "result.stored 2026-11-20 a", "result.withdrawn 2026-11-20 a"}
	got := w.recorded("anna")
	for i := range got {
		_, got[i], _ = strings.Cut(got[i], " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// A message that comes once more, when others have told of what was done since, is not
// told, and hides nothing that is told behind it: of any kind.
func TestAMessageThatComesLateHidesNothing(t *testing.T) {
	type change struct {
		kind    flow.EventKind
		version string
		of      int64
	}
	tests := map[string]struct{ told, since, next change }{
		"a withdrawal of an insight": {change{flow.InsightWithdrawn, "withdrawn", 2}, change{flow.InsightReady, "b", 3}, change{flow.InsightWithdrawn, "withdrawn", 4}},
		"a withdrawal of a result":   {change{flow.ResultWithdrawn, "withdrawn", 2}, change{flow.ResultStored, "b", 3}, change{flow.ResultWithdrawn, "withdrawn", 4}},
		"an insight":                 {change{flow.InsightReady, "a", 2}, change{flow.InsightReady, "b", 3}, change{flow.InsightReady, "a", 4}},
		"a result":                   {change{flow.ResultStored, "a", 2}, change{flow.ResultStored, "b", 3}, change{flow.ResultStored, "a", 4}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			say := func(c change) {
				t.Helper()
				body, err := json.Marshal(flow.Event{UID: "anna", Kind: c.kind, Ref: "2026-11-20", Version: c.version, Change: c.of})
				if err != nil {
					t.Fatal(err)
				}
				if got := handle(w.Stage, body); got != "ack" {
					t.Fatal(got)
				}
			}
			var want []string
			first := change{flow.EventKind(tt.told.kind.Of() + map[string]string{"result": ".stored", "insight": ".ready"}[tt.told.kind.Of()]), "first", 1}
			for i, c := range []change{first, tt.told, tt.since, tt.next} {
				say(c)
				want = append(want, fmt.Sprintf("%s %s 2026-11-20 %s", key(uint64(i+1)), c.kind, c.version))
				if i == 2 {
					say(tt.told)
				}
				say(c)
			}
			if diff := cmp.Diff(want, w.recorded("anna")); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
		})
	}
}

// Who cannot say which change it was tells nobody again of what was told last, whoever
// told it.
func TestAChangeThatNobodyKnowsIsToldOnce(t *testing.T) {
	w := newWorld(t)
	for _, e := range []flow.Event{
		{Kind: flow.ResultStored, Ref: "2026-11-20", Version: "a", Change: 1},
		{Kind: flow.ResultWithdrawn, Ref: "2026-11-20", Version: "withdrawn", Change: 1},
		{Kind: flow.ResultWithdrawn, Ref: "2026-11-20", Version: "withdrawn"},
		{Kind: flow.ResultStored, Ref: "2026-11-20", Version: "a", Change: 2},
		{Kind: flow.ResultWithdrawn, Ref: "2026-11-20", Version: "withdrawn"},
		{Kind: flow.ResultWithdrawn, Ref: "2026-11-20", Version: "withdrawn"},
	} {
		if _, err := w.News.Batch(t.Context(), "anna", []flow.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{key(1) + " result.stored 2026-11-20 a", key(2) + " result.withdrawn 2026-11-20 withdrawn", key(3) + " result.stored 2026-11-20 a", key(4) + " result.withdrawn 2026-11-20 withdrawn"}
	if diff := cmp.Diff(want, w.recorded("anna")); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// That something is gone is told to whom it was told of, or may have been.
func TestOnlyWhatWasThereIsToldToBeGone(t *testing.T) {
	merged := func(w *world, n int) {
		for i := range n {
			tell(t, w.Stage, "anna", flow.UploadMerged, fmt.Sprint("up-", i), "merged")
		}
	}
	stored := func(w *world, day string) { tell(t, w.Stage, "anna", flow.ResultStored, day, "a") }
	tests := map[string]struct {
		before func(*world)
		told   bool
	}{
		"nothing was told":       {func(*world) {}, false},
		"another was told":       {func(w *world) { merged(w, 3); stored(w, "2026-11-21") }, false},
		"what was said of it":    {func(w *world) { tell(t, w.Stage, "anna", flow.InsightReady, "2026-11-20", "a") }, false},
		"it was":                 {func(w *world) { stored(w, "2026-11-20") }, true},
		"it was, and many since": {func(w *world) { stored(w, "2026-11-20"); merged(w, news.Recent+5) }, true},
		"many others were":       {func(w *world) { merged(w, news.Recent+5) }, false},
		"more than are kept":     {func(w *world) { merged(w, news.Kept+2*news.Recent) }, true},
		"it was, in a life before": {func(w *world) {
			stored(w, "2026-11-20")
			if err := w.Store.EraseUser(t.Context(), "anna"); err != nil {
				t.Fatal(err)
			}
			merged(w, 2)
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.before(w)
			if got := tell(t, w.Stage, "anna", flow.ResultWithdrawn, "2026-11-20", "withdrawn"); got != "ack" {
				t.Fatal(got)
			}
			recorded := w.recorded("anna")
			if told := len(recorded) > 0 && strings.Contains(recorded[len(recorded)-1], "result.withdrawn"); told != tt.told {
				t.Errorf("told: %v, want %v", told, tt.told)
			}
		})
	}
}

// Who was erased and has come back is told from the beginning, the same again too:
// what a process remembers is of nobody any more.
func TestWhoComesBackIsToldFromTheBeginning(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		tell(t, w.Stage, "anna", flow.UploadMerged, fmt.Sprint("up-", i), "merged")
	}
	if err := w.Store.EraseUser(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"up-2", "up-9"} {
		if got := tell(t, w.Stage, "anna", flow.UploadMerged, ref, "merged"); got != "ack" {
			t.Fatalf("%s: %s", ref, got)
		}
	}
	want := []string{"0000000000000001 upload.merged up-2 merged", "0000000000000002 upload.merged up-9 merged"}
	if diff := cmp.Diff(want, w.recorded("anna")); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// The last thousand are kept, whatever they were told together with, and not many more.
// Who did not know of an erasure in time leaves a page behind it that nobody can open:
// who came back is told from the beginning. Of who never went, a page that does not open
// is damaged, and is waited with.
func TestAPageOfALifeBeforeHoldsUpNobody(t *testing.T) {
	for name, back := range map[string]bool{"came back": true, "never went": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tell(t, w.Stage, "anna", flow.UploadMerged, "u1", "1")
			page, err := w.driver.Get(t.Context(), store.Key{Collection: "deliveries", UID: "anna", Key: key(1)})
			if err != nil {
				t.Fatal(err)
			}
			account, renew := record.Account{Purposes: []string{}}, error(nil)
			if back {
				account = account.Anew()
				renew = errors.Join(w.keys.Destroy(t.Context(), "anna"), w.keys.Renew(t.Context(), "anna", account.Life))
			} else {
				page.Data[len(page.Data)-1] ^= 1
			}
			_, stored := w.Store.Accounts.Put(t.Context(), "anna", record.AccountKey, 0, account)
			page.Key.Key = key(23)
			_, left := w.driver.Batch(t.Context(), []store.Write{{Key: page.Key, Data: page.Data}, {Key: store.Key{Collection: "deliveries", UID: "anna", Key: key(1)}, IfVersion: store.Any}})
			if err := errors.Join(renew, stored, left); err != nil {
				t.Fatal(err)
			}
			got := tell(t, w.Stage, "anna", flow.UploadMerged, "u2", "1")
			if !back {
				if _, err := w.driver.Get(t.Context(), page.Key); err != nil || got == "ack" {
					t.Errorf("%q, and the damaged page: %v", got, err)
				}
				return
			}
			if diff := cmp.Diff([]string{key(1) + " upload.merged u2 1"}, w.recorded("anna")); got != "ack" || diff != "" {
				t.Errorf("%q, recorded (-want +got):\n%s", got, diff)
			}
		})
	}
}

func TestTheLastThousandAreKept(t *testing.T) {
	w := newWorld(t)
	told := 0
	for n := 1; told < news.Kept+130; n = n%5 + 1 {
		m := flow.Told{Event: flow.Event{UID: "anna"}}
		for range n {
			told++
			m.Events = append(m.Events, flow.Event{Kind: flow.UploadMerged, Ref: fmt.Sprint("u", told), Version: "1"})
		}
		body, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := handle(w.Stage, body); got != "ack" {
			t.Fatal(got)
		}
	}
	got := w.recorded("anna")
	if len(got) < news.Kept || len(got) > news.Kept+news.Recent+5 || !strings.HasPrefix(got[len(got)-1], key(uint64(told))) {
		t.Fatalf("kept %d, from %q to %q", len(got), got[0], got[len(got)-1])
	}
	for i, line := range got {
		if want := key(uint64(told - len(got) + 1 + i)); !strings.HasPrefix(line, want) {
			t.Fatalf("line %d is %q, want number %s", i, line, want)
		}
	}
}

// What the releases before wrote, an event a document, is gone on with: its numbers,
// and what was told already.
func TestEventsOfTheReleasesBeforeAreGoneOnWith(t *testing.T) {
	w := newWorld(t)
	for n := range uint64(5) {
		e := notice.Page{Event: notice.Event{Kind: flow.UploadMerged, Ref: fmt.Sprint("u", n+1), Version: "1"}}
		if _, err := w.Store.Events.Put(t.Context(), "anna", key(n+1), 0, e); err != nil {
			t.Fatal(err)
		}
	}
	tell(t, w.Stage, "anna", flow.UploadMerged, "u3", "1")
	tell(t, w.Stage, "anna", flow.UploadMerged, "u6", "1")
	w.over(w.Store)
	tell(t, w.Stage, "anna", flow.UploadMerged, "u2", "1")
	if got := w.recorded("anna"); len(got) != 6 || got[5] != key(6)+" upload.merged u6 1" {
		t.Errorf("recorded %v", got)
	}
}

// Results are told in the order of the message, those that are news.
func TestResultsAreToldTogether(t *testing.T) {
	w := newWorld(t)
	today := health.Day(20_000)
	ready := func(changed ...flow.Changed) string {
		m, err := queue.JSON(flow.TopicResults, "anna", flow.ResultsReady{UID: "anna", Results: changed})
		if err != nil {
			t.Fatal(err)
		}
		return stagetest.Word(w.HandleResults(t.Context(), queue.Delivery{Message: m, Attempt: 1}))
	}
	for _, got := range []string{
		ready(flow.Changed{End: today - 1, Version: "a"}),
		ready(flow.Changed{End: today, Version: "a"}, flow.Changed{End: today - 1}),
		ready(flow.Changed{End: today, Version: "a"}, flow.Changed{End: today - 2, Version: "b"}),
	} {
		if got != "ack" {
			t.Error(got)
		}
	}
	want := []string{key(1) + " result.stored 2024-10-03 a", key(2) + " result.stored 2024-10-04 a", key(3) + " result.withdrawn 2024-10-03 withdrawn", key(4) + " result.stored 2024-10-02 b"}
	if diff := cmp.Diff(want, w.recorded("anna")); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	pages, err := w.Store.Events.List(t.Context(), "anna", store.Query{Limit: 10})
	if err != nil || len(pages) != 3 {
		t.Errorf("%d documents, %v", len(pages), err)
	}
}

func TestResultsThatAreToldWithTheirWordsAreNotToldHere(t *testing.T) {
	w := newWorld(t)
	m, err := queue.JSON(flow.TopicResults, "anna", flow.ResultsReady{UID: "anna", Results: []flow.Changed{{End: 20_000, Version: "a"}}, WithWords: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := stagetest.Word(w.HandleResults(t.Context(), queue.Delivery{Message: m, Attempt: 1})); got != "ack" || len(w.recorded("anna")) > 0 {
		t.Errorf("%s, recorded %v", got, w.recorded("anna"))
	}
}

func TestTwoProcessesShareTheNumbers(t *testing.T) {
	w := newWorld(t)
	stages := []*Stage{w.Stage, w.over(w.Store)}
	const n = 40
	for i := range n { // the one that did not write last remembers a number that is taken
		if got := tell(t, stages[i%2], "anna", flow.UploadMerged, fmt.Sprint("u", i), "1"); got != "ack" {
			t.Fatal(got)
		}
		if got := tell(t, stages[(i+1)%2], "anna", flow.UploadMerged, fmt.Sprint("u", i), "1"); got != "ack" {
			t.Fatal(got)
		}
	}
	got := w.recorded("anna")
	if len(got) != n {
		t.Fatalf("recorded %d, want %d", len(got), n)
	}
	for i, line := range got {
		if want := fmt.Sprintf("%s upload.merged u%d 1", key(uint64(i+1)), i); line != want {
			t.Errorf("line %d = %q, want %q", i, line, want)
		}
	}
}

func TestUnreadableDeliveriesDie(t *testing.T) {
	long := strings.Repeat("a", 300)
	tests := map[string]string{
		"no JSON":         `{"uid"`,
		"no uid":          `{"kind":"upload.merged","ref":"u","version":"1"}`,
		"an unknown kind": `{"uid":"anna","kind":"upload.merged\n\nevent: x","ref":"u","version":"1"}`,
		"no ref":          `{"uid":"anna","kind":"upload.merged","version":"1"}`,
		"no version":      `{"uid":"anna","kind":"upload.merged","ref":"u"}`,
		"a long ref":      `{"uid":"anna","kind":"upload.merged","ref":"` + long + `","version":"1"}`,
		"a long version":  `{"uid":"anna","kind":"upload.merged","ref":"u","version":"` + long + `"}`,
		"a list":          `[]`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if got := handle(w.Stage, []byte(body)); got != "dead: the event cannot be read" {
				t.Errorf("verdict %q", got)
			}
			if got := w.recorded("anna"); len(got) != 0 {
				t.Errorf("recorded %v", got)
			}
		})
	}
}

func TestAnErasedPersonIsToldNothing(t *testing.T) {
	w := newWorld(t)
	tell(t, w.Stage, "anna", flow.UploadMerged, "u1", "1")
	if _, err := w.Store.MarkErased(t.Context(), "anna", noon(), 0, "receipt"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.keys.Destroy(t.Context(), "anna"), w.Store.EraseUser(t.Context(), "anna")); err != nil {
		t.Fatal(err)
	}
	if got := tell(t, w.Stage, "anna", flow.UploadMerged, "u2", "1"); got != "ack" {
		t.Errorf("verdict %q, want ack", got)
	}
	if got := w.recorded("anna"); len(got) != 0 {
		t.Errorf("recorded %v", got)
	}
}

// broken is a driver that fails each write.
type broken struct{ store.Driver }

func (broken) Batch(context.Context, []store.Write) ([]int64, error) {
	return nil, errors.New("disk of anna-canary is full")
}

func TestABrokenStoreIsWaitedForAndNobodyIsNamed(t *testing.T) {
	w := newWorld(t)
	w.over(store.New(broken{emptyDriver{}}, w.keys))
	if got := tell(t, w.Stage, "anna-canary", flow.UploadMerged, "ref-canary", "1"); got != "retry: a backend is unavailable" {
		t.Errorf("verdict %q", got)
	}
	handle(w.Stage, []byte(`{"uid":"anna-canary"}`))
	if strings.Contains(w.log.String(), "canary") || w.log.Len() == 0 {
		t.Errorf("the log says %q", w.log)
	}
}

// emptyDriver holds nothing.
type emptyDriver struct{ store.Driver }

func (emptyDriver) Get(context.Context, store.Key) (store.Document, error) {
	return store.Document{}, store.ErrNotFound
}
func (emptyDriver) List(context.Context, store.Query) ([]store.Document, error) { return nil, nil }

func TestRunDeliversWhatIsPublished(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx, flow.TopicEvents); err != nil {
			t.Error(err)
		}
	})
	changed, err := w.Store.Events.Tail(ctx, "anna", "")
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	for i := range n {
		body, err := json.Marshal(flow.Event{UID: "anna", Kind: flow.ResultStored, Ref: "2026-11-20", Version: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.queue.Publish(ctx, queue.Message{Topic: flow.TopicEvents, Key: "anna", Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(20 * time.Second)
	for len(w.recorded("anna")) < n {
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("recorded %v", w.recorded("anna"))
		}
	}
	for i, line := range w.recorded("anna") {
		if want := fmt.Sprintf("%s result.stored 2026-11-20 %d", key(uint64(i+1)), i); line != want {
			t.Errorf("line %d = %q, want %q", i, line, want)
		}
	}
	stop()
	wg.Wait()
}

// A new consumer of events is a row: the feed and whoever publishes stay as they are.
func TestAConsumerIsARow(t *testing.T) {
	consumers := flow.Consumers()
	consumers[flow.TopicEvents] = append(consumers[flow.TopicEvents], "webhooks")
	w := newWorldOf(t, consumers)
	ctx, stop := context.WithCancel(t.Context())
	heard := make(chan queue.Delivery, 10)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx, flow.TopicEvents); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		sub := queue.Subscription{Topic: flow.TopicEvents, Name: "webhooks"}
		err := w.queue.Receive(ctx, sub, func(_ context.Context, d queue.Delivery) queue.Verdict {
			heard <- d
			return queue.Ack()
		})
		if err != nil {
			t.Error(err)
		}
	})
	m, err := queue.JSON(flow.TopicEvents, "anna", flow.Event{UID: "anna", Kind: flow.ResultStored, Ref: "2026-11-20", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.queue.Publish(ctx, m); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-heard:
		if !bytes.Equal(d.Body, m.Body) {
			t.Errorf("the new consumer hears %s, want %s", d.Body, m.Body)
		}
	case <-time.After(20 * time.Second):
		t.Error("the new consumer hears nothing")
	}
	for began := time.Now(); len(w.recorded("anna")) == 0 && time.Since(began) < 20*time.Second; {
		time.Sleep(time.Millisecond)
	}
	if got := len(w.recorded("anna")); got != 1 {
		t.Errorf("the feed records %d events, want 1", got)
	}
	stop()
	wg.Wait()
}

func BenchmarkHandle(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if got := tell(b, w.Stage, "anna", flow.UploadMerged, fmt.Sprint("u", i%900), fmt.Sprint(i)); got != "ack" {
			b.Fatal(got)
		}
	}
}
