package health

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// ErrNoZone is the error of a name that is no time zone.
var ErrNoZone = errors.New("no time zone of that name")

const maxZoneBytes = 64

// LoadZone finds a time zone by name: one of the IANA database, or a fixed
// offset as Apple names those that belong to no place: GMT±h, GMT±hh, GMT±hhmm,
// up to 18 hours. The location's own name is the zone's: one for every spelling
// of an offset. What a machine calls its own ("Local", "localtime") is none, nor
// is "".
//
// Whoever reads a zone that a sample, an upload or a profile named reads it here.
func LoadZone(name string) (*time.Location, error) {
	if !looksLikeZone(name) {
		return nil, ErrNoZone
	}
	if fixed, ok := fixedZone(name); ok {
		return fixed, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, ErrNoZone
	}
	return loc, nil
}

// looksLikeZone leaves out what no name of the database looks like, such as a
// path, and names of it that are no zone.
func looksLikeZone(name string) bool {
	if name == "" || len(name) > maxZoneBytes || name[0] < 'A' || name[0] > 'Z' || slices.Contains([]string{"Local", "Factory"}, name) {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '_', c == '-', c == '+':
		default:
			return false
		}
	}
	return true
}

// fixedZone reads GMT±h, GMT±hh and GMT±hhmm.
func fixedZone(name string) (*time.Location, bool) {
	const farthest = 18 * 60 // minutes: as Foundation allows
	digits, ok := strings.CutPrefix(name, "GMT")
	if !ok || len(digits) < 2 || digits[0] != '+' && digits[0] != '-' {
		return nil, false
	}
	sign, digits := digits[:1], digits[1:]
	switch len(digits) {
	case 1:
		digits = "0" + digits + "00"
	case 2:
		digits += "00"
	case 4:
	default:
		return nil, false
	}
	if strings.Trim(digits, "0123456789") != "" {
		return nil, false
	}
	hours, minutes := int(digits[0]-'0')*10+int(digits[1]-'0'), int(digits[2]-'0')*10+int(digits[3]-'0')
	offset := hours*60 + minutes
	switch {
	case minutes > 59 || offset > farthest:
		return nil, false
	case offset == 0:
		return time.FixedZone("GMT", 0), true
	case sign == "-":
		offset = -offset
	}
	return time.FixedZone("GMT"+sign+digits, offset*60), true
}
