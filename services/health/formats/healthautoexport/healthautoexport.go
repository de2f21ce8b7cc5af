// Package healthautoexport reads the JSON of the app Health Auto Export: the
// body of its REST automation (version 2), its archive files of one metric or
// workout, and a single point, segment or workout out of either.
//
// A point of a metric becomes a sample at its date, which is the beginning of
// the period that the app summed or averaged over; the file does not say how
// long that is. Of Min, Avg and Max the average is the value, and the others
// stay in the metadata. The app writes percent per hundred, HealthKit a
// fraction: values are brought to the latter, see record.PerHundred.
//
// A summarized night holds durations but no stages, so it is kept as a record
// of the type SleepSummary rather than turned into stages that nobody
// measured. Workouts, routes and the app's other lists are kept raw too.
package healthautoexport

import (
	"errors"
	"io"
	"iter"
	"strconv"

	"github.com/clarity-loop/clarity/services/health/formats/internal/jsonstream"
	"github.com/clarity-loop/clarity/services/health/formats/record"
)

// SleepSummary is the type of a summarized night.
const SleepSummary = "HealthAutoExportSleepSummary"

// JSON reads the records of a file, in its order. An error ends the sequence;
// what came before it stands.
func JSON(r io.ReaderAt, size int64, o record.Options) iter.Seq2[record.Record, error] {
	return func(yield func(record.Record, error) bool) {
		x := &reader{file: r, size: size, options: o, yield: yield}
		if err := x.root(jsonstream.New(r, 0, size)); err != nil && !errors.Is(err, errStopped) {
			yield(record.Record{}, err)
		}
	}
}

// errStopped says that the caller wants no more records.
var errStopped = errors.New("stopped")

type reader struct {
	file    io.ReaderAt
	size    int64
	options record.Options
	yield   func(record.Record, error) bool
	zones   record.Zones
}

func (x *reader) emit(r record.Record) error {
	if !x.yield(r, nil) {
		return errStopped
	}
	return nil
}

// root reads the values of the file: one, or one a line.
func (x *reader) root(s *jsonstream.Stream) error {
	for {
		c, err := s.Peek()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c == '[' {
			err = s.Array(func(i int) error { return x.document(s, "/"+strconv.Itoa(i)) })
		} else {
			err = x.document(s, "")
		}
		if err != nil {
			return err
		}
	}
}

// document reads an object of unknown kind. Its members come in any order, so
// it is walked once to learn its kind and then once more for its records.
func (x *reader) document(s *jsonstream.Stream, path string) error {
	if c, err := s.Peek(); err == nil && c != '{' {
		if err := s.Skip(); err != nil {
			return err
		}
		return x.emit(record.Reject(record.Place{Path: path}, record.CodeUnknown, "there is no object where a record must be"))
	}
	from, err := s.Offset()
	if err != nil {
		return err
	}
	data := byte(0)
	lists := false
	err = s.Object(func(key string) error {
		if key == "data" {
			data, _ = s.Peek()
		}
		if c, _ := s.Peek(); c == '[' && (key == "metrics" || key == "workouts") {
			lists = true
		}
		return s.Skip()
	})
	if err != nil {
		return err
	}
	again := jsonstream.New(x.file, from, x.size)
	switch {
	case data == '{':
		return again.Object(func(key string) error {
			if key == "data" {
				return x.lists(again, path+"/data")
			}
			return again.Skip()
		})
	case data == '[':
		return x.metric(again, path)
	case lists:
		return x.lists(again, path)
	}
	return x.element(again, path, x.bare)
}

// lists reads the object that holds metrics, workouts and the app's other lists.
func (x *reader) lists(s *jsonstream.Stream, path string) error {
	return s.Object(func(key string) error {
		at := path + "/" + key
		if c, err := s.Peek(); err != nil || c != '[' {
			if err := s.Skip(); err != nil {
				return err
			}
			return x.emit(record.Skip(record.Place{Path: at}, record.CodeNotASample, "a member that is no list of records"))
		}
		return s.Array(func(i int) error {
			here := at + "/" + strconv.Itoa(i)
			switch key {
			case "metrics":
				if c, err := s.Peek(); err == nil && c == '{' {
					return x.metric(s, here)
				}
				return x.element(s, here, x.bare)
			case "workouts":
				return x.element(s, here, x.workout)
			}
			return x.element(s, here, func(at record.Place, p point) error { return x.other(at, key, p) })
		})
	})
}

// metric reads {"name":…,"units":…,"data":[…]}, or an archive's {"metric":…,
// "data":[…]}. Where the data come before the name they are passed over and
// read when the name is known.
func (x *reader) metric(s *jsonstream.Stream, path string) error {
	var m metric
	later, found := int64(-1), false
	err := s.Object(func(key string) error {
		switch key {
		case "name", "metric":
			return readText(s, &m.name)
		case "units", "unit":
			m.hasUnit = true
			return readText(s, &m.unit)
		case "data":
			found = true
			if c, err := s.Peek(); err == nil && c == '[' && m.name != "" && m.hasUnit {
				return x.points(s, path+"/data", &m)
			}
			var err error
			if later, err = s.Offset(); err != nil {
				return err
			}
		}
		return s.Skip()
	})
	if err != nil {
		return err
	}
	if later >= 0 {
		again := jsonstream.New(x.file, later, x.size)
		if c, err := again.Peek(); err != nil || c == '[' { // a read that fails is the file's fault
			return x.points(again, path+"/data", &m)
		}
	}
	if !found || later >= 0 {
		return x.emit(record.Reject(record.Place{Path: path}, "missing_field", "the metric has no list of data"))
	}
	return nil
}

func (x *reader) points(s *jsonstream.Stream, path string, m *metric) error {
	m.resolve()
	return s.Array(func(i int) error {
		return x.element(s, path+"/"+strconv.Itoa(i), func(at record.Place, p point) error { return x.point(at, m, p) })
	})
}

// element decodes one object and hands it on.
func (x *reader) element(s *jsonstream.Stream, path string, handle func(record.Place, point) error) error {
	at := record.Place{Path: path}
	raw, err := s.Value()
	if errors.Is(err, jsonstream.ErrTooLarge) {
		return x.emit(record.Reject(at, record.CodeTooLarge, "the record is longer than 8 MiB"))
	}
	if err != nil {
		return err
	}
	p, ok := decodePoint(raw)
	if !ok {
		return x.emit(record.Reject(at, "wrong_type", "there is no object where a record must be"))
	}
	return handle(at, p)
}
