package formats_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
)

var update = flag.Bool("update", false, "write testdata/whole/*.txt anew: read them before you commit them")

// whole are files that have, made up, what each format can have.
var whole = []string{"healthautoexport", "fhir", "openwearables"}

// told is all that a record says, over some lines.
func told(r formats.Record) string {
	if r.Verdict != formats.Accepted {
		return fmt.Sprintf("%s: %s, %s: %s\n", r.Place, r.Verdict, r.Code, r.Detail)
	}
	s := r.Sample
	at := func(i health.Instant) string { return i.Time().Format(time.RFC3339Nano) }
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %v %s (%v %s)\n", r.Place, s.Type, s.Value, s.Unit, s.OriginalValue, s.OriginalUnit)
	fmt.Fprintf(&b, "  %s to %s, %s; typed %v; %s\n", at(s.Start), at(s.End), s.Zone, s.UserEntered, s.UUID)
	fmt.Fprintf(&b, "  source %q %q %q %q\n", s.Source.BundleID, s.Source.Name, s.Source.ProductType, s.Source.OSVersion)
	if s.Metadata != "" || s.Raw != "" {
		fmt.Fprintf(&b, "  metadata %s raw %s\n", s.Metadata, s.Raw)
	}
	return b.String()
}

func TestEverythingThatAFormatCanSay(t *testing.T) {
	for _, name := range whole {
		for zone, suffix := range map[string]string{"": "", "Europe/Berlin": ".berlin"} {
			t.Run(name+suffix, func(t *testing.T) {
				file, err := os.ReadFile("testdata/whole/" + name + ".json")
				if err != nil {
					t.Fatal(err)
				}
				_, records := readAll(t, name, file, formats.Options{DefaultZone: zone})
				var b strings.Builder
				for _, r := range records {
					b.WriteString(told(r))
				}
				golden := "testdata/whole/" + name + suffix + ".txt"
				if *update {
					if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
					t.Errorf("records (-want +got):\n%s", diff)
				}
				checkRoundTrip(t, records)
			})
		}
	}
}

// A caller may leave after any record: the language itself panics where a
// sequence goes on.
func TestAFormatStopsWhenItsCallerStops(t *testing.T) {
	for _, name := range whole {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile("testdata/whole/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			_, all := readAll(t, name, file, formats.Options{})
			for stop := 1; stop <= len(all); stop++ {
				r, err := formats.Open(bytes.NewReader(file), int64(len(file)), name, formats.Options{})
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, err := range r.Records() {
					if err != nil {
						t.Fatal(err)
					}
					if n++; n == stop {
						break
					}
				}
				if n != stop {
					t.Errorf("%d records, want %d", n, stop)
				}
			}
		})
	}
}

// A file that was cut anywhere is never taken for a whole one.
func TestACutFileIsAnError(t *testing.T) {
	for _, name := range whole {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile("testdata/whole/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			file = bytes.TrimSpace(file)
			for n := range file {
				r, err := formats.Open(bytes.NewReader(file), int64(n), name, formats.Options{})
				if err != nil {
					continue
				}
				failed := false
				for _, err := range r.Records() {
					if failed {
						t.Fatalf("cut to %d bytes: something follows the error", n)
					}
					failed = err != nil
				}
				if !failed {
					t.Fatalf("cut to %d bytes it is taken for whole", n)
				}
			}
		})
	}
}
