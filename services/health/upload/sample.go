package upload

import (
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/series"
)

// The members of a sample (and of a deletion: uuid and type), as bits.
const (
	memberUUID = 1 << iota
	memberType
	memberStart
	memberEnd
	memberValue
	memberUnit
	memberSource
	memberMetadata
)

// A record is the sample being read. Its bytes are the body's or the arena's.
type record struct {
	from        int // where it begins in the body
	seen        int // bits
	unknown     bool
	warned      int // bits of the kinds of warnings
	uuid        health.UUID
	kind        []byte
	known       *catalog.Type
	start, end  health.Instant
	number      float64
	isNumber    bool
	unit        []byte
	canonical   float64
	source      [4][]byte // bundle, name, product, OS
	zone        string
	userEntered bool
	points      points // of a series
}

// sample reads one; i is behind its brace.
func (d *decoder) sample(i int) int {
	return d.entryMembers(i, d.sampleMember)
}

func (d *decoder) sampleMember(name []byte, i int) int {
	switch string(name) {
	case "uuid":
		return d.readUUID(d.once(memberUUID, i))
	case "type":
		return d.readType(d.once(memberType, i))
	case "start":
		return d.readTime(d.once(memberStart, i), "start", &d.record.start)
	case "end":
		return d.readTime(d.once(memberEnd, i), "end", &d.record.end)
	case "value":
		return d.readValue(d.once(memberValue, i))
	case "unit":
		return d.readUnit(d.once(memberUnit, i))
	case "source":
		return d.readSource(d.once(memberSource, i))
	case "metadata":
		return d.readMetadata(d.once(memberMetadata, i))
	}
	return d.unknownMember(name, i)
}

// unknownMember reads one that the contract does not have. Whether it matters
// depends on the type, which may come later.
func (d *decoder) unknownMember(name []byte, i int) int {
	d.record.unknown = true
	for _, former := range d.names {
		if string(former) == string(name) {
			d.reject(reject.DuplicateKey, "the sample has a member twice")
		}
	}
	if len(d.names) == 64 {
		d.reject(reject.UnknownField, "the sample has more than 64 members that the contract does not have")
	}
	d.names = append(d.names, name)
	return d.value(i, 4)
}

// once notes that a member was seen, and rejects the sample the second time.
func (d *decoder) once(bit, i int) int {
	if d.record.seen&bit != 0 {
		d.reject(reject.DuplicateKey, "the sample has a member twice")
	}
	d.record.seen |= bit
	return i
}

// string reads a member that must be a string. s is nil where it was not, or
// the sample is rejected anyhow.
func (d *decoder) string(i int, member string) (s []byte, next int) {
	if i >= len(d.data) || d.data[i] != '"' {
		d.reject(reject.WrongType, member+" is not a string")
		return nil, d.value(i, 4)
	}
	next, escaped := d.text(i + 1)
	if next < 0 {
		return nil, next
	}
	s = d.data[i+1 : next-1]
	if len(s) > 6*MaxTextBytes {
		d.reject(reject.InvalidText, member+" is longer than 1024 bytes")
	}
	if d.code != "" {
		return nil, next
	}
	if escaped {
		if s = d.unescape(s); hasControl(s) {
			d.reject(reject.InvalidText, member+" holds control characters")
			return nil, next
		}
	}
	if len(s) > MaxTextBytes {
		d.reject(reject.InvalidText, member+" is longer than 1024 bytes")
		return nil, next
	}
	return s, next
}

func (d *decoder) readUUID(i int) int {
	if data := d.data; i+38 <= len(data) && data[i] == '"' && data[i+37] == '"' && parseUUID(data[i+1:i+37], &d.record.uuid) {
		return i + 38
	}
	s, i := d.string(i, "uuid")
	if i >= 0 && d.code == "" && !parseUUID(s, &d.record.uuid) {
		d.reject(reject.InvalidUUID, "uuid has not the form 8-4-4-4-12 hexadecimal digits")
	}
	return i
}

func (d *decoder) readType(i int) int {
	s, i := d.string(i, "type")
	if i < 0 || d.code != "" {
		return i
	}
	if len(s) == 0 {
		d.reject(reject.InvalidText, "type is empty")
	}
	d.record.kind = s
	d.record.known, _ = catalog.LookupBytes(s)
	return i
}

func (d *decoder) readTime(i int, member string, at *health.Instant) int {
	const usual = len("2006-01-02T15:04:05+00:00") + 2
	if data := d.data; i+usual <= len(data) && data[i] == '"' && data[i+usual-1] == '"' && d.code == "" {
		var ok bool
		if *at, ok = parseTime(data[i+1:i+usual-1], &d.date); ok {
			return i + usual
		}
	}
	s, i := d.string(i, member)
	if i < 0 || d.code != "" {
		return i
	}
	var ok bool
	if *at, ok = parseTime(s, &d.date); !ok {
		d.reject(reject.InvalidTime, member+" is not an RFC 3339 time with an offset between 1900 and 2200")
	}
	return i
}

// readValue takes a number; anything else is an unknown type's own affair.
func (d *decoder) readValue(i int) int {
	if i >= len(d.data) || d.data[i] != '-' && d.data[i]-'0' > 9 {
		return d.value(i, 4)
	}
	end := d.number(i)
	if end < 0 {
		return end
	}
	var ok bool
	if d.record.number, ok = parseNumber(d.data[i:end]); !ok {
		d.reject(reject.InvalidNumber, "value is beyond the range of float64")
	}
	d.record.isNumber = true
	return end
}

func (d *decoder) readUnit(i int) int {
	d.record.unit, i = d.string(i, "unit")
	return i
}

// check decides about a sample whose members could all be read; i is behind it.
func (d *decoder) check(i int) {
	r := &d.record
	if d.missing() {
		return
	}
	switch t := r.known; {
	case r.end < r.start:
		d.reject(reject.EndBeforeStart, "end is before start")
	case r.start > d.latest:
		d.reject(reject.FutureTime, "start is more than 24 hours ahead of the server's clock")
	case (t == nil || r.unknown) && i-r.from > maxRawBytes:
		d.reject(reject.TooLarge, tooLong)
	case t == nil:
	case !r.isNumber:
		d.reject(reject.WrongType, "value is not a number")
	case time.Duration(r.end-r.start) > t.MaxDuration/time.Millisecond:
		d.reject(reject.TooLong, "the sample lasts longer than its type can")
	default:
		d.checkValue(t)
		if r.unknown {
			r.warned |= 1 << warnField
		}
	}
}

// tooLong is what is said of a sample that is longer than one may be.
const tooLong = "the sample is larger than 64 KiB"

// pointOut says of a sample that is rejected as too long what it is, where it is a
// series.
func (d *decoder) pointOut() {
	if d.detail == tooLong && slices.Contains(series.Types(), string(d.record.kind)) {
		d.detail += ": with its points it is a series, and uploaded as " + series.Schema
	}
}

func (d *decoder) missing() bool {
	r := &d.record
	required := memberUUID | memberType | memberStart | memberEnd
	if r.known != nil {
		required |= memberValue
		if r.known.Kind == catalog.Quantity {
			required |= memberUnit
		}
	}
	absent := required &^ r.seen
	if absent == 0 {
		return false
	}
	for i, name := range [...]string{"uuid", "type", "start", "end", "value", "unit"} {
		if absent&(1<<i) != 0 {
			d.reject(reject.MissingField, name+" is missing")
			break
		}
	}
	return true
}

func (d *decoder) checkValue(t *catalog.Type) {
	r := &d.record
	v, err := t.ConvertBytes(r.number, r.unit)
	if v == 0 {
		v = 0 // not minus zero
	}
	r.canonical = v
	switch {
	case err != nil:
		d.reject(reject.UnknownUnit, "unit is not one of the type's dimension")
	case t.InRange(v):
	case t.MayCome(v):
		r.warned |= 1 << warnValue
	case t.Kind == catalog.Category:
		d.reject(reject.InvalidValue, "value is not one that an enumeration can have")
	default:
		d.reject(reject.OutOfRange, "value is not one that a person or a device can have")
	}
}

func (d *decoder) typeName() string {
	if d.record.known != nil {
		return d.record.known.Identifier
	}
	return d.intern(d.record.kind)
}

// common are the fields that a sample and a series have.
func (d *decoder) common() health.Sample {
	r := &d.record
	return health.Sample{
		UUID: r.uuid, Type: d.typeName(), Start: r.start, End: r.end, Zone: r.zone, UserEntered: r.userEntered,
		Source: health.Source{BundleID: d.intern(r.source[0]), Name: d.intern(r.source[1]),
			ProductType: d.intern(r.source[2]), OSVersion: d.intern(r.source[3])},
		Metadata: d.intern(d.canonical(d.members)),
	}
}

// build makes the Sample of an accepted record that ends at i.
func (d *decoder) build(i int) {
	r, s := &d.record, d.common()
	s.Value, s.OriginalValue, s.OriginalUnit = r.canonical, r.number, d.intern(r.unit)
	if r.known != nil {
		s.Unit = r.known.Unit
	} else {
		s.Value, s.Unit = r.number, s.OriginalUnit
	}
	if r.known == nil || r.warned&(1<<warnField|1<<warnValue) != 0 {
		d.canon = appendCompact(d.canon[:0], d.data[r.from:i])
		s.Raw = string(d.canon)
	}
	d.samples = append(d.samples, s)
}
