package healthautoexport_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/health/formats/healthautoexport"
	"github.com/clarity-loop/clarity/services/health/formats/record"
)

// A failing file is one of which no read from a place on goes well.
type failing struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at >= f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(b, at)
}

// The data before the name are read twice. Where the second read fails the file
// does, and no record is blamed for it.
func TestASecondReadThatFails(t *testing.T) {
	const file = `{"data":{"metrics":[{"data":[{"date":"2026-02-06 14:30:00 -0800","qty":1}],"name":"step_count","units":"count"}]}}`
	place, broken := int64(strings.Index(file, `[{"date"`)), errors.New("input/output error")
	for name, tt := range map[string]struct {
		from    int64
		err     error
		records int
	}{
		"a good file": {int64(len(file)), nil, 1},
		"a bad disk":  {place, broken, 0},
		"a cut":       {place, io.EOF, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var records []record.Record
			var failed error
			for r, err := range healthautoexport.JSON(failing{strings.NewReader(file), tt.from, tt.err}, int64(len(file)), record.Options{}) {
				if err != nil {
					failed = err
					continue
				}
				records = append(records, r)
			}
			if len(records) != tt.records || (failed == nil) != (tt.err == nil) || errors.Is(tt.err, broken) && !errors.Is(failed, broken) {
				t.Errorf("%d records, %v; want %d and %v: %+v", len(records), failed, tt.records, tt.err, records)
			}
		})
	}
}
