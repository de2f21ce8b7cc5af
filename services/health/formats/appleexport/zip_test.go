package appleexport

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestWhichFileOfAnArchiveIsTheExport(t *testing.T) {
	step := func(value int) string {
		return document(fmt.Sprintf(`<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="%d" %s/>`, value, times))
	}
	var many [][2]string
	for i := range 16 {
		many = append(many, [2]string{fmt.Sprintf("%d.xml", i), "<x/>"})
	}
	for name, tt := range map[string]struct {
		files [][2]string
		want  float64
	}{
		"export.xml before others":       {[][2]string{{"a.xml", step(1)}, {"x/Export.XML", step(2)}, {"b.xml", step(3)}}, 2},
		"the first of others":            {[][2]string{{"a.xml", "<x/>"}, {"b.xml", step(3)}, {"c.xml", step(4)}}, 3},
		"none of a Mac's own":            {[][2]string{{"__MACOSX/export.xml", step(1)}, {"x/._export.xml", step(2)}, {"b.xml", step(3)}}, 3},
		"the sixteenth of many":          {append(append([][2]string{}, many[:15]...), [2]string{"last.xml", step(5)}), 5},
		"not the seventeenth":            {append(append([][2]string{}, many...), [2]string{"last.xml", step(5)}), 0},
		"export.xml behind ever so many": {append(append(append([][2]string{}, many...), many...), [2]string{"export.xml", step(6)}), 6},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := readZipFile(archive(t, tt.files...))
			if tt.want == 0 {
				if err == nil {
					t.Errorf("%d records, want an error", len(records))
				}
				return
			}
			if err != nil || records[0].Sample.Value != tt.want {
				t.Errorf("%+v, %v, want %v steps", records, err, tt.want)
			}
		})
	}
}

// A file that is packed in a way nobody knows is passed over in the search.
func TestAnArchiveWithAFilePackedOtherwise(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if _, err := w.CreateRaw(&zip.FileHeader{Name: "a.xml", Method: 99}); err != nil {
		t.Fatal(err)
	}
	entry, err := w.Create("b.xml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(entry, document("<Me/>")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	records, err := readZipFile(b.Bytes())
	if err != nil || len(records) != 2 || records[0].Place.Entry != "b.xml" {
		t.Errorf("%+v, %v", records, err)
	}
}

func TestWhyAFileOfAnArchiveIsSkipped(t *testing.T) {
	for name, want := range map[string]string{
		"workout-routes/route.gpx": "a workout's track; the workout itself is read", "electrocardiograms/ecg.csv": "an electrocardiogram's voltages",
		"clinical-records/a.json": "a clinical document; its record is read", "export_cda.xml": "the same records as a clinical document", "a.txt": "a file that holds no records",
	} {
		if got := attachment(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestNamesOfAnArchiveAreSafeToPrint(t *testing.T) {
	for name, want := range map[string]string{
		"a/my file.txt": "my file.txt", "a\x1fb\x7fc": "a?b?c", "caf\xe9": "caf?", "Exportación": "Exportación", "a\u0080": "a\u0080",
		strings.Repeat("x", 120): strings.Repeat("x", 120), strings.Repeat("x", 121): strings.Repeat("x", 120),
	} {
		if got := shown(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}

// zeros reads as much as is asked for.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestWhatMayInflate(t *testing.T) {
	for name, tt := range map[string]struct {
		compressed, before, read int64
		ok                       bool
	}{
		"a MiB of nearly nothing":         {1, 1<<20 - 8, 8, true},
		"a byte more of it":               {1, 1<<20 - 8, 9, false},
		"200-fold":                        {100_000, 20_000_000, 199, true},
		"more than 200-fold":              {100_000, 20_000_000, 200, false},
		"64 GiB of as much":               {64 << 30, 64<<30 - 8, 8, true},
		"a byte more than 64 GiB":         {64 << 30, 64<<30 - 8, 9, false},
		"three MiB, twofold, are no bomb": {3 << 19, 3<<20 - 8, 8, true},
	} {
		t.Run(name, func(t *testing.T) {
			i := &inflation{r: zeros{}, compressed: tt.compressed, inflated: tt.before}
			n, err := i.Read(make([]byte, tt.read))
			if (err == nil) != tt.ok || tt.ok && int64(n) != tt.read {
				t.Errorf("%d bytes, %v, want none refused: %v", n, err, tt.ok)
			}
		})
	}
	if _, err := (&inflation{r: iotest.ErrReader(io.EOF)}).Read(nil); !errors.Is(err, io.EOF) || err.Error() != "EOF" {
		t.Errorf("at the end: %v", err)
	}
	if _, err := (&inflation{r: iotest.ErrReader(zip.ErrChecksum)}).Read(nil); !errors.Is(err, zip.ErrChecksum) || !strings.HasPrefix(err.Error(), "inflate export.xml: ") {
		t.Errorf("damaged: %v", err)
	}
}

func TestTheListOfFilesIsBounded(t *testing.T) {
	b := &budget{ReaderAt: bytes.NewReader(make([]byte, 100)), left: 10}
	if n, err := b.ReadAt(make([]byte, 10), 0); n != 10 || err != nil {
		t.Errorf("as much as may be: %d bytes, %v", n, err)
	}
	if _, err := b.ReadAt(make([]byte, 1), 0); err == nil || b.left >= 0 {
		t.Errorf("a byte more: %v, %d left", err, b.left)
	}
	b.unbounded = true
	if n, err := b.ReadAt(make([]byte, 50), 0); n != 50 || err != nil {
		t.Errorf("the files themselves: %d bytes, %v", n, err)
	}
}
