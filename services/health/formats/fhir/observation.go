package fhir

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

type coding struct{ System, Code, Display string }

type concept struct {
	Coding []coding
	Text   string
}

// A measurement is what an Observation and its components have in common.
type measurement struct {
	Code          concept
	ValueQuantity *struct {
		Value                          json.Number
		Comparator, Unit, System, Code string
	}
	ValueCodeableConcept *concept
	ValueInteger         *json.Number
	ValueString          *string
	DataAbsentReason     *concept
}

type observation struct {
	ID                string
	Status            string
	EffectiveDateTime string
	EffectiveInstant  string
	EffectivePeriod   *struct{ Start, End string }
	Extension         []extension
	Component         []measurement
	measurement
}

// rejection is a code and a sentence; the zero one rejects nothing.
type rejection struct {
	code   reject.Code
	detail string
}

func (x *reader) observation(at record.Place, raw []byte) error {
	var o observation
	if json.Unmarshal(raw, &o) != nil {
		return x.emit(record.Reject(at, reject.WrongType, "a member of the Observation has not the type that FHIR gives it"))
	}
	switch o.Status {
	case "entered-in-error", "cancelled":
		return x.emit(record.Skip(at, record.CodeNotASample, "the Observation is entered in error or cancelled"))
	}
	s := health.Sample{}
	offset, why := o.span(&s)
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	ext := readExtensions(o.Extension)
	s.Source, s.UserEntered = ext.source, ext.userEntered
	fallback := x.options.DefaultZone
	if _, ok := x.zones.Location(ext.uploadZone); ok {
		fallback = ext.uploadZone
	}
	s.Zone = x.zones.Choose(ext.zone, fallback, offset)
	if len(ext.metadata) > 0 {
		s.Metadata = string(jsontext.AppendObject(nil, ext.metadata))
	}
	kind := typeOf(o.Code)
	if kind == nil && o.isPanel() {
		return x.components(at, &o, s)
	}
	s.UUID, _ = health.ParseUUID(o.ID) // else it is derived
	if kind == nil {
		return x.raw(at, &o, s, raw)
	}
	return x.measure(at, kind, &o.measurement, s)
}

// isPanel says whether the measurements are in components that the catalog has.
func (o *observation) isPanel() bool {
	for i := range o.Component {
		if typeOf(o.Component[i].Code) != nil {
			return o.ValueQuantity == nil && !isOneThing(o.Code)
		}
	}
	return false
}

// isOneThing says whether HealthKit has the whole as a thing of its own, whose
// parts (the average heart rate of an electrocardiogram) are no samples.
func isOneThing(c concept) bool {
	for _, code := range c.Coding {
		switch code.Code {
		case "HKElectrocardiogram", "HKStateOfMind", "HKWorkout", "73985-4":
			return true
		}
	}
	return false
}

func (x *reader) components(at record.Place, o *observation, s health.Sample) error {
	for i := range o.Component {
		part := &o.Component[i]
		here := record.Place{Path: at.Path + "/component/" + strconv.Itoa(i)}
		kind := typeOf(part.Code)
		if kind == nil {
			if err := x.emit(record.Reject(here, record.CodeUnknown, "the component has no code that the catalog knows")); err != nil {
				return err
			}
			continue
		}
		if err := x.measure(here, kind, part, s); err != nil {
			return err
		}
	}
	return nil
}

// measure reads the value of one measurement into s.
func (x *reader) measure(at record.Place, kind *catalog.Type, m *measurement, s health.Sample) error {
	s.Type = kind.Identifier
	why := rejection{}
	switch {
	case kind.Kind == catalog.Category:
		s.OriginalValue, why = m.category(kind)
	case m.ValueQuantity == nil && m.DataAbsentReason != nil:
		return x.emit(record.Skip(at, record.CodeNotASample, "the Observation says that there is no measurement"))
	case m.ValueQuantity == nil:
		why = rejection{reject.MissingField, "the Observation has no valueQuantity"}
	case m.ValueQuantity.Comparator != "":
		why = rejection{reject.InvalidValue, "the value is a bound (< or >), not a measurement"}
	default:
		why = m.quantity(kind, &s)
	}
	if why.code == "" {
		why.code, why.detail = record.Quantify(&s, kind)
	}
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	return x.emit(record.Accept(at, s))
}

// quantity reads value and unit: the UCUM code where it is one of the type's,
// else the unit's name.
func (m *measurement) quantity(kind *catalog.Type, s *health.Sample) rejection {
	q := m.ValueQuantity
	if q.Value == "" {
		return rejection{reject.MissingField, "the quantity has no value"}
	}
	v, ok := jsontext.ParseNumber(string(q.Value))
	if !ok {
		return rejection{reject.InvalidNumber, "the value is not a number"}
	}
	s.OriginalValue, s.OriginalUnit = v, q.Code
	if _, err := kind.Convert(v, q.Code); err != nil {
		s.OriginalUnit = q.Unit
	}
	if s.OriginalUnit == "" {
		s.OriginalUnit = q.Code
	}
	record.PerHundred(s)
	return rejection{}
}

// category reads HealthKit's value from a coding, a number or a name.
func (m *measurement) category(kind *catalog.Type) (float64, rejection) {
	var names []string
	if m.ValueCodeableConcept != nil {
		for _, c := range m.ValueCodeableConcept.Coding {
			names = append(names, c.Code, c.Display)
		}
		names = append(names, m.ValueCodeableConcept.Text)
	}
	if m.ValueInteger != nil {
		names = append(names, string(*m.ValueInteger))
	}
	if m.ValueString != nil {
		names = append(names, *m.ValueString)
	}
	for _, name := range names {
		if code, ok := kind.CodeOf(camel(name)); ok {
			return float64(code), rejection{}
		}
		if v, ok := jsontext.ParseNumber(name); ok {
			return v, rejection{} // Check says whether it is of the enumeration
		}
	}
	if len(names) == 0 && len(kind.Values) == 1 {
		return float64(kind.Values[0].Code), rejection{} // that it happened is all there is to say
	}
	return 0, rejection{reject.InvalidValue, "the value is not of the category's enumeration"}
}

// camel turns "asleep core" into "asleepCore".
func camel(name string) string {
	words := bytes.Fields([]byte(name))
	for i, w := range words {
		if i > 0 && w[0] >= 'a' && w[0] <= 'z' {
			w[0] -= 'a' - 'A'
		}
	}
	return string(bytes.Join(words, nil))
}

// span reads when it was measured.
func (o *observation) span(s *health.Sample) (offset int, why rejection) {
	start := o.EffectiveDateTime
	if start == "" {
		start = o.EffectiveInstant
	}
	end := start
	if o.EffectivePeriod != nil {
		if start, end = o.EffectivePeriod.Start, o.EffectivePeriod.End; end == "" {
			end = start
		}
	}
	if start == "" {
		return 0, rejection{reject.MissingField, "the Observation does not say when it was measured"}
	}
	var startOK, endOK bool
	s.End, _, endOK = record.ParseRFC3339(end)
	s.Start, offset, startOK = record.ParseRFC3339(start)
	if !startOK || !endOK {
		return 0, rejection{reject.InvalidTime, "the time of the Observation is no instant with an offset"}
	}
	return offset, rejection{}
}

// raw keeps an Observation of a type that the catalog does not have.
func (x *reader) raw(at record.Place, o *observation, s health.Sample, raw []byte) error {
	for _, c := range o.Code.Coding {
		if c.Code == "" {
			continue
		}
		if s.Type == "" || isHealthKit(c.System) {
			s.Type = c.Code
			if !isHealthKit(c.System) {
				s.Type = c.System + "|" + c.Code
			}
		}
	}
	if s.Type == "" {
		return x.emit(record.Reject(at, reject.MissingField, "the Observation has no code"))
	}
	members := []jsontext.Member{{Name: "record", JSON: jsontext.Compact(raw)}}
	if s.Source != (health.Source{}) {
		members = append(members, jsontext.Member{Name: "source", JSON: string(jsontext.AppendSource(nil, s.Source))})
	}
	if s.Metadata != "" {
		members = append(members, jsontext.Member{Name: "metadata", JSON: s.Metadata})
	}
	object := jsontext.AppendObject(nil, members)
	if len(object) > record.MaxRaw {
		return x.emit(record.Reject(at, record.CodeTooLarge, "the Observation is longer than 60 KiB"))
	}
	s.Raw = string(object)
	return x.emit(record.Accept(at, s))
}
