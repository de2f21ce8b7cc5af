package events_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
)

// ids reads n events' ids, without their marks.
func ids(t *testing.T, lines <-chan string, n int) (got []string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for len(got) < n {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("the stream ended after %v", got)
			}
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				number, _, _ := strings.Cut(id, "-")
				got = append(got, number)
			}
		case <-timeout:
			t.Fatalf("got %v, want %d events", got, n)
		}
	}
	return got
}

func TestEventsAreFollowedAndResumed(t *testing.T) {
	w := ingresstest.New(t)
	w.Deliver("anna", 1)
	w.Deliver("anna", 2)
	w.Deliver("ben", 9)
	now, end := w.Stream(ingresstest.Anna, "")
	time.Sleep(50 * time.Millisecond) // begun: what is older is not sent
	w.Deliver("anna", 3)
	if diff := cmp.Diff([]string{"0000000000000003"}, ids(t, now, 1)); diff != "" {
		t.Errorf("a stream without Last-Event-ID (-want +got):\n%s", diff)
	}
	end()
	w.Deliver("anna", 4)
	resumed, end := w.Stream(ingresstest.Anna, "0000000000000001")
	defer end()
	if diff := cmp.Diff([]string{"0000000000000002", "0000000000000003", "0000000000000004"}, ids(t, resumed, 3)); diff != "" {
		t.Errorf("behind event 1 (-want +got):\n%s", diff)
	}
	for n := 5; n < 305; n++ {
		w.Deliver("anna", n)
	}
	got := ids(t, resumed, 300)
	if got[0] != "0000000000000005" || got[299] != "0000000000000130" {
		t.Errorf("300 events came as %s to %s", got[0], got[299])
	}
}

// Events that were told at once are one document. A device goes on within it.
func TestEventsThatWereToldAtOnce(t *testing.T) {
	w := ingresstest.New(t)
	for first, n := range map[int]int{1: 1, 2: 4, 6: 2} {
		e := notice.Event{Kind: flow.ResultStored, Ref: "2026-11-20", Version: "v", At: time.Unix(1, 0)}
		page := notice.Page{Event: e}
		for range n - 1 {
			page.More = append(page.More, e)
		}
		if _, err := w.Store.Events.Put(t.Context(), "anna", fmt.Sprintf("%016x", first), 0, page); err != nil {
			t.Fatal(err)
		}
	}
	for last := range 8 {
		lines, end := w.Stream(ingresstest.Anna, fmt.Sprintf("%016x", last))
		next(t, lines, 2)
		var want []string
		for n := last + 1; n <= 7; n++ {
			want = append(want, fmt.Sprintf("%016x", n))
		}
		if got := ids(t, lines, len(want)); !slices.Equal(got, want) {
			t.Errorf("behind %d: %v, want %v", last, got, want)
		}
		end()
	}
}

// Where events are missing between the last that a device saw and those that are
// there, it is told so and goes on: the oldest are not kept for ever, and a copy of
// a former state knows less than the device.
func TestWhatIsMissingIsTold(t *testing.T) {
	tests := map[string]struct {
		there []int
		last  string
		reset string // its id; "" for none
		then  []string
	}{
		"nothing":                     {[]int{1, 2}, "0000000000000001", "", []string{"0000000000000002"}},
		"from the first":              {[]int{1, 2}, "0000000000000000", "", []string{"0000000000000001", "0000000000000002"}},
		"nothing was ever":            {nil, "0000000000000000", "", nil},
		"the oldest are not kept":     {[]int{9, 10}, "0000000000000007", "0000000000000008", []string{"0000000000000009", "000000000000000a"}},
		"from the first, not kept":    {[]int{9}, "0000000000000000", "0000000000000008", []string{"0000000000000009"}},
		"the newest was never here":   {[]int{1, 2}, "00000000000001f4", "0000000000000002", nil},
		"none was ever here":          {nil, "00000000000001f4", "0000000000000000", nil},
		"the last that was seen went": {[]int{9}, "0000000000000008", "", []string{"0000000000000009"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t)
			for _, n := range tt.there {
				w.Deliver("anna", n)
			}
			lines, end := w.Stream(ingresstest.Anna, tt.last)
			defer end()
			next(t, lines, 2)
			if tt.reset != "" {
				got := next(t, lines, 4)
				if unmarked(got[0]) != "id: "+tt.reset || got[1] != "event: reset" || !strings.HasPrefix(got[2], `data: {"ref":"","version":"","at":"`) {
					t.Errorf("%q", got)
				}
			}
			if got := ids(t, lines, len(tt.then)); !slices.Equal(got, tt.then) {
				t.Errorf("then %v, want %v", got, tt.then)
			}
			number := 1 // the next one comes, whatever the device saw elsewhere
			if len(tt.there) > 0 {
				number = tt.there[len(tt.there)-1] + 1
			}
			w.Deliver("anna", number)
			if got := ids(t, lines, 1); got[0] != fmt.Sprintf("%016x", number) {
				t.Errorf("a new one is %v", got)
			}
		})
	}
}

// A number that was given again, after an erasure or a restore, is another event: the
// device is told, however far the numbers have come since. An id without a mark, of
// the releases before, is taken as it always was.
func TestAnEventOfAnotherLifeIsNotGoneOnBehind(t *testing.T) {
	w := ingresstest.New(t)
	tell := func(at int64, numbers ...int) {
		t.Helper()
		for _, n := range numbers {
			e := notice.Event{Kind: flow.ResultStored, Ref: "2026-11-20", Version: "v", At: time.Unix(at, 0)}
			if _, err := w.Store.Events.Put(t.Context(), "anna", fmt.Sprintf("%016x", n), store.Any, notice.Page{Event: e}); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := func(last string, n int) (ids []string) {
		t.Helper()
		lines, end := w.Stream(ingresstest.Anna, last)
		defer end()
		for _, line := range next(t, lines, 2+4*n) {
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
	tell(1, 1, 2, 3)
	before := seen("0000000000000000", 3)
	if !slices.IsSorted(before) {
		t.Errorf("%v is not in order", before)
	}
	tell(2, 2, 3, 4, 5) // of a copy that had the first
	if got := seen(before[0], 4); !strings.HasPrefix(got[0], "0000000000000002-") {
		t.Errorf("behind one that is there: %v", got)
	}
	for _, last := range before[1:] {
		lines, end := w.Stream(ingresstest.Anna, last)
		got := next(t, lines, 6)
		end()
		if unmarked(got[2]) != "id: 0000000000000005" || got[3] != "event: reset" {
			t.Fatalf("behind %s: %q", last, got)
		}
		tell(2, 6)
		if ids := seen(strings.TrimPrefix(got[2], "id: "), 1); unmarked(ids[0]) != "0000000000000006" {
			t.Errorf("behind the reset: %v", ids)
		}
		if err := w.Store.Events.Delete(t.Context(), "anna", "0000000000000006", store.Any); err != nil {
			t.Fatal(err)
		}
	}
	if got := seen(unmarked(before[2]), 2); unmarked(got[0]) != "0000000000000004" {
		t.Errorf("behind an id without a mark: %v", got)
	}
}

func TestAStreamOutlivesTheWriteTimeoutAndShowsSignsOfLife(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.WriteTimeout, d.Limits.Heartbeat, d.Limits.HandlerTimeout = 200*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
	})
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	time.Sleep(700 * time.Millisecond)
	w.Deliver("anna", 1)
	ids(t, lines, 1)
}

// A person's newest stream takes the place of their oldest, at once; nobody else's.
func TestTheNewestStreamTakesThePlaceOfTheOldest(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.StreamsPerUser, d.Limits.WriteTimeout, d.Limits.Heartbeat = 2, 3*time.Minute, 2*time.Minute
	})
	bens, endBens := w.Stream(ingresstest.Ben, "")
	defer endBens()
	first, _ := w.Stream(ingresstest.Anna, "")
	next(t, first, 2)
	second, endSecond := w.Stream(ingresstest.Anna, "")
	defer endSecond()
	third, endThird := w.Stream(ingresstest.Anna, "")
	defer endThird()
	if said := until(t, first); said != "retry: 60000\n\n(end)" {
		t.Errorf("the oldest said %q", said)
	}
	w.Deliver("anna", 1)
	w.Deliver("ben", 1)
	for name, lines := range map[string]<-chan string{"the second": second, "the third": third, "another person's": bens} {
		if got := ids(t, lines, 1); got[0] != "0000000000000001" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAStreamEndsInTime(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.StreamLifetime, d.Limits.Heartbeat = 400*time.Millisecond, 20*time.Millisecond
	})
	lines, _ := w.Stream(ingresstest.Anna, "")
	start := time.Now()
	for range lines {
	}
	if lasted := time.Since(start); lasted > 20*time.Second {
		t.Errorf("the stream lasted %s beyond its lifetime", lasted)
	}
}

func TestShutdownEndsStreamsAtOnce(t *testing.T) {
	w := ingresstest.New(t)
	lines, _ := w.Stream(ingresstest.Anna, "")
	<-lines
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	for range lines {
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("shutdown took %s", took)
	}
}

func TestAStreamThatCannotBeOpened(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.StreamsPerUser = 1 })
	for _, what := range []string{"tail events", "list events", "tail deliveries", "list deliveries"} {
		w.Break(what)
	}
	for range 2 { // and gives its place back
		if r := w.Do("GET", "/v1/events", ingresstest.Anna, nil); r.Status != 500 || strings.Contains(string(r.Body), "disk") {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
	w.Mend()
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	<-lines
}

// A person who is erased is told nothing more: their stream ends by itself.
func TestAnErasureEndsTheStream(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.Heartbeat = 20 * time.Millisecond })
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	<-lines
	if r := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil); r.Status != 202 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	timeout := time.After(time.Minute)
	for {
		select {
		case _, open := <-lines:
			if !open {
				return
			}
		case <-timeout:
			t.Fatal("the stream goes on")
		}
	}
}

// Who is erased and comes back in between two signs of life begins at the first event
// again, of which a stream of before tells nothing.
func TestAStreamEndsWithTheLifeItTellsOf(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) { d.Limits.WriteTimeout, d.Limits.Heartbeat = 3*time.Minute, 2*time.Minute })
	w.Consent(ingresstest.Anna, true)
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	next(t, lines, 2)
	w.Do("DELETE", "/v1/account", ingresstest.Anna, nil)
	w.Erase()
	if r := w.Do("POST", "/v1/account", ingresstest.Anna, nil); r.Status != 204 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	w.Deliver("anna", 1)
	if said := until(t, lines); said != "(end)" {
		t.Errorf("it said %q", said)
	}
}
