package appleexport

import (
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// record reads a Record with its metadata.
func (x *reader) record(at record.Place) error {
	s, value, why := x.recordAttributes()
	offset := 0
	if why.code == "" {
		offset = x.times(&s, &why)
	}
	meta := x.metadata()
	var beats []string
	err := x.toEnd(func() {
		if bad := x.badText(); why.code == "" {
			why = bad
		}
		switch x.scan.name {
		case "MetadataEntry":
			meta.entry(x)
		case "InstantaneousBeatsPerMinute":
			beats = append(beats, string(x.object(nil)))
		}
	})
	if err != nil {
		return err
	}
	if len(beats) > 0 {
		meta.members = append(meta.members, jsontext.Member{Name: "HeartRateVariabilityMetadataList", JSON: "[" + strings.Join(beats, ",") + "]"})
	}
	x.members = meta.members[:0]
	if why.code == "" {
		why = x.finishRecord(&s, value, &meta, offset)
	}
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	return x.emit(record.Accept(at, s))
}

// recordAttributes reads the current Record tag. value is the text of a value
// that is no number, kept for categories and unknown types.
func (x *reader) recordAttributes() (s health.Sample, value string, why rejection) {
	kind, ok := x.scan.attr("type")
	if !ok || len(kind) == 0 {
		return s, "", missing("type")
	}
	if known, ok := catalog.LookupBytes(kind); ok {
		s.Type = known.Identifier
	} else {
		s.Type = x.texts.Text(kind)
	}
	unit, _ := x.scan.attr("unit")
	s.OriginalUnit = x.texts.Text(unit)
	s.Source = x.source()
	text, ok := x.scan.attr("value")
	if !ok {
		if known, _ := catalog.Lookup(s.Type); known != nil && known.Kind == catalog.Quantity {
			return s, "", missing("value")
		}
		return s, "", x.badText()
	}
	number, isNumber := jsontext.ParseNumber(text)
	if isNumber {
		s.OriginalValue = number
		return s, "", x.badText()
	}
	return s, x.texts.Text(text), x.badText()
}

// times reads startDate and endDate.
func (x *reader) times(s *health.Sample, why *rejection) (offset int) {
	for _, a := range [...]struct {
		name string
		to   *health.Instant
	}{{"endDate", &s.End}, {"startDate", &s.Start}} {
		text, ok := x.scan.attr(a.name)
		if !ok {
			*why = missing(a.name)
			return 0
		}
		if *a.to, offset, ok = record.ParseStamp(text); !ok {
			*why = rejection{reject.InvalidTime, "the attribute " + a.name + " is not yyyy-mm-dd hh:mm:ss ±hhmm"}
			return 0
		}
	}
	return offset
}

// finishRecord fills value, zone and metadata once the whole element is read.
func (x *reader) finishRecord(s *health.Sample, value string, meta *metadata, offset int) rejection {
	s.UserEntered = meta.userEntered
	s.Zone = x.zones.Choose(meta.zone, x.options.DefaultZone, offset)
	kind, known := catalog.Lookup(s.Type)
	switch {
	case !known:
	case kind.Kind == catalog.Category:
		code, why := categoryCode(kind, s.OriginalValue, value)
		if why.code != "" {
			return why
		}
		s.OriginalValue, s.OriginalUnit = code, "" // a category has no unit, whatever the file says
	case value != "":
		return rejection{reject.InvalidNumber, "the value is not a number"}
	}
	if code, detail := record.Quantify(s, kind); code != "" {
		return rejection{code, detail}
	}
	object, why := meta.object(x)
	if why.code != "" {
		return why
	}
	if s.Metadata = object; known {
		return rejection{}
	}
	return x.rawRecord(s, value, object)
}

func categoryCode(kind *catalog.Type, number float64, name string) (float64, rejection) {
	if name == "" {
		return number, rejection{} // Check says whether it is of the enumeration
	}
	code, ok := kind.CodeOf(name)
	if !ok {
		return 0, rejection{reject.InvalidValue, "the value is not of the category's enumeration"}
	}
	return float64(code), rejection{}
}

// rawRecord writes a record of an unknown type in the form of the upload contract.
func (x *reader) rawRecord(s *health.Sample, value, meta string) rejection {
	members := make([]jsontext.Member, 0, 4)
	if value != "" {
		members = append(members, jsontext.Member{Name: "value", JSON: string(jsontext.AppendString(nil, value))})
	} else {
		members = append(members, jsontext.Member{Name: "value", JSON: strconv.FormatFloat(s.OriginalValue, 'g', -1, 64)})
	}
	if s.OriginalUnit != "" {
		members = append(members, jsontext.Member{Name: "unit", JSON: string(jsontext.AppendString(nil, s.OriginalUnit))})
	}
	members = appendCommon(members, s, meta)
	s.Raw = string(jsontext.AppendObject(nil, members))
	return rejection{}
}

func appendCommon(members []jsontext.Member, s *health.Sample, meta string) []jsontext.Member {
	if s.Source != (health.Source{}) {
		members = append(members, jsontext.Member{Name: "source", JSON: string(jsontext.AppendSource(nil, s.Source))})
	}
	if meta != "" {
		members = append(members, jsontext.Member{Name: "metadata", JSON: meta})
	}
	return members
}

// A device is what of a device attribute identifies hardware.
type device struct{ product, software string }

// source reads sourceName, sourceVersion and device of the current tag.
//
// The export has no bundle identifier. Where it names no device either, the
// product is taken from Apple's own device names ("Anna's Apple Watch"), so
// that the priority of sources still holds.
func (x *reader) source() health.Source {
	name, _ := x.scan.attr("sourceName")
	version, _ := x.scan.attr("sourceVersion")
	text, _ := x.scan.attr("device")
	d, ok := x.devices[string(text)]
	if !ok && len(text) > 0 {
		d = parseDevice(string(text))
		if len(x.devices) < 4096 {
			x.devices[string(text)] = d
		}
	}
	s := health.Source{Name: x.texts.Text(name), ProductType: d.product, OSVersion: d.software}
	if s.ProductType == "" {
		if s.ProductType = record.ProductOfName(s.Name); s.ProductType != "" && s.OSVersion == "" {
			s.OSVersion = x.texts.Text(version)
		}
	}
	return s
}

// parseDevice reads "<<HKDevice: 0x…>, name:…, hardware:Watch6,7, software:10.2>".
func parseDevice(text string) device {
	d := device{product: deviceField(text, "hardware:"), software: deviceField(text, "software:")}
	if bare := strings.Trim(text, "<>"); d.product == "" && !strings.ContainsAny(bare, ": ") {
		d.product = bare // "<Watch6,4>", as some tools write it
	}
	return d
}

func deviceField(text, key string) string {
	_, rest, ok := strings.Cut(text, ", "+key)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, ", ") // the product's own comma has no space behind it
	return strings.TrimRight(value, ">")
}

// metadata collects the MetadataEntry elements of a record.
type metadata struct {
	members     []jsontext.Member
	zone        string
	userEntered bool
	size        int
}

func (x *reader) metadata() metadata { return metadata{members: x.members[:0]} }

func (m *metadata) entry(x *reader) {
	key, _ := x.scan.attr("key")
	value, _ := x.scan.attr("value")
	switch string(key) {
	case "HKTimeZone":
		m.zone = x.texts.Text(value)
	case "HKWasUserEntered":
		m.userEntered = string(value) == "1"
	default:
		if m.size += len(key) + len(value) + 6; m.size <= health.MaxMetadata { // what is longer cannot be taken
			name := x.texts.Text(key)
			m.members = append(m.members, jsontext.Member{Name: name, JSON: jsontext.MetadataValue(name, x.texts.Text(value))})
		}
	}
}

// object is the metadata as a JSON object with sorted keys, or "".
func (m *metadata) object(x *reader) (string, rejection) {
	if len(m.members) == 0 && m.size == 0 {
		return "", rejection{}
	}
	x.scratch = jsontext.AppendObject(x.scratch[:0], m.members)
	if m.size > health.MaxMetadata {
		return "", rejection{record.CodeTooLarge, "the metadata is longer than 16 KiB"}
	}
	return x.texts.Text(x.scratch), rejection{}
}
