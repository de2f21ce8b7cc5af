// Package fhir reads FHIR R4 and R5 Observations: one, a Bundle, an array, or
// one a line (NDJSON).
//
// The type of an Observation is its HealthKit coding, else its LOINC code. A
// panel, such as blood pressure, is a sample for each component. UCUM writes
// percent per hundred, HealthKit a fraction: values are brought to the latter,
// see record.PerHundred. An Observation of a type that the catalog does not
// have is kept raw. Resources that are no Observations are skipped by name of
// reason, so are Observations entered in error or without a measurement.
//
// The zone is the metadata's HKTimeZone, else the sampleUploadTimeZone of
// Stanford's extension, else Options.DefaultZone, else the fixed zone of the
// offset.
package fhir

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"

	"github.com/clarity-loop/clarity/services/health/formats/internal/jsonstream"
	"github.com/clarity-loop/clarity/services/health/formats/record"
)

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

func (x *reader) root(s *jsonstream.Stream) error {
	for n := 0; ; n++ {
		c, err := s.Peek()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := ""
		if n > 0 {
			path = "/" + strconv.Itoa(n) // the n-th line
		}
		if c == '[' {
			err = s.Array(func(i int) error { return x.resource(s, path+"/"+strconv.Itoa(i)) })
		} else {
			err = x.resource(s, path)
		}
		if err != nil {
			return err
		}
	}
}

// resource reads a resource of any kind. A Bundle can be of any size, and its
// members come in any order, so it is passed over once to know that it is one.
func (x *reader) resource(s *jsonstream.Stream, path string) error {
	at := record.Place{Path: path}
	if c, err := s.Peek(); err == nil && c != '{' {
		if err := s.Skip(); err != nil {
			return err
		}
		return x.emit(record.Reject(at, "wrong_type", "there is no object where a resource must be"))
	}
	from, err := s.Offset()
	if err != nil {
		return err
	}
	kind := ""
	err = s.Object(func(key string) error {
		if key != "resourceType" {
			return s.Skip()
		}
		raw, err := s.Value()
		if err == nil {
			_ = json.Unmarshal(raw, &kind) // what is no string is no resource type
		}
		return err
	})
	if err != nil {
		return err
	}
	again := jsonstream.New(x.file, from, x.size)
	switch kind {
	case "Bundle":
		return x.bundle(again, path)
	case "Observation":
		raw, err := again.Value()
		if errors.Is(err, jsonstream.ErrTooLarge) {
			return x.emit(record.Reject(at, record.CodeTooLarge, "the Observation is longer than 8 MiB"))
		}
		if err != nil {
			return err
		}
		return x.observation(at, raw)
	case "":
		return x.emit(record.Reject(at, "missing_field", "the resource has no resourceType"))
	}
	return x.emit(record.Skip(at, record.CodeNotASample, "a resource that is no Observation"))
}

func (x *reader) bundle(s *jsonstream.Stream, path string) error {
	return s.Object(func(key string) error {
		if c, err := s.Peek(); key != "entry" || err != nil || c != '[' {
			return s.Skip()
		}
		return s.Array(func(i int) error { return x.entry(s, path+"/entry/"+strconv.Itoa(i)) })
	})
}

func (x *reader) entry(s *jsonstream.Stream, path string) error {
	if c, err := s.Peek(); err == nil && c != '{' {
		return x.resource(s, path)
	}
	found := false
	err := s.Object(func(key string) error {
		if key != "resource" {
			return s.Skip()
		}
		found = true
		return x.resource(s, path+"/resource")
	})
	if err == nil && !found {
		err = x.emit(record.Skip(record.Place{Path: path}, record.CodeNotASample, "an entry without a resource"))
	}
	return err
}
