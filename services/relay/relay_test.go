package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
)

const day = "2026-11-20"

// A feed notes what is done to it.
type feed struct {
	done  []string
	shown map[string]string
	fails error
	// meanwhile is done once, as something is shown.
	meanwhile func()
}

func (f *feed) Tell(_ context.Context, uid string, first uint64, events []notice.Event) error {
	f.done = append(f.done, fmt.Sprintf("tell %s %d+%d", uid, first, len(events)))
	return f.fails
}

func (f *feed) Forget(_ context.Context, uid string) error {
	f.done = append(f.done, "forget "+uid)
	return f.fails
}

// A pointers is a feed that shows nothing.
type pointers struct{ of *feed }

func (p pointers) Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error {
	return p.of.Tell(ctx, uid, first, events)
}
func (p pointers) Forget(ctx context.Context, uid string) error { return p.of.Forget(ctx, uid) }

func (f *feed) Show(_ context.Context, _, kind, day string, document []byte) error {
	if f.meanwhile != nil {
		do := f.meanwhile
		f.meanwhile = nil
		do()
	}
	f.done = append(f.done, "show "+kind)
	f.shown[kind+"/"+day] = string(document)
	return f.fails
}

// hooks note what they are told.
type hooks struct {
	feed
	wants bool
}

func (h *hooks) Wants(context.Context, string) bool { return h.wants }

func newFeed() *feed { return &feed{shown: map[string]string{}} }

func events(kinds ...flow.EventKind) (all []notice.Event) {
	for _, k := range kinds {
		all = append(all, notice.Event{Kind: k, Ref: day, Version: "v", At: time.Unix(1, 0)})
	}
	return all
}

// Who listens is told, each whatever becomes of another; who is erased is told of nothing.
func TestWhoIsToldOfWhat(t *testing.T) {
	l := stagetest.Open(t, stagetest.Options{})
	away := errors.New("away")
	for name, tt := range map[string]struct {
		uid                 string
		wants               bool
		feedFails, hookFail error
		feed, hooks         []string
	}{
		"both":           {"anna", true, nil, nil, []string{"tell anna 4+2"}, []string{"tell anna 4+2"}},
		"a feed alone":   {"anna", false, nil, nil, []string{"tell anna 4+2"}, nil},
		"a feed is away": {"anna", true, away, nil, []string{"tell anna 4+2"}, []string{"tell anna 4+2"}},
		"a hook is away": {"anna", true, nil, away, []string{"tell anna 4+2"}, []string{"tell anna 4+2"}},
		"who is erased":  {"gone", true, nil, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := l.Store.MarkErased(t.Context(), "gone", time.Unix(1, 0), 0, "receipt"); err != nil {
				t.Fatal(err)
			}
			f, h := newFeed(), &hooks{feed: *newFeed(), wants: tt.wants}
			f.fails, h.fails = tt.feedFails, tt.hookFail
			r := relay.New(l.Store, pointers{f}, h, nil)
			err := r.Tell(t.Context(), tt.uid, 4, events(flow.ResultStored, flow.InsightReady))
			if (err != nil) != (tt.feedFails != nil || tt.hookFail != nil) {
				t.Error(err)
			}
			if diff := cmp.Diff([][]string{tt.feed, tt.hooks}, [][]string{f.done, h.done}); diff != "" {
				t.Errorf("(-want +told):\n%s", diff)
			}
		})
	}
}

func TestWhetherSomebodyListens(t *testing.T) {
	for _, tt := range []struct {
		feed, hooks, wants, want bool
	}{{false, false, false, false}, {true, false, false, true}, {false, true, false, false}, {false, true, true, true}} {
		var f relay.Feed
		var h relay.Hooks
		if tt.feed {
			f = newFeed()
		}
		if tt.hooks {
			h = &hooks{wants: tt.wants}
		}
		if got := relay.New(nil, f, h, nil).Wants(t.Context(), "anna"); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// What there is to see is shown before it is told of, as it is by then.
func TestWhatIsShown(t *testing.T) {
	l := stagetest.Open(t, stagetest.Options{})
	ctx, f := t.Context(), newFeed()
	r := relay.New(l.Store, f, nil, nil)
	put := func(digest string) {
		t.Helper()
		var ifVersion int64
		if found, err := l.Store.Results.Get(ctx, "anna", day); err == nil {
			ifVersion = found.Version
		}
		if _, err := l.Store.Results.Put(ctx, "anna", day, ifVersion, record.Result{Result: analysis.Result{Lineage: analysis.Lineage{InputDigest: digest}}}); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(kinds ...flow.EventKind) {
		t.Helper()
		if err := r.Tell(ctx, "anna", 1, events(kinds...)); err != nil {
			t.Fatal(err)
		}
	}
	digest := func() string {
		var of struct {
			Date   string
			Result analysis.Result
		}
		if err := json.Unmarshal([]byte(f.shown["results/"+day]), &of); err != nil || of.Date != day {
			t.Fatalf("%v %q", err, f.shown)
		}
		return of.Result.Lineage.InputDigest
	}
	put("first")
	tell(flow.UploadMerged, flow.ResultStored)
	if got := digest(); got != "first" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"show results", "tell anna 1+2"}, f.done); diff != "" {
		t.Errorf("(-want +done):\n%s", diff)
	}
	f.meanwhile = func() { put("second") } // whoever shows what was before looks again
	tell(flow.ResultStored)
	if got := digest(); got != "second" {
		t.Errorf("shown is %q", got)
	}
	if err := l.Store.Results.Delete(ctx, "anna", day, store.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Store.Insights.Put(ctx, "anna", day, 0, record.Insight{}); err != nil {
		t.Fatal(err)
	}
	tell(flow.ResultWithdrawn, flow.InsightReady)
	if f.shown["results/"+day] != "" || f.shown["insights/"+day] == "" {
		t.Errorf("shown are %q", f.shown)
	}
}

func TestEverybodyForgets(t *testing.T) {
	f, h := newFeed(), &hooks{feed: *newFeed()}
	f.fails = errors.New("away")
	if err := relay.New(nil, f, h, nil).Forget(t.Context(), "anna"); err == nil {
		t.Error("one who cannot forget is taken for done")
	}
	if diff := cmp.Diff([][]string{{"forget anna"}, {"forget anna"}}, [][]string{f.done, h.done}); diff != "" {
		t.Errorf("(-want +done):\n%s", diff)
	}
}

// Devices that sleep are woken of what is told, whoever else listens; of nobody who is erased.
func TestWhoSleepsIsWoken(t *testing.T) {
	l := stagetest.Open(t, stagetest.Options{})
	if _, err := l.Store.MarkErased(t.Context(), "gone", time.Unix(1, 0), 0, "receipt"); err != nil {
		t.Fatal(err)
	}
	w, f := &hooks{feed: *newFeed(), wants: true}, newFeed()
	f.fails = errors.New("away")
	if r := relay.New(l.Store, nil, nil, w); !r.Wants(t.Context(), "anna") {
		t.Error("nobody listens")
	}
	r := relay.New(l.Store, pointers{f}, nil, w)
	for _, uid := range []string{"anna", "gone"} {
		if err := r.Tell(t.Context(), uid, 4, events(flow.ResultStored)); (err != nil) != (uid == "anna") {
			t.Errorf("%s: %v", uid, err)
		}
	}
	if diff := cmp.Diff([]string{"tell anna 4+1"}, w.done); diff != "" {
		t.Errorf("(-want +woken):\n%s", diff)
	}
	w.wants = false
	if relay.New(l.Store, nil, nil, w).Wants(t.Context(), "anna") {
		t.Error("somebody listens")
	}
}
