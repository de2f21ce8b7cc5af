package formats_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
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

// arranged are the whole files as they are, and as files hold several: on lines,
// and where the format has it in an array.
func arranged(t *testing.T, name string) [][]byte {
	t.Helper()
	file, err := os.ReadFile("testdata/whole/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	file = bytes.TrimSpace(file)
	list := [][]byte{file, slices.Concat(file, []byte("\n"), file)}
	if name == "fhir" {
		list = append(list, slices.Concat([]byte("["), file, []byte(","), file, []byte("]")))
	}
	return list
}

// A caller may leave after any record: the language itself panics where a
// sequence goes on.
func TestAFormatStopsWhenItsCallerStops(t *testing.T) {
	for _, name := range whole {
		t.Run(name, func(t *testing.T) {
			for _, file := range arranged(t, name) {
				checkStops(t, name, file)
			}
		})
	}
	for name, file := range small {
		t.Run(name, func(t *testing.T) { checkStops(t, name, []byte(file)) })
	}
}

// small are what files can be beside a whole one: a single record of a kind.
var small = map[string]string{
	"a metric of an archive":         `{"metric":"Step Count","data":[{"start":788050814,"unit":"count","qty":1},{"start":788050815,"unit":"count","qty":-1},{}]}`,
	"lists without data around them": `{"metrics":[{"name":"step_count","units":"count","data":[{"date":"2026-02-06 09:00:00 -0800","qty":1}]}],"workouts":[{"name":"x"},7],"version":2}`,
	"a point":                        `{"metric":"Step Count","start":788050814,"unit":"count","qty":9}` + "\n" + `{"qty":1}`,
	"an Observation":                 `{"resourceType":"Observation","effectiveDateTime":"2026-02-15T14:59:21Z","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"valueQuantity":{"value":60,"code":"/min"}}`,
	"Observations in an array":       `[{"resourceType":"Observation","effectiveDateTime":"2026-02-15T14:59:21Z","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"valueQuantity":{"value":60,"code":"/min"}},7,{"resourceType":"Patient"},{}]`,
	"resources on lines": `{"resourceType":"Patient"}` + "\n" + `{"resourceType":7}` + "\n" + `{"resourceType":"Bundle","entry":[7,{"a":1}]}` + "\n" + `{"resourceType":"Observation","code":7}` + "\n" +
		`{"resourceType":"Observation","effectiveInstant":"2026-02-15T14:59:21Z"}` + "\n" + `{"resourceType":"Patient"}`,
}

func checkStops(t *testing.T, name string, file []byte) {
	t.Helper()
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
}

// A file that was cut anywhere is never taken for a whole one.
func TestACutFileIsAnError(t *testing.T) {
	for _, name := range whole {
		t.Run(name, func(t *testing.T) { checkCuts(t, name, arranged(t, name)[0]) })
	}
	for name, file := range small {
		file, _, _ = strings.Cut(file, "\n") // behind a line it is whole
		t.Run(name, func(t *testing.T) { checkCuts(t, name, []byte(file)) })
	}
}

func checkCuts(t *testing.T, name string, file []byte) {
	t.Helper()
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
}

// A pulled file can be read so often, and then no more.
type pulled struct {
	*bytes.Reader
	left int
}

func (p *pulled) ReadAt(b []byte, at int64) (int, error) {
	if p.left--; p.left < 0 {
		return 0, errors.New("cable pulled")
	}
	return p.Reader.ReadAt(b, at)
}

// Formats read some parts of a file twice. Whenever it can be read no more,
// that is the error, and the last that is heard.
func TestAFileThatCannotBeReadAnyMore(t *testing.T) {
	for _, name := range []string{"lists without data around them", "a point", "an Observation", "Observations in an array", "resources on lines"} {
		file := small[name]
		t.Run(name, func(t *testing.T) {
			for reads := 0; ; reads++ {
				disk := &pulled{bytes.NewReader([]byte(file)), 1 << 30}
				r, err := formats.Open(disk, int64(len(file)), name, formats.Options{})
				if err != nil {
					t.Fatal(err)
				}
				disk.left = reads
				var errs []error
				for _, err := range r.Records() {
					errs = append(errs, err)
				}
				if disk.left >= 0 {
					if reads < 2 {
						t.Errorf("the file was read %d times, too seldom for this test", reads)
					}
					return
				}
				for i, err := range errs {
					if last := i == len(errs)-1; (err != nil) != last || last && !strings.Contains(err.Error(), "cable pulled") {
						t.Errorf("read %d times: error %d of %d is %v", reads, i+1, len(errs), err)
					}
				}
				if len(errs) == 0 {
					t.Errorf("read %d times: no error", reads)
				}
			}
		})
	}
}
