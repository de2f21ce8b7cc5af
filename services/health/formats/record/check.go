package record

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// The instants between which a sample can lie: 1900 to 2200.
var (
	earliest = health.InstantOf(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC))
	latest   = health.InstantOf(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))
)

// maxText bounds the strings of a sample, as the upload contract does.
const maxText = 1024

// Check says why a decoded sample cannot be one, or "". It does not compare
// with the present: a file may be read on a machine whose clock is wrong, and
// the server rejects future samples by its own clock.
func Check(s *health.Sample) (code reject.Code, detail string) {
	if s.Start < earliest || s.Start >= latest || s.End >= latest {
		return reject.InvalidTime, "the time is outside 1900–2200"
	}
	if s.End < s.Start {
		return reject.EndBeforeStart, "the end is before the start"
	}
	if !finite(s.Value) || !finite(s.OriginalValue) {
		return reject.InvalidNumber, "the value is not a finite number"
	}
	for _, text := range [...]string{s.Type, s.OriginalUnit, s.Source.BundleID, s.Source.Name, s.Source.ProductType, s.Source.OSVersion} {
		if !plainText(text) {
			return reject.InvalidText, "a text is not UTF-8, has control characters or is longer than 1024 bytes"
		}
	}
	if detail := beyondUpload(s); detail != "" {
		return CodeTooLarge, detail
	}
	kind, known := catalog.Lookup(s.Type)
	if !known {
		return "", ""
	}
	if time.Duration(s.End-s.Start)*time.Millisecond > kind.MaxDuration {
		return reject.TooLong, "the sample lasts longer than its type can"
	}
	if !kind.InRange(s.Value) {
		if kind.Kind == catalog.Category {
			return reject.InvalidValue, "the value is not of the category's enumeration"
		}
		return reject.OutOfRange, "no person or device can have this value"
	}
	return "", ""
}

// beyondUpload says why an upload would not take what is kept of the sample. It
// is written as it would be uploaded, unless what is kept is little: the type, the
// zone and the source are short.
func beyondUpload(s *health.Sample) string {
	const little = health.MaxMetadata / 2
	object := s.Metadata
	if len(s.Raw) > little {
		if len(AppendUploadSample(nil, s)) > health.MaxUnknown {
			return "the sample is longer than 64 KiB, its zone included"
		}
		object = rawMetadata(s.Raw)
	}
	if len(object) <= little {
		return ""
	}
	if written := appendMetadata(nil, s, object); len(written) > len(`,"metadata":`)+health.MaxMetadata+len(`}`) {
		return "the metadata is longer than 16 KiB, its zone included"
	}
	return ""
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func plainText(s string) bool {
	if len(s) > maxText {
		return false
	}
	ascii := true
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < 0x80
	}
	return ascii || utf8.ValidString(s)
}

// Quantify fills Value and Unit from the original ones by the catalog. The
// unit "%" must be a fraction, as HealthKit means it; see PerHundred. An
// unknown type keeps what was sent.
func Quantify(s *health.Sample, kind *catalog.Type) (code reject.Code, detail string) {
	if kind == nil {
		s.Value, s.Unit = s.OriginalValue, s.OriginalUnit
		return "", ""
	}
	if kind.Kind == catalog.Quantity && s.OriginalUnit == "" {
		return reject.MissingField, "a quantity has no unit"
	}
	value, err := kind.Convert(s.OriginalValue, s.OriginalUnit)
	if err != nil {
		return reject.UnknownUnit, "the unit is not one of the type's dimension"
	}
	s.Value, s.Unit = value, kind.Unit
	return "", ""
}

// PerHundred turns a percentage that a format writes per hundred (97) into
// HealthKit's fraction (0.97), the convention of Sample.OriginalValue and of
// the upload contract. Other units stay.
func PerHundred(s *health.Sample) {
	if s.OriginalUnit == "%" {
		s.OriginalValue /= 100
	}
}

// Interner keeps one copy of each text of a file that comes again and again.
// It is bounded: a file of ever new texts does not grow it.
type Interner struct {
	texts map[string]string
}

// maxInterned bounds the texts, and with their length the memory, of an Interner.
const maxInterned = 4096

// Text is b as a string.
func (in *Interner) Text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := in.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) <= maxText && len(in.texts) < maxInterned {
		if in.texts == nil {
			in.texts = make(map[string]string)
		}
		in.texts[s] = s
	}
	return s
}
