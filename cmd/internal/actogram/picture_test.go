package actogram_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/actogram"
)

var update = flag.Bool("update", false, "write the pictures of testdata anew; look at them then")

// threeDays is a recording that begins late in an evening and ends in a
// forenoon, of a watch that shows +01:00, while the sleep is told in UTC.
func threeDays() actogram.Plot {
	zone := time.FixedZone("CET", 3600)
	start := time.Date(2026, 1, 1, 22, 30, 0, 0, zone)
	p := actogram.Plot{Title: `Anna & "co"`, Unit: "counts <raw>", Start: start, Epoch: 5 * time.Minute,
		Values: make([]float64, 36*12), Missing: make([]bool, 36*12),
		Sleep: []actogram.Span{
			{start.Add(-time.Hour).UTC(), start.Add(20 * time.Minute).UTC()},                 // begun before the recording
			{start.Add(90 * time.Minute).UTC(), start.Add(92 * time.Minute).UTC()},           // midnight; less than a bin
			{start.Add(24 * time.Hour).UTC(), start.Add(33 * time.Hour).UTC()},               // over midnight
			{start.Add(36*time.Hour - 5*time.Minute).UTC(), start.Add(72 * time.Hour).UTC()}, // goes on behind the end
		}}
	for i := range 101 { // sixty of them are no more than one, and none is in its place
		p.Values[20+3*i] = float64(i*37%101+1) / 60
	}
	for i := 150; i < 162; i++ {
		p.Values[i], p.Missing[i] = 99, true // whatever is said there
	}
	return p
}

// Every line of a picture is kept, so that no measure changes unseen.
func TestThePicture(t *testing.T) {
	path := filepath.Join("testdata", "three-days.svg")
	got := draw(t, threeDays())
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the picture (-want +got):\n%s", diff)
	}
}

// A full bar is the value that 98 in a hundred of those above zero do not pass,
// so that one shock of the watch does not make the days flat. Where there is
// nothing above zero there is no bar.
func TestAFullBar(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	tests := map[string]struct {
		values     []float64
		full, bars string
	}{
		"one value":                      {[]float64{1}, "1", "M96.8 94v-30.0"},
		"two values: the lower":          {[]float64{2, 1}, "1", "M96.8 94v-30.0M98.2 94v-30.0"},
		"a third and the whole":          {[]float64{1, 3, 3}, "3", "M96.8 94v-10.0M98.2 94v-30.0M99.8 94v-30.0"},
		"rest is not counted":            {[]float64{0, 0, 0, 0, 4}, "4", "M102.8 94v-30.0"},
		"rest alone":                     {[]float64{0, 0}, "0", ""},
		"two in a hundred may be higher": {append([]float64{1e6}, hundred...), "99", ""},
		"one in ten may be, too":         {append([]float64{1e6}, hundred[:10]...), "100", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			svg := draw(t, actogram.Plot{Title: "A", Unit: "counts", Start: start, Epoch: 5 * time.Minute, Values: tt.values})
			if want := fmt.Sprintf("full at %s ·", tt.full); !strings.Contains(svg, want) {
				t.Errorf("no %q in %s", want, svg[strings.Index(svg, `class="note"`):])
			}
			if tt.bars == "" {
				return
			}
			if want := `<path class="bars" d="` + tt.bars + `"/>`; !strings.Contains(svg, want) {
				t.Errorf("no %s in it", want)
			}
		})
	}
}

// The hour that comes twice is added up, the one that does not come is a gap.
func TestTheClockChanges(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		start time.Time
		hours int
		full  string
		gaps  []string
	}{
		"forwards":  {time.Date(2026, 3, 29, 0, 0, 0, 0, berlin), 23, "5", []string{`<rect class="gap" x="132.0" y="64" width="18.0" height="30"/>`}}, // two to three
		"backwards": {time.Date(2026, 10, 25, 0, 0, 0, 0, berlin), 25, "10", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := actogram.Plot{Title: "A", Unit: "counts", Start: tt.start, Epoch: time.Minute, Values: make([]float64, 60*tt.hours)}
			for i := range p.Values {
				p.Values[i] = 1
			}
			svg := draw(t, p)
			if got := strings.Count(svg, `class="ground"`); got != 1 {
				t.Errorf("%d rows, want the one day", got)
			}
			if !strings.Contains(svg, "full at "+tt.full+" ·") || strings.Count(svg, `class="gap"`) != len(tt.gaps) {
				t.Errorf("want full bars of %s and %d gaps in:\n%s", tt.full, len(tt.gaps), svg)
			}
			for _, gap := range tt.gaps {
				if !strings.Contains(svg, gap) {
					t.Errorf("no %s", gap)
				}
			}
		})
	}
}

var errFull = errors.New("the disk is full")

// full is a writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAPictureThatCannotBeWrittenIsTold(t *testing.T) {
	if err := actogram.Draw(full{}, threeDays()); !errors.Is(err, errFull) {
		t.Errorf("error %v, want the writer's", err)
	}
	var buf bytes.Buffer
	if err := actogram.Draw(&buf, threeDays()); err != nil || buf.Len() == 0 {
		t.Errorf("%d bytes, %v", buf.Len(), err)
	}
}
