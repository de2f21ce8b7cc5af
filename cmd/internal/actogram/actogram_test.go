package actogram_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/actogram"
)

func draw(t *testing.T, p actogram.Plot) string {
	t.Helper()
	var buf bytes.Buffer
	if err := actogram.Draw(&buf, p); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(bytes.NewReader(buf.Bytes()))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	return buf.String()
}

func TestDraw(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2025, 10, 25, 12, 0, 0, 0, berlin) // the clock goes back in the night
	minutes := func(days int, v float64) []float64 {
		out := make([]float64, days*1440)
		for i := range out {
			out[i] = v
		}
		return out
	}
	tests := map[string]struct {
		plot actogram.Plot
		rows int
		has  []string
		not  []string
	}{
		"a day over midnight has two rows":     {actogram.Plot{Title: "A", Unit: "counts", Start: noon, Epoch: time.Minute, Values: minutes(1, 3)}, 2, []string{"Sat 25 Oct", "Sun 26 Oct", `class="bars" d="M`}, []string{`class="sleep"`}},
		"sleep is shaded":                      {actogram.Plot{Title: "A", Start: noon, Epoch: time.Minute, Values: minutes(1, 3), Sleep: []actogram.Span{{noon.Add(11 * time.Hour), noon.Add(19 * time.Hour)}}}, 2, []string{`class="sleep"`}, nil},
		"sleep outside the recording is not":   {actogram.Plot{Title: "A", Start: noon, Epoch: time.Minute, Values: minutes(1, 3), Sleep: []actogram.Span{{noon.AddDate(0, 0, 5), noon.AddDate(0, 0, 6)}}}, 2, nil, []string{`class="sleep"`}},
		"a still wearer has no bars":           {actogram.Plot{Title: "A", Start: noon, Epoch: time.Minute, Values: minutes(1, 0)}, 2, nil, []string{`d="M96.`}},
		"a title cannot break out of the text": {actogram.Plot{Title: `</title><script>"`, Start: noon, Epoch: time.Minute, Values: minutes(1, 1)}, 2, nil, []string{"<script>"}},
		"an empty recording is an empty plot":  {actogram.Plot{Title: "A", Start: noon, Epoch: time.Minute}, 0, nil, []string{`class="bars"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			svg := draw(t, tt.plot)
			if got := strings.Count(svg, `class="ground"`); got != tt.rows {
				t.Errorf("%d rows, want %d", got, tt.rows)
			}
			for _, s := range tt.has {
				if !strings.Contains(svg, s) {
					t.Errorf("no %s in it", s)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(svg, s) {
					t.Errorf("there is %s in it", s)
				}
			}
		})
	}
}

func TestMissingEpochsAreDrawnAsAGapNotAsRest(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := actogram.Plot{Title: "A", Start: start, Epoch: time.Minute, Values: make([]float64, 1440)}
	for i := range p.Values {
		p.Values[i] = 1
	}
	if svg := draw(t, p); strings.Contains(svg, `class="gap"`) {
		t.Error("a full day has a gap")
	}
	p.Missing = make([]bool, 1440)
	for i := 600; i < 660; i++ {
		p.Missing[i], p.Values[i] = true, 0
	}
	if svg := draw(t, p); strings.Count(svg, `class="gap"`) != 1 || !strings.Contains(svg, `<rect class="gap" x="276.0" y="64" width="18.0"`) {
		t.Error("want one gap of one hour at ten o'clock")
	}
}
