package clarityexport

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// Deleted is the verdict of a line that says that a sample is deleted: its Sample has
// the uuid and the type.
const Deleted record.Verdict = "deleted"

// Points is the verdict of a line that holds a sample that is many points: its Sample
// has the uuid, the type, the zone that decided its day and, as Raw, what was sent.
const Points record.Verdict = "series"

// maxLine bounds one line: far more than the longest of an export.
const maxLine = 16 << 20

// unknownType stands for the type of what was deleted, which nobody kept.
const unknownType = "unknown"

// A line is one of the file.
type line struct {
	Kind  string          `json:"kind"`
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	Lines int             `json:"lines"`
}

// Is says whether a file that begins so is an export of the platform's.
func Is(head []byte) bool {
	head, _, _ = bytes.Cut(head, []byte("\n"))
	return bytes.HasPrefix(head, []byte(`{"kind":"`))
}

// NDJSON reads an export from its beginning. What is neither a sample, nor a series,
// nor a deletion is skipped, with its kind as the reason. An export without its last
// line, or with another number of lines than that says, ends in an error.
func NDJSON(file io.Reader) iter.Seq2[record.Record, error] {
	return func(yield func(record.Record, error) bool) {
		err := eachLine(file, func(n int, l line) error {
			if r := l.record(record.Place{Line: n}); !yield(r, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(record.Record{}, err)
		}
	}
}

// errStop ends the walk of a file.
var errStop = errors.New("enough")

// Profile is the profile that an export begins with, as it is written; false where
// there is none. Nothing behind it is read.
func Profile(file io.Reader) (profile json.RawMessage, there bool, err error) {
	err = eachLine(file, func(_ int, l line) error {
		if l.Kind == KindProfile {
			profile, there = l.Value, true
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, false, err
	}
	return profile, there, nil
}

// Anchors are how far the phone had come that the export is of, by type: its own words.
// Nothing behind the export's uploads is read.
func Anchors(file io.Reader) (map[string]string, error) {
	found := map[string]string{}
	err := eachLine(file, func(n int, l line) error {
		switch l.Kind {
		case KindProfile, "consent", "upload":
			return nil
		case "cursor":
			var c struct{ Anchor string }
			if err := json.Unmarshal(l.Value, &c); err != nil {
				return fmt.Errorf("line %d holds no cursor", n)
			}
			found[l.Key] = c.Anchor
			return nil
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	return found, nil
}

// eachLine calls visit with each line but the end, and says where it is not whole.
func eachLine(file io.Reader, visit func(n int, l line) error) error {
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Kind == "" {
			return fmt.Errorf("line %d is none of an export", n+1)
		}
		if l.Kind == KindEnd {
			if l.Lines != n {
				return fmt.Errorf("the export has %d lines, and says that they are %d", n, l.Lines)
			}
			return nil
		}
		n++
		if err := visit(n, l); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read line %d: %w", n+1, err)
	}
	return errors.New("the export is not complete: its last line is missing")
}

// record is what became of the line. The platform judges samples again: they are
// not looked at here.
func (l line) record(at record.Place) record.Record {
	switch l.Kind {
	case KindSample:
		var s Sample
		if err := json.Unmarshal(l.Value, &s); err != nil {
			return record.Reject(at, reject.WrongType, "the line holds no sample")
		}
		return s.record(at)
	case KindDeletion:
		var d Deletion
		if err := json.Unmarshal(l.Value, &d); err != nil {
			return record.Reject(at, reject.WrongType, "the line holds no deletion")
		}
		return d.record(at)
	case KindSeries:
		var s Series
		if err := json.Unmarshal(l.Value, &s); err != nil {
			return record.Reject(at, reject.WrongType, "the line holds no series")
		}
		return s.record(at)
	case KindHeld:
		var h Held
		if err := json.Unmarshal(l.Value, &h); err != nil {
			return record.Reject(at, reject.WrongType, "the line holds nothing that an upload can hold")
		}
		return h.record(at)
	}
	return record.Skip(at, record.CodeNotASample, "it is no sample: the export says what else is held")
}

func (s *Sample) record(at record.Place) record.Record {
	read, err := s.sample()
	if err != nil {
		return record.Reject(at, reject.InvalidTime, "the sample has no uuid, or a time that is none")
	}
	return record.Record{Place: at, Verdict: record.Accepted, Sample: read}
}

func (h Held) record(at record.Place) record.Record {
	switch {
	case h.Sample != nil && h.Series == nil && h.Deleted == nil:
		return h.Sample.record(at)
	case h.Series != nil && h.Sample == nil && h.Deleted == nil:
		return h.Series.record(at)
	case h.Deleted != nil && h.Sample == nil && h.Series == nil:
		return h.Deleted.record(at)
	}
	return record.Reject(at, reject.WrongType, "the line holds neither a sample, nor a series, nor a deletion")
}

func (s *Series) record(at record.Place) record.Record {
	var of struct{ UUID, Type string }
	if err := json.Unmarshal(s.Series, &of); err != nil {
		return record.Reject(at, reject.WrongType, "the line holds no series")
	}
	uuid, err := health.ParseUUID(of.UUID)
	if err != nil {
		return record.Reject(at, reject.InvalidUUID, "the series has no uuid")
	}
	return record.Record{Place: at, Verdict: Points, Sample: health.Sample{UUID: uuid, Type: of.Type, Zone: s.TimeZone, Raw: string(s.Series)}}
}

func (d *Deletion) record(at record.Place) record.Record {
	uuid, err := health.ParseUUID(d.UUID)
	if err != nil {
		return record.Reject(at, reject.InvalidUUID, "the deletion has no uuid")
	}
	kind := d.Type
	if kind == "" {
		kind = unknownType
	}
	return record.Record{Place: at, Verdict: Deleted, Sample: health.Sample{UUID: uuid, Type: kind}}
}
