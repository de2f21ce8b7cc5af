// Package appleexport reads what Apple's Health app exports: export.xml, or
// the export.zip around it. It streams: memory does not grow with the file.
//
// A Record becomes a sample. A Workout, WorkoutRoute, Correlation,
// ActivitySummary, Audiogram, ClinicalRecord and VisionPrescription becomes a
// sample of a type the catalog does not know, with the whole element in Raw.
// What says something else (Me, ExportDate) is skipped with a reason, and so
// is each other file of the archive. A Record inside a Correlation is read as
// a sample of its own; Apple writes it a second time at the top, and both
// derive the same UUID.
//
// Of a Record's attributes creationDate and the device's name are not kept.
// HeartRateVariabilityMetadataList becomes a metadata member of that name.
//
// The zone of a record is its HKTimeZone, else Options.DefaultZone, else the
// fixed zone of its offset. Apple writes every date of an export with the
// offset that the phone had on the day of the export, whatever the season or
// the country of the record, so give a DefaultZone.
package appleexport

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// XML reads the records of an export.xml, in the order of the file. An error
// ends the sequence; what came before it stands. The reader is read once.
func XML(r io.Reader, o record.Options) iter.Seq2[record.Record, error] {
	return func(yield func(record.Record, error) bool) {
		if err := readXML(r, "", o, yield); err != nil && !errors.Is(err, errStopped) {
			yield(record.Record{}, err)
		}
	}
}

// errStopped says that the caller wants no more records.
var errStopped = errors.New("stopped")

// A reader turns tags into records.
type reader struct {
	scan    *scanner
	entry   string
	options record.Options
	yield   func(record.Record, error) bool
	texts   record.Interner
	zones   record.Zones
	devices map[string]device // by the device attribute
	offset  int               // of ExportDate, for what has a date but no time
	members []jsontext.Member // of the metadata being read
	scratch []byte
}

func readXML(r io.Reader, entry string, o record.Options, yield func(record.Record, error) bool) error {
	x := &reader{scan: newScanner(r), entry: entry, options: o, yield: yield, devices: make(map[string]device)}
	tok, err := x.scan.next()
	if err != nil {
		return err
	}
	if tok == endOfFile {
		return x.scan.malformed("the file is empty")
	}
	if x.scan.name != "HealthData" {
		return x.scan.malformed("the root element is not HealthData")
	}
	for {
		tok, err := x.scan.next()
		if err != nil {
			return err
		}
		switch tok {
		case startTag:
			if err := x.topElement(); err != nil {
				return err
			}
		case endOfFile:
			return nil
		}
	}
}

// topElement reads one child of HealthData to its end.
func (x *reader) topElement() error {
	at := x.place()
	switch x.scan.name {
	case "Record":
		return x.record(at)
	case "ExportDate":
		if value, ok := x.scan.attr("value"); ok {
			_, x.offset, _ = record.ParseStamp(value)
		}
		return x.skip(at, record.CodeNotASample, "the date of the export")
	case "Me":
		return x.skip(at, record.CodeNotASample, "the person's characteristics")
	case "Workout", "Correlation", "ActivitySummary", "Audiogram", "ClinicalRecord", "VisionPrescription":
		return x.raw(at, nil)
	}
	if _, ok := x.scan.attr("startDate"); ok {
		return x.raw(at, nil)
	}
	return x.skip(at, record.CodeUnknown, "an element that is no known kind of record")
}

func (x *reader) place() record.Place {
	return record.Place{Entry: x.entry, Line: x.scan.lineNow()}
}

func (x *reader) emit(r record.Record) error {
	if !x.yield(r, nil) {
		return errStopped
	}
	return nil
}

// skip reads the element to its end and gives the verdict.
func (x *reader) skip(at record.Place, code reject.Code, detail string) error {
	if err := x.toEnd(nil); err != nil {
		return err
	}
	return x.emit(record.Skip(at, code, detail))
}

// toEnd reads to the end of the element that was just opened. child, if not
// nil, is called for each start tag within.
func (x *reader) toEnd(child func()) error {
	for depth := 1; depth > 0; {
		tok, err := x.scan.next()
		if err != nil {
			return err
		}
		switch tok {
		case startTag:
			depth++
			if child != nil {
				child()
			}
		case endTag:
			depth--
		}
	}
	return nil
}

// rejection is a code and a sentence; the zero one rejects nothing.
type rejection struct {
	code   reject.Code
	detail string
}

func missing(name string) rejection {
	return rejection{reject.MissingField, fmt.Sprintf("the attribute %s is missing", name)}
}

// badText is the rejection of a tag whose text cannot be kept.
func (x *reader) badText() rejection {
	if x.scan.badText {
		return rejection{reject.InvalidText, "the text is not UTF-8"}
	}
	return rejection{}
}
