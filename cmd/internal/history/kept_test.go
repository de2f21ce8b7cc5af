package history_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/history"
)

var update = flag.Bool("update", false, "write the histories of testdata anew; the demo tells something else then")

// The demo tells everybody the same: what the README prints, what measurements
// are compared by and what is in the documentation's pictures hangs on these
// bytes. A line is an upload, a night or a day.
func TestTheDemosHistoryIsKept(t *testing.T) {
	keep(t, "default.txt", describe(made()))
}

// Another person, who has the clock go forwards and flies the other way.
func TestAnotherHistoryIsKept(t *testing.T) {
	c := history.Default()
	c.End += 140
	c.Seed, c.Home, c.Away = 7, "America/New_York", "Asia/Tokyo"
	keep(t, "other.txt", describe(generate(t, c)))
}

func keep(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path) //nolint:gosec // ours
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
}

func describe(h *history.History) string {
	var out strings.Builder
	for _, u := range h.Uploads {
		sum := sha256.Sum256(u.Body)
		fmt.Fprintf(&out, "upload %s %s, %d samples, %d deleted, %d rejected: %s\n", u.SentOn, u.Stage, u.Samples, u.Deleted, u.Rejected, hex.EncodeToString(sum[:8]))
	}
	for _, n := range h.Nights {
		fmt.Fprintf(&out, "night %s in %s: bed %s, onset %s, wake %s, up %s; asleep %v (deep %v, rem %v, core %v), awake %v in %d, watch %t\n", n.Day, n.Zone,
			n.Bed.UTC().Format(time.DateTime), n.Onset.UTC().Format(time.TimeOnly), n.Wake.UTC().Format(time.TimeOnly), n.Up.UTC().Format(time.TimeOnly),
			n.Asleep, n.Deep, n.Rem, n.Core, n.AwakeAfter, n.Awakenings, n.Watch)
	}
	for _, d := range h.Days {
		fmt.Fprintf(&out, "day %s: %.0f steps, watch %t\n", d.Day, d.Steps, d.Watch)
	}
	return out.String()
}
