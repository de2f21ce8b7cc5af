// Package record is what every format reads into: one verdict for each record
// of a file, so that nothing is dropped silently.
package record

import (
	"fmt"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// A Record is one record of a file and what became of it.
type Record struct {
	Place   Place
	Verdict Verdict
	// Code and Detail say why a record was rejected or skipped. They carry no
	// value, name or uuid of the file.
	Code   reject.Code
	Detail string
	// Sample is set if Verdict is Accepted. Types that the catalog does not
	// know, workouts among them, have Raw.
	Sample health.Sample
}

// A Verdict is what became of a record.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted" // Sample is set
	Rejected Verdict = "rejected" // meant to be a sample, and is none
	Skipped  Verdict = "skipped"  // not meant to be a sample
)

// The reasons of formats beside those of package reject.
const (
	CodeNotASample reject.Code = "not_a_sample" // says something else than a measurement
	CodeAttachment reject.Code = "attachment"   // a file beside the records, such as a route
	CodeUnknown    reject.Code = "unknown_record"
	CodeTooLarge               = reject.TooLarge // one record beyond MaxRaw, or beyond what an upload takes
)

// MaxRaw bounds the Raw of one sample in bytes: with type, times and zone the
// upload contract's 64 KiB of a sample of an unknown type hold it.
const MaxRaw = 60 << 10

// A Place says where in a file a record is.
type Place struct {
	Entry string // file within an archive
	Line  int    // of an XML file, from 1
	Path  string // JSON Pointer of a JSON file
}

// String is "export.xml line 12" or "/data/metrics/0".
func (p Place) String() string {
	switch {
	case p.Line > 0 && p.Entry != "":
		return fmt.Sprintf("%s line %d", p.Entry, p.Line)
	case p.Line > 0:
		return fmt.Sprintf("line %d", p.Line)
	case p.Entry != "":
		return p.Entry
	}
	return p.Path
}

// Options are what a file does not say itself.
type Options struct {
	// DefaultZone is the IANA zone of samples that name none. Where it is ""
	// they get the fixed zone of their offset (see ZoneOfOffset), or Etc/UTC.
	DefaultZone string
}

// Accept is the verdict of a sample that passed Check; the sample gets its
// derived UUID if it has none.
func Accept(at Place, s health.Sample) Record {
	s.OriginalValue, s.Value = s.OriginalValue+0, s.Value+0 // not minus zero
	if code, detail := Check(&s); code != "" {
		return Reject(at, code, detail)
	}
	if s.UUID == (health.UUID{}) {
		s.UUID = health.DeriveUUID(&s)
	}
	return Record{Place: at, Verdict: Accepted, Sample: s}
}

// Reject is the verdict of what should be a sample and is none.
func Reject(at Place, code reject.Code, detail string) Record {
	return Record{Place: at, Verdict: Rejected, Code: code, Detail: detail}
}

// Skip is the verdict of what is no sample.
func Skip(at Place, code reject.Code, detail string) Record {
	return Record{Place: at, Verdict: Skipped, Code: code, Detail: detail}
}

// ProductOfName is the product family that Apple's own device names tell
// ("Anna's Apple Watch"), or "". Formats use it where a file names no product,
// so that the priority of sources still holds.
func ProductOfName(name string) string {
	for _, p := range [...]struct{ sign, product string }{
		{"Apple Watch", "Watch"}, {"Apple\u00a0Watch", "Watch"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
	} {
		if strings.Contains(name, p.sign) {
			return p.product
		}
	}
	return ""
}
