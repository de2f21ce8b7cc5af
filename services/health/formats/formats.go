// Package formats reads the files that people have of their health data into
// Samples: Apple's export.xml and export.zip, Health Auto Export's JSON, FHIR
// Observations, Open Wearables' SDK payloads and the platform's own export. Every record of a file gets a
// verdict; nothing is dropped silently, and memory does not grow with the file.
//
// What the formats disagree on is brought to one convention, that of the
// upload contract (and of HealthKit):
//
//   - Percent: Sample.OriginalValue with OriginalUnit "%" is a fraction, 0.97.
//     export.xml writes it so; Health Auto Export and FHIR write 97 and are
//     divided by 100. Sample.Value with the canonical Unit "%" is per hundred, 97.
//   - Zone: what the record names, else Options.DefaultZone, else the fixed
//     zone of its offset.
//   - Identity: the record's UUID where it has one, else health.DeriveUUID, so
//     that reading the same file again adds nothing.
package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/appleexport"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	"github.com/clarity-loop/clarity/services/health/formats/fhir"
	"github.com/clarity-loop/clarity/services/health/formats/healthautoexport"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsonstream"
	"github.com/clarity-loop/clarity/services/health/formats/openwearables"
	"github.com/clarity-loop/clarity/services/health/formats/record"
)

// What all formats share.
type (
	// A Record is one record of a file and what became of it.
	Record = record.Record
	// Options are what a file does not say itself.
	Options = record.Options
)

// The verdicts of a Record.
const (
	Accepted = record.Accepted
	Rejected = record.Rejected
	Skipped  = record.Skipped
	Deleted  = clarityexport.Deleted
	Points   = clarityexport.Points
)

// A Format names what a file was recognized as.
type Format string

// The formats.
const (
	AppleExportXML   Format = "apple-export-xml"
	AppleExportZip   Format = "apple-export-zip"
	HealthAutoExport Format = "health-auto-export"
	FHIR             Format = "fhir"
	OpenWearables    Format = "open-wearables"
	ClarityExport    Format = "clarity-export"
)

// A Reader is a file whose format is known.
type Reader struct {
	Format Format

	file    io.ReaderAt
	size    int64
	options Options
}

// ErrUnknownFormat is the error of a file that is none of the formats.
var ErrUnknownFormat = errors.New("not Apple's export, Health Auto Export, FHIR, Open Wearables or an export of the platform's")

// Open recognizes the format of a file by its content. The name appears in
// errors only. The file must stay readable while records are read.
func Open(file io.ReaderAt, size int64, name string, o Options) (*Reader, error) {
	if o.DefaultZone != "" {
		var zones record.Zones
		if _, ok := zones.Location(o.DefaultZone); !ok {
			return nil, fmt.Errorf("open %s: the default zone %q is not an IANA time zone", name, o.DefaultZone)
		}
	}
	format, err := sniff(file, size)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &Reader{Format: format, file: file, size: size, options: o}, nil
}

// Records reads the file from its beginning. An error ends the sequence: the
// file is malformed or truncated; the records before it stand.
func (r *Reader) Records() iter.Seq2[Record, error] {
	switch r.Format {
	case AppleExportXML:
		return appleexport.XML(io.NewSectionReader(r.file, 0, r.size), r.options)
	case AppleExportZip:
		return appleexport.Zip(r.file, r.size, r.options)
	case FHIR:
		return fhir.JSON(r.file, r.size, r.options)
	case OpenWearables:
		return openwearables.JSON(r.file, r.size, r.options)
	case ClarityExport:
		return clarityexport.NDJSON(io.NewSectionReader(r.file, 0, r.size))
	}
	return healthautoexport.JSON(r.file, r.size, r.options)
}

func sniff(file io.ReaderAt, size int64) (Format, error) {
	head := make([]byte, 512)
	n, err := file.ReadAt(head[:min(512, size)], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if head = head[:n]; bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return AppleExportZip, nil
	}
	switch head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"); {
	case len(head) == 0:
		return "", ErrUnknownFormat
	case head[0] == '<':
		if root := rootOf(head); root != "" && root != "HealthData" {
			return "", fmt.Errorf("it is XML of <%s>: %w", root, ErrUnknownFormat)
		}
		return AppleExportXML, nil
	case clarityexport.Is(head):
		return ClarityExport, nil
	case head[0] == '{' || head[0] == '[':
		return sniffJSON(jsonstream.New(file, 0, size))
	}
	return "", ErrUnknownFormat
}

// rootOf is the root element of an XML document, as far as its first bytes tell.
func rootOf(head []byte) string {
	for _, end := range []struct{ opens, closes string }{{"<?", "?>"}, {"<!--", "-->"}} {
		for bytes.HasPrefix(head, []byte(end.opens)) {
			_, behind, closed := bytes.Cut(head, []byte(end.closes))
			if !closed {
				return ""
			}
			head = bytes.TrimLeft(behind, " \t\r\n")
		}
	}
	head = bytes.TrimPrefix(head, []byte("<!DOCTYPE "))
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("<")), " ")
	end := bytes.IndexFunc(head, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != ':' && r != '_' && r != '-'
	})
	if end < 0 || end > 64 {
		return ""
	}
	return string(head[:end])
}

// decided ends the walk of a JSON file as soon as a member tells the format.
type decided Format

func (d decided) Error() string { return string(d) }

// sniffJSON tells formats by the names of the members of the first object.
// Two formats have "data" with "workouts"; where nothing else tells them apart
// it is Health Auto Export's.
func sniffJSON(s *jsonstream.Stream) (Format, error) {
	onlyWorkouts := false
	look := func() error {
		return s.Object(func(key string) error { return sniffMember(s, key, &onlyWorkouts) })
	}
	var err error
	if c, _ := s.Peek(); c == '[' {
		err = s.Array(func(int) error {
			if err := look(); err != nil {
				return err
			}
			return ErrUnknownFormat
		})
	} else {
		err = look()
	}
	var format decided
	switch {
	case errors.As(err, &format):
		return Format(format), nil
	case onlyWorkouts && (err == nil || errors.Is(err, ErrUnknownFormat)):
		return HealthAutoExport, nil
	case err != nil:
		return "", err
	}
	return "", ErrUnknownFormat
}

func sniffMember(s *jsonstream.Stream, key string, onlyWorkouts *bool) error {
	switch key {
	case "resourceType":
		return decided(FHIR)
	case "provider", "sdkVersion", "syncTimestamp":
		return decided(OpenWearables)
	case "metrics", "metric", "qty", "totalSleep", "Avg", "systolic", "locations", "sleepStart", "duration", "startDate":
		return decided(HealthAutoExport)
	case "data":
		if c, err := s.Peek(); err == nil && c == '{' {
			return s.Object(func(key string) error { return sniffData(s, key, onlyWorkouts) })
		}
	}
	return s.Skip()
}

func sniffData(s *jsonstream.Stream, key string, onlyWorkouts *bool) error {
	switch key {
	case "metrics", "symptoms", "ecg", "heartRateNotifications", "stateOfMind", "cycleTracking", "medications":
		return decided(HealthAutoExport)
	case "records", "sleep", "provider", "sdkVersion":
		return decided(OpenWearables)
	case "workouts":
		*onlyWorkouts = true
	}
	return s.Skip()
}

// AppendUploadSample adds one element of the samples of a clarity.upload/1
// envelope; see record.AppendUploadSample.
func AppendUploadSample(dst []byte, s *health.Sample) []byte {
	return record.AppendUploadSample(dst, s)
}
