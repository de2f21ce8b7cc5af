package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
)

// Whoever reads no further leaves nothing behind.
func TestADemoThatNobodyReadsCleansUp(t *testing.T) {
	temporary := t.TempDir()
	reads, writes, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary(t), "demo", "--model", "none")
	cmd.Env, cmd.Stdout = append(os.Environ(), "TMPDIR="+temporary), writes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := writes.Close(); err != nil {
		t.Error(err)
	}
	if err := reads.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A result and an insight of what was held before come first: the demo waits for
// those of what it sent. Where these came already, it waits for no event.
func TestTheDemoWaitsForTheResultOfWhatItSent(t *testing.T) {
	const end = "2026-02-07"
	none := time.Unix(-1, 0)
	tests := map[string]struct {
		answers         []string // of the week, and of the insight, the first time, the second …; the last from then on
		stored, insight time.Time
	}{
		"nothing is there yet":          {[]string{"", "before", "now"}, time.Unix(3, 0), time.Unix(5, 0)},
		"what was before is there":      {[]string{"before", "before", "now"}, time.Unix(3, 0), time.Unix(5, 0)},
		"it is there with the first":    {[]string{"before", "now"}, time.Unix(1, 0), time.Unix(2, 0)},
		"it came before anybody waited": {[]string{"now"}, none, none},
		"it is made again":              {[]string{"now", "now compared with another week"}, none, time.Unix(2, 0)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stored, insight := awaitedWeek(t, end, tt.answers)
			for what, times := range map[string][2]time.Time{"result": {stored, tt.stored}, "insight": {insight, tt.insight}} {
				if got, want := times[0], times[1]; !got.Equal(want) && (want != none || got.Before(time.Unix(100, 0))) {
					t.Errorf("the %s came at %v, want %v", what, got.Unix(), want.Unix())
				}
			}
		})
	}
}

// awaitedWeek is when the demo has the week and its insight, where the platform
// answers with those of the digests, one a question, and sends six events.
func awaitedWeek(t *testing.T, end string, digests []string) (stored, insight time.Time) {
	t.Helper()
	day, err := health.ParseDay(end)
	if err != nil {
		t.Fatal(err)
	}
	var asked [2]atomic.Int64 // for the week, for the insight
	newest := func(counter *atomic.Int64) string { return digests[min(int(counter.Add(1))-1, len(digests)-1)] }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body any
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/days"):
			body = map[string]any{"items": []any{map[string]string{"date": end, "digest": "now"}}}
		case r.URL.Path == "/v1/weeks/"+end:
			digest := newest(&asked[0])
			if digest == "" {
				http.NotFound(w, r)
				return
			}
			chunk, _, _ := strings.Cut(digest, " ")
			body = map[string]any{"result": analysis.Result{Lineage: analysis.Lineage{InputDigest: "of " + digest, Chunks: []analysis.ChunkOrigin{{Day: day, Digest: chunk}}}}}
		case r.URL.Path == "/v1/insights/"+end:
			body = map[string]any{"insight": analysis.Insight{InputDigest: "of " + newest(&asked[1])}}
		default:
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	d := &demonstration{client: phone.New(server.URL, "token", time.Second, nil), events: make(chan seenEvent, 8)}
	defer d.client.Close()
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	for i, e := range []struct {
		kind flow.EventKind
		ref  string
	}{{flow.ResultStored, "2026-02-06"}, {flow.ResultStored, end}, {flow.InsightReady, end}, {flow.ResultStored, end}, {flow.InsightReady, end}, {flow.InsightReady, end}} {
		d.events <- seenEvent{e.kind, e.ref, at(i)}
	}
	if stored, insight, err = d.awaitWeek(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	return stored, insight
}

func TestTheDemoTakesTheModelItIsGiven(t *testing.T) {
	if _, stderr, code := clarity(t, "demo", "--model", "nowhere.tar"); code != 1 || !strings.Contains(stderr, "there is no bundle at nowhere.tar") {
		t.Errorf("a model that is not there: exit %d, %s", code, stderr)
	}
	if _, stderr, code := clarity(t, "demo", "--model", "traffic:pigeon:x"); code != 2 || !strings.Contains(stderr, "demo takes one model, not a traffic plan") {
		t.Errorf("a plan of nobody: exit %d, %s", code, stderr)
	}
	if testing.Short() {
		t.Skip("the demo takes ten seconds")
	}
	if out := demoOutput(t, "--model", "none"); !strings.Contains(out, "model none") {
		t.Errorf("the demo without a model:\n%s", out)
	}
}

// Played into a platform that runs already the weeks are the same week.
func TestTheDemoOfAnothersPlatform(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo takes ten seconds")
	}
	dir := t.TempDir()
	p := startPlatform(t, dir, "--unlimited", "--debounce", "200ms", "--model", "preview")
	token := strings.TrimSpace(must(t, "token", "--data", dir, "--user", "anna"))
	week := func(out string) string {
		_, behind, _ := strings.Cut(out, "\n\n")
		before, _, found := strings.Cut(behind, "\n\nAck ")
		if !found {
			t.Fatalf("it shows no week:\n%s", out)
		}
		return before
	}
	out := demoOutput(t, "--server", p.url, "--token", token)
	if diff := cmp.Diff(week(demoOutput(t)), week(out)); diff != "" {
		t.Errorf("the week (-its own platform +another's):\n%s", diff)
	}
	if strings.Contains(out, "entries, each verified") || strings.Contains(out, "--keep") {
		t.Errorf("it tells of a platform of its own:\n%s", out)
	}
}
