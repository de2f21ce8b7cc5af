package appleexport

import (
	"strings"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// typeOf is HealthKit's identifier of an element that has no type attribute.
func typeOf(element string) string {
	switch element {
	case "Workout":
		return "HKWorkoutTypeIdentifier"
	case "WorkoutRoute":
		return "HKWorkoutRouteTypeIdentifier"
	case "ActivitySummary":
		return "HKActivitySummaryTypeIdentifier"
	case "Audiogram":
		return "HKDataTypeIdentifierAudiogram"
	case "ClinicalRecord":
		return "HKClinicalRecordTypeIdentifier"
	case "VisionPrescription":
		return "HKVisionPrescriptionTypeIdentifier"
	}
	return "HKExport" + element
}

// raw reads an element that is no Record into a sample of an unknown type:
// Raw holds the element with all below it, as
//
//	{"record":{"element":"Workout",…attributes…,"children":[…]},"source":{…},"metadata":{…}}
//
// Two children become records of their own instead: a WorkoutRoute, which can
// have thousands of points, and the Record of a Correlation. parent gives a
// route its times, where it has none.
func (x *reader) raw(at record.Place, parent *health.Sample) error {
	s, why := x.rawHeader(parent)
	offset := x.offset
	if why.code == "" {
		offset = x.rawTimes(&s, parent, &why)
	}
	meta := metadata{}
	tree := newTree(x.object(nil))
	for depth := 1; depth > 0; {
		tok, err := x.scan.next()
		if err != nil {
			return err
		}
		if tok == endTag {
			depth--
			if depth > 0 {
				tree.close()
			}
			continue
		}
		if bad := x.badText(); why.code == "" {
			why = bad
		}
		if x.ownRecord(depth) {
			parent := &s
			if parent.Zone = meta.zone; why.code != "" {
				parent = nil // it has no times to give
			}
			if err := x.childRecord(parent); err != nil {
				return err
			}
			continue
		}
		if depth == 1 && x.scan.name == "MetadataEntry" {
			meta.entry(x)
			if err := x.toEnd(nil); err != nil {
				return err
			}
			continue
		}
		depth++
		tree.open(x.object(nil))
	}
	if why.code == "" {
		why = x.finishRaw(&s, parent, tree, &meta, offset)
	}
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	return x.emit(record.Accept(at, s))
}

// ownRecord says whether the child that was just opened is a record of its own.
func (x *reader) ownRecord(depth int) bool {
	return depth == 1 && (x.scan.name == "Record" || x.scan.name == "WorkoutRoute")
}

func (x *reader) childRecord(parent *health.Sample) error {
	if x.scan.name == "Record" {
		return x.record(x.place())
	}
	return x.raw(x.place(), parent)
}

func (x *reader) rawHeader(parent *health.Sample) (s health.Sample, why rejection) {
	s.Type = typeOf(x.scan.name)
	if kind, ok := x.scan.attr("type"); ok && len(kind) > 0 {
		s.Type = x.texts.Text(kind)
		if _, known := catalog.LookupBytes(kind); known {
			return s, rejection{reject.WrongType, "the element is not a Record, but its type is one of Records"}
		}
	}
	s.Source = x.source()
	if parent != nil && s.Source == (health.Source{}) {
		s.Source = parent.Source
	}
	return s, x.badText()
}

// rawTimes reads the dates, by whatever names the element has for them. A
// route without dates has its workout's; an ActivitySummary is a local day.
func (x *reader) rawTimes(s, parent *health.Sample, why *rejection) (offset int) {
	if day, ok := x.scan.attr("dateComponents"); ok {
		return x.summaryDay(s, string(day), why)
	}
	start, hasStart := x.scan.attr("startDate")
	for _, name := range [...]string{"dateIssued", "receivedDate", "issuedDate"} {
		if !hasStart {
			start, hasStart = x.scan.attr(name)
		}
	}
	end, hasEnd := x.scan.attr("endDate")
	if !hasEnd {
		end = start
	}
	if !hasStart {
		if parent == nil {
			*why = missing("startDate")
			return 0
		}
		s.Start, s.End = parent.Start, parent.End
		return x.offset
	}
	var startOK, endOK bool
	s.End, _, endOK = record.ParseStamp(end)
	s.Start, offset, startOK = record.ParseStamp(start)
	if !startOK || !endOK {
		*why = rejection{reject.InvalidTime, "a date is not yyyy-mm-dd hh:mm:ss ±hhmm"}
	}
	return offset
}

func (x *reader) summaryDay(s *health.Sample, text string, why *rejection) (offset int) {
	day, err := health.ParseDay(text)
	if err != nil {
		*why = rejection{reject.InvalidTime, "the attribute dateComponents is not yyyy-mm-dd"}
		return 0
	}
	loc, ok := x.zones.Location(x.zones.Choose("", x.options.DefaultZone, x.offset))
	if !ok {
		*why = rejection{reject.InvalidZone, "the default zone is not an IANA time zone"}
		return 0
	}
	s.Start, s.End = day.Bounds(loc)
	return x.offset
}

func (x *reader) finishRaw(s, parent *health.Sample, tree *tree, meta *metadata, offset int) rejection {
	s.UserEntered = meta.userEntered
	named := meta.zone
	if named == "" && parent != nil {
		named = parent.Zone
	}
	s.Zone = x.zones.Choose(named, x.options.DefaultZone, offset)
	object, why := meta.object(x)
	if why.code != "" {
		return why
	}
	whole, ok := tree.finish()
	if !ok {
		return rejection{record.CodeTooLarge, "the record is longer than 60 KiB"}
	}
	s.Metadata = object
	members := appendCommon([]jsontext.Member{{Name: "record", JSON: whole}}, s, object)
	s.Raw = string(jsontext.AppendObject(nil, members))
	return rejection{}
}

// object is the current tag as a JSON object: {"element":NAME, attributes…}. The device's address in memory changes from
// export to export and is left out, so that the derived UUID does not.
func (x *reader) object(dst []byte) []byte {
	dst = append(dst, `{"element":`...)
	dst = jsontext.AppendString(dst, x.scan.name)
	for _, a := range x.scan.attrs {
		value := string(a.value)
		if string(a.name) == "device" && strings.HasPrefix(value, "<<HKDevice:") {
			if _, rest, ok := strings.Cut(value, ">, "); ok {
				value = "<" + rest
			}
		}
		name := string(a.name)
		if name == "element" || name == "children" {
			name = "@" + name
		}
		dst = append(dst, ',')
		dst = jsontext.AppendString(dst, name)
		dst = append(dst, ':')
		dst = jsontext.AppendString(dst, value)
	}
	return append(dst, '}')
}

// A tree writes nested elements as JSON objects with "children" arrays. Beyond
// record.MaxRaw it keeps nothing more.
type tree struct {
	json     []byte
	children []int // of each open element
	overflow bool
}

func newTree(object []byte) *tree {
	t := &tree{}
	t.push(object)
	return t
}

// push adds an object and leaves it open.
func (t *tree) push(object []byte) {
	if t.overflow = t.overflow || len(t.json)+len(object) > record.MaxRaw; t.overflow {
		t.json = t.json[:0]
	} else {
		t.json = append(t.json, object[:len(object)-1]...)
	}
	t.children = append(t.children, 0)
}

func (t *tree) open(object []byte) {
	parent := &t.children[len(t.children)-1]
	if *parent == 0 {
		t.json = append(t.json, `,"children":[`...)
	} else {
		t.json = append(t.json, ',')
	}
	*parent++
	t.push(object)
}

func (t *tree) close() {
	last := len(t.children) - 1
	if t.children[last] > 0 {
		t.json = append(t.json, ']')
	}
	t.json = append(t.json, '}')
	t.children = t.children[:last]
}

// finish closes the outermost element.
func (t *tree) finish() (json string, ok bool) {
	t.close()
	return string(t.json), !t.overflow && len(t.json) <= record.MaxRaw
}
