package events_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// next reads n lines of a stream, "(end)" where it ends.
func next(t *testing.T, lines <-chan string, n int) (got []string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for len(got) < n {
		select {
		case line, open := <-lines:
			if !open {
				return append(got, "(end)")
			}
			got = append(got, line)
		case <-timeout:
			t.Fatalf("after %q nothing more comes, want %d lines", got, n)
		}
	}
	return got
}

// until waits for the stream's end and returns what it said before.
func until(t *testing.T, lines <-chan string) string {
	t.Helper()
	return strings.Join(next(t, lines, 1000), "\n")
}

// aMark is what an id has behind its number.
var aMark = regexp.MustCompile(`-[0-9a-f]{8}$`)

// unmarked is the line of an id without its mark, any other as it is.
func unmarked(line string) string { return aMark.ReplaceAllString(line, "") }

func TestAnEventLineByLine(t *testing.T) {
	w := ingresstest.New(t)
	w.Deliver("anna", 1)
	w.Deliver("anna", 2)
	lines, end := w.Stream(ingresstest.Anna, "0000000000000000")
	defer end()
	want := []string{
		"retry: 1000", "",
		"id: 0000000000000001-MARK", "event: result.stored", `data: {"ref":"ref-1","version":"v","at":"1970-01-01T00:00:01.000Z"}`, "",
		"id: 0000000000000002-MARK", "event: result.stored", `data: {"ref":"ref-2","version":"v","at":"1970-01-01T00:00:02.000Z"}`, "",
	}
	got := next(t, lines, len(want))
	for i, line := range got {
		got[i] = aMark.ReplaceAllString(line, "-MARK")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// However much waits, it comes at once: nobody waits for a sign of life.
func TestWhatWaitsComesAtOnce(t *testing.T) {
	for _, n := range []int{99, 100, 101, 250} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := ingresstest.New(t, func(d *ingress.Needs) { d.Limits.WriteTimeout, d.Limits.Heartbeat = 3*time.Minute, 2*time.Minute })
			for i := range n {
				w.Deliver("anna", i+1)
			}
			lines, end := w.Stream(ingresstest.Anna, "0000000000000000")
			defer end()
			got := next(t, lines, 2+4*n)
			if first, last := unmarked(got[2]), unmarked(got[len(got)-4]); first != "id: 0000000000000001" || last != fmt.Sprintf("id: %016x", n) {
				t.Errorf("from %s to %s", first, last)
			}
		})
	}
}

// A stream that is so slow that events behind its last are not kept any more says
// so, and goes on at the oldest that is.
func TestAStreamThatWasTooSlowIsReset(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) { d.Limits.WriteTimeout, d.Limits.Heartbeat = 3*time.Minute, 2*time.Minute })
	w.Deliver("anna", 1)
	lines, end := w.Stream(ingresstest.Anna, "0000000000000000")
	defer end()
	next(t, lines, 6)
	w.Deliver("anna", 5)
	got := next(t, lines, 6)
	got[2], got[4] = "", unmarked(got[4])
	if diff := cmp.Diff([]string{"id: 0000000000000004", "event: reset", "", "", "id: 0000000000000005", "event: result.stored"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// Without a Last-Event-ID a stream begins behind the newest event, not the oldest.
func TestAStreamBeginsNow(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) { d.Limits.Heartbeat = 20 * time.Millisecond })
	for n := range 3 {
		w.Deliver("anna", n+1)
	}
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	if diff := cmp.Diff([]string{"retry: 1000", "", ": ", "", ": ", ""}, next(t, lines, 6)); diff != "" {
		t.Errorf("a quiet stream shows signs of life (-want +got):\n%s", diff)
	}
	w.Deliver("anna", 4)
	for {
		line := next(t, lines, 1)[0]
		if line == ": " || line == "" {
			continue
		}
		if unmarked(line) != "id: 0000000000000004" {
			t.Errorf("%s", line)
		}
		return
	}
}

// A stream whose store fails ends: the client connects again and learns why.
func TestAStreamThatCannotGoOn(t *testing.T) {
	tests := map[string]struct {
		what string
		beat time.Duration
	}{
		"events that cannot be listed":        {"list deliveries", 2 * time.Minute},
		"an account that cannot be looked at": {"get accounts", 20 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, func(d *ingress.Needs) {
				d.Limits.WriteTimeout, d.Limits.Heartbeat, d.Limits.PersonTTL = 3*time.Minute, tt.beat, time.Nanosecond
			})
			lines, end := w.Stream(ingresstest.Anna, "0000000000000000")
			defer end()
			next(t, lines, 2)
			w.Break(tt.what)
			if tt.beat > time.Minute {
				w.Deliver("anna", 1) // which wakes it
			}
			if said := until(t, lines); strings.Contains(said, "id:") || strings.Contains(said, "disk") {
				t.Errorf("it said %q", said)
			}
		})
	}
}

// A stream ends when its time is over, even where nothing happens on it.
func TestAQuietStreamEndsInTime(t *testing.T) {
	w := ingresstest.New(t, ingresstest.ShortStreams, func(d *ingress.Needs) { d.Limits.WriteTimeout, d.Limits.Heartbeat = 3*time.Minute, 2*time.Minute })
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	if said := until(t, lines); said != "retry: 1000\n\n(end)" {
		t.Errorf("it said %q", said)
	}
}

// Each of watching and listing that fails is an answer, and no place is lost.
func TestEachStepOfOpeningAStream(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) { d.Limits.StreamsPerUser = 1 })
	for _, what := range []string{"tail deliveries", "list deliveries"} {
		w.Break(what)
		for range 2 {
			if r := w.Do("GET", "/v1/events", ingresstest.Anna, nil); r.Status != 500 || r.Code() != "internal_error" {
				t.Errorf("%s fails: %d %s", what, r.Status, r.Body)
			}
		}
		w.Mend()
		if !strings.Contains(w.Log.String(), "open an event stream: ") {
			t.Errorf("%s is not told in the log", what)
		}
	}
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	next(t, lines, 2)
}

func TestHowAnEventIsDescribed(t *testing.T) {
	w := ingresstest.New(t)
	document := string(w.Server.OpenAPI())
	_, stream, _ := strings.Cut(document, `"/v1/events"`)
	stream, _, _ = strings.Cut(stream, `"/v1/exports"`)
	for _, part := range []string{`"text/event-stream"`, `"required": [`, `"Last-Event-ID"`, `"maxLength": 25`} {
		if !strings.Contains(stream, part) {
			t.Errorf("no %s in %s", part, stream)
		}
	}
}
