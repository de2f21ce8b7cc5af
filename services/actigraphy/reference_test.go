package actigraphy_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
)

// reference finds the files of independent tools that are not in the repository.
func reference(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("CLARITY_REFERENCE")
	for dir, _ := filepath.Abs("."); root == ""; dir = filepath.Dir(dir) {
		candidate := filepath.Join(dir, "..", "shared", "reference")
		if _, err := os.Stat(candidate); err == nil {
			root = candidate
		} else if dir == filepath.Dir(dir) {
			t.Skip("the reference recordings are not beside the repository (CLARITY_REFERENCE)")
		}
	}
	return filepath.Join(root, "actigraphy", name)
}

func TestReferenceFilesOfDevicesAreRead(t *testing.T) {
	tests := map[string]struct {
		epochs, missing int
		sum             float64
		epoch           time.Duration
		start, device   string
		channel         string
	}{
		"pyactigraphy/example_01.AWD":                 {18401, 0, 2596555, time.Minute, "1918-01-23 13:58:00", "Actiwatch", ""},
		"pyactigraphy/example_02.AWD":                 {18413, 0, 3385004, time.Minute, "1918-01-23 13:52:00", "Actiwatch", ""},
		"pyactigraphy/test_sample.AWD":                {11718, 0, 1741455, time.Minute, "2018-01-01 08:30:00", "Actiwatch", ""},
		"ggir/Actiwatch.AWD":                          {329, 0, 0, time.Minute, "2009-10-01 17:00:00", "Actiwatch", ""},
		"ggir/Actiwatch.csv":                          {860, 0, 0, 15 * time.Second, "2019-11-23 06:00:00", "Actiwatch Spectrum Plus", ""},
		"ggir/ActiGraph61.csv":                        {990, 0, 0, 5 * time.Second, "2016-08-15 21:35:00", "ActiGraph wGT3XBT", "vector magnitude"},
		"ggir/ukbiobank.csv":                          {502, 0, 0, 5 * time.Second, "2014-12-08 10:00:00", "UK Biobank (Axivity AX3)", ""},
		"arctools/TAS1D47140221_2018-11-30_60sec.csv": {10080, 0, 0, time.Minute, "2018-07-13 10:00:00", "ActiGraph GT3X+", "vector magnitude"},
		"arctools/TAS1E25150490_2018-03-28_60sec.csv": {2943, 0, 0, time.Minute, "2018-03-28 13:15:00", "ActiGraph GT3X+", "vector magnitude"},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(reference(t, name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			rec, err := actigraphy.Read(f, name)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, v := range rec.Values {
				sum += v
			}
			t.Logf("%d epochs, %d missing, sum %v", len(rec.Values), rec.MissingEpochs(), sum)
			if len(rec.Values) != want.epochs || rec.Epoch != want.epoch || rec.Start.Format(time.DateTime) != want.start ||
				rec.Device != want.device || rec.Channel != want.channel {
				t.Errorf("got %d epochs of %v from %v by %q (%q), want %+v", len(rec.Values), rec.Epoch, rec.Start, rec.Device, rec.Channel, want)
			}
			if want.sum != 0 && sum != want.sum {
				t.Errorf("sum %v, want %v", sum, want.sum)
			}
		})
	}
}
