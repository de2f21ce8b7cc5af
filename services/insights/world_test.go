package insights

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

const friday = "2026-11-20"

// world is a stage over the embedded drivers, for one person, anna, who agreed
// to everything.
type world struct {
	*Stage
	t     testing.TB
	keys  keyring.Keyring
	queue queue.Queue
	log   *bytes.Buffer
	// What the Store stands on.
	driver store.Driver
	// What the stage told others.
	mu        sync.Mutex
	audited   []audit.Event
	auditAway error // what Append returns
	told      []flow.Event
	messages  [][]flow.Event
}

func newWorld(t testing.TB, writer, template narrative.Writer) *world {
	t.Helper()
	w := &world{t: t, log: &bytes.Buffer{}}
	l := stagetest.Open(t, stagetest.Options{Over: func(d store.Driver) store.Driver { w.driver = d; return d }})
	w.keys, w.queue = l.Keys, l.Queue
	w.Stage = New(Needs{
		Store: l.Store, Queue: w, Audit: w,
		Words: grounded.New(writer, template, nil, 200*time.Millisecond), Now: noon, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	w.consent(record.PurposeProcessing, true)
	w.consent(record.PurposeNarrative, true)
	return w
}

// Append, Publish and Receive are what the stage needs of audit and queue.
func (w *world) Append(_ context.Context, e audit.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.auditAway != nil {
		return w.auditAway
	}
	w.audited = append(w.audited, e)
	return nil
}

func (w *world) Publish(ctx context.Context, messages ...queue.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		var d flow.Told
		if err := json.Unmarshal(m.Body, &d); err != nil || m.Topic != flow.TopicEvents || m.Key != d.UID {
			w.t.Errorf("published %+v: %v", m, err)
		}
		w.messages = append(w.messages, d.All())
		for _, e := range d.All() {
			e.UID = d.UID
			w.told = append(w.told, e)
		}
	}
	return w.queue.Publish(ctx, messages...)
}

func (w *world) Receive(ctx context.Context, sub queue.Subscription, h queue.Handler) error {
	return w.queue.Receive(ctx, sub, h)
}

func (w *world) consent(purpose string, granted bool) {
	w.t.Helper()
	if _, err := w.Store.Answer(w.t.Context(), "anna", purpose, func(record.Consent) record.Consent { return record.Consent{Granted: granted, At: noon()} }); err != nil {
		w.t.Fatal(err)
	}
}

// put stores a Result for the window that ends with the day.
func (w *world) put(r analysis.Result) {
	w.t.Helper()
	if _, err := w.Store.Results.Put(w.t.Context(), "anna", r.Window.End.String(), store.Any, record.Result{Result: r, ComputedAt: noon()}); err != nil {
		w.t.Fatal(err)
	}
}

// ready hands the stage the news of how the Result stands, and returns its verdict in a word.
func (w *world) ready(end string, attempt int) string {
	w.t.Helper()
	r, err := store.New(w.driver, w.keys).Results.Get(w.t.Context(), "anna", end)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, keyring.ErrDestroyed) {
		w.t.Fatal(err)
	}
	body, err := json.Marshal(flow.ResultsReady{UID: "anna", Results: []flow.Changed{{End: day(w.t, end), Version: r.Value.Result.Lineage.InputDigest}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.handle(body, attempt)
}

func (w *world) handle(body []byte, attempt int) string {
	return stagetest.Word(w.Handle(w.t.Context(), queue.Delivery{Message: queue.Message{Topic: flow.TopicResults, Body: body}, Attempt: attempt}))
}

func (w *world) insight(end string) store.Record[record.Insight] {
	w.t.Helper()
	r, err := w.Store.Insights.Get(w.t.Context(), "anna", end)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) noInsight(end string) {
	w.t.Helper()
	if _, err := w.Store.Insights.Get(w.t.Context(), "anna", end); !errors.Is(err, store.ErrNotFound) {
		w.t.Errorf("an insight is stored: %v", err)
	}
}

func day(t testing.TB, text string) health.Day {
	t.Helper()
	d, err := health.ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// result is a week with some sleep, steps and heart.
func result(t testing.TB, end, digest string, sleepMinutes float64) analysis.Result {
	t.Helper()
	last := day(t, end)
	efficiency, steps, resting := 91.3, 9120.4, 57.0
	return analysis.Result{
		Schema:   analysis.Schema,
		Window:   analysis.Window{Start: last - 6, End: last, Days: 7, TimeZone: "Europe/Berlin"},
		Input:    analysis.Input{Kind: actigraphy.Steps, Proxy: true, SleepSource: "stages"},
		Sleep:    analysis.Family{"total_sleep_time_minutes": &sleepMinutes, "sleep_efficiency_percent": &efficiency, "midpoint_minutes": nil},
		Activity: analysis.Family{"steps_per_day": &steps},
		Cardio:   analysis.Family{"resting_heart_rate_bpm": &resting},
		Lineage:  analysis.Lineage{InputDigest: digest, Pipeline: "p", Model: analysis.NoModel},
	}
}

// fake is a Writer by a function.
type fake struct {
	name  string
	write func(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, error)
}

func (f fake) Name() string { return f.name }
func (f fake) Write(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	return f.write(ctx, facts)
}

// plain says each fact, rightly; what changed is left to others.
func plain(name string) fake {
	return fake{name, func(_ context.Context, facts []analysis.Fact) (claims []analysis.Claim, _ error) {
		for _, f := range facts {
			if strings.HasPrefix(f.ID, "change.") {
				continue
			}
			claims = append(claims, analysis.Claim{Text: "It was " + f.Text + ".", Facts: []string{f.ID}})
		}
		return claims, nil
	}}
}
