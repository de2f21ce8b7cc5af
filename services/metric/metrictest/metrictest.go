// Package metrictest has the recordings that the families' tests share: made
// ones, whose numbers are known by reasoning, and those of independent tools,
// which lie beside the repository where they are there at all.
package metrictest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
)

// Input is a window in which every known epoch was worn.
func Input(rec actigraphy.Recording) *metric.Input {
	worn := make([]bool, len(rec.Values))
	for i := range worn {
		worn[i] = rec.Known(i)
	}
	return metric.NewInput(rec, worn)
}

// Made is a recording of counts from midnight of 2 March 2026 in UTC, each
// epoch a function of its number.
func Made(days int, value func(i int) float64) actigraphy.Recording {
	rec := actigraphy.Recording{
		Start: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), Epoch: time.Minute, Kind: actigraphy.Counts,
		Values: make([]float64, days*actigraphy.MinutesPerDay),
	}
	for i := range rec.Values {
		rec.Values[i] = value(i)
	}
	return rec
}

// Reference reads a recording of an independent tool, cut to the period that
// follows a "|" in the name: "example_01.AWD|start=1918-01-24T08:00,period=9d".
// It skips the test where the file is not there.
func Reference(t *testing.T, name string) actigraphy.Recording {
	t.Helper()
	file, cut, isCut := strings.Cut(name, "|")
	f, err := os.Open(referenceFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := actigraphy.Read(f, file)
	if err != nil {
		t.Fatal(err)
	}
	if !isCut {
		return rec
	}
	if cut != "start=1918-01-24T08:00,period=9d" {
		t.Fatalf("no rule for the cut %q", cut)
	}
	rec, err = rec.Slice(time.Date(1918, 1, 24, 8, 0, 0, 0, time.UTC), 9*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// Golden is what pyActigraphy computes, by recording and by name.
func Golden(t *testing.T) map[string]map[string]any {
	t.Helper()
	data, err := os.ReadFile(referenceFile(t, "pyactigraphy/golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Files map[string]map[string]any `json:"files"`
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	return golden.Files
}

func referenceFile(t *testing.T, name string) string {
	t.Helper()
	if root := os.Getenv("CLARITY_REFERENCE"); root != "" {
		return filepath.Join(root, "actigraphy", name)
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		file := filepath.Join(dir, "..", "shared", "reference", "actigraphy", name)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	t.Skip("the recordings of independent tools are not beside the repository (CLARITY_REFERENCE)")
	return ""
}
