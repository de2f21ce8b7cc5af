package healthautoexport

import (
	"encoding/json"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// The members that give the time of a point.
var (
	startMembers = []string{"startDate", "start", "date"}
	endMembers   = []string{"endDate", "end"}
)

// point reads one entry of a metric's data.
func (x *reader) point(at record.Place, m *metric, p point) error {
	switch {
	case m.key == "sleep_analysis" && p.has("startDate"):
		return x.sleepSegment(at, p)
	case m.key == "sleep_analysis":
		return x.sleepSummary(at, p)
	case m.key == "blood_pressure" || p.has("systolic"):
		return x.bloodPressure(at, m, p)
	case m.name == "":
		return x.emit(record.Reject(at, reject.MissingField, "the metric has no name"))
	}
	value, there, ok := p.number("qty", "Avg", "avg")
	switch {
	case !there:
		return x.emit(record.Reject(at, reject.MissingField, "the point has neither qty nor Avg"))
	case !ok:
		return x.emit(record.Reject(at, reject.InvalidNumber, "the value is not a number"))
	}
	read := []string{"qty", "Avg", "avg", "unit", "units", "source", "sources", "metric"}
	s := health.Sample{UUID: p.uuid("id", "source_uuid"), OriginalValue: value, OriginalUnit: m.unitOf(p)}
	if s.UUID != (health.UUID{}) {
		read = append(read, "id", "source_uuid")
	}
	return x.quantity(at, m.kind, m.name, s, p, read)
}

// quantity finishes a sample of which type, value and unit are known.
func (x *reader) quantity(at record.Place, kind *catalog.Type, name string, s health.Sample, p point, read []string) error {
	offset, why := p.span(&s, startMembers, endMembers)
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	s.Source = p.source()
	s.Zone = x.zones.Choose("", x.options.DefaultZone, offset)
	if kind == nil {
		return x.raw(at, s, "HealthAutoExport."+name, p)
	}
	s.Type = kind.Identifier
	record.PerHundred(&s)
	if kind.Kind == catalog.Category {
		s.OriginalUnit = "" // the app gives categories a unit, HealthKit none
	}
	if code, detail := record.Quantify(&s, kind); code != "" {
		return x.emit(record.Reject(at, code, detail))
	}
	read = append(append(read, startMembers...), endMembers...)
	if members := p.metadata(read...); len(members) > 0 {
		s.Metadata = string(jsontext.AppendObject(nil, members))
	}
	return x.emit(record.Accept(at, s))
}

// bloodPressure reads one point into two samples.
func (x *reader) bloodPressure(at record.Place, m *metric, p point) error {
	for _, half := range [...]struct{ member, kind string }{
		{"systolic", "HKQuantityTypeIdentifierBloodPressureSystolic"},
		{"diastolic", "HKQuantityTypeIdentifierBloodPressureDiastolic"},
	} {
		here := below(at, half.member)
		value, there, ok := p.number(half.member)
		if !there || !ok {
			if err := x.emit(record.Reject(here, reject.MissingField, "the blood pressure has no such number")); err != nil {
				return err
			}
			continue
		}
		kind, _ := catalog.Lookup(half.kind)
		s := health.Sample{OriginalValue: value, OriginalUnit: m.unitOf(p)}
		read := []string{"systolic", "diastolic", "unit", "units", "source", "sources"}
		if err := x.quantity(here, kind, m.name, s, p, read); err != nil {
			return err
		}
	}
	return nil
}

// sleepStages are the app's names of HealthKit's values.
var sleepStages = map[string]float64{
	"In Bed": 0, "InBed": 0, "Asleep": 1, "Unspecified": 1, "Awake": 2, "Core": 3, "Deep": 4, "REM": 5,
}

// sleepSegment reads one stage. What a segment repeats of its whole night
// (sleepStart, inBedEnd, …) is not kept: the night is the sum of its segments.
func (x *reader) sleepSegment(at record.Place, p point) error {
	name, ok := p.text("value")
	if !ok {
		return x.emit(record.Reject(at, reject.MissingField, "the segment of sleep has no value"))
	}
	code, ok := sleepStages[name]
	if !ok {
		return x.emit(record.Reject(at, reject.InvalidValue, "the value is no stage of sleep"))
	}
	kind, _ := catalog.Lookup("HKCategoryTypeIdentifierSleepAnalysis")
	s := health.Sample{UUID: p.uuid("id", "source_uuid"), OriginalValue: code}
	everything := make([]string, 0, len(p))
	for member := range p {
		everything = append(everything, member)
	}
	return x.quantity(at, kind, "sleep_analysis", s, p, everything)
}

// sleepSummary keeps a summarized night: from when in bed to when out of it,
// or the local day where it has no times.
func (x *reader) sleepSummary(at record.Place, p point) error {
	s := health.Sample{Source: p.source()}
	offset, why := p.span(&s, []string{"inBedStart", "sleepStart"}, []string{"inBedEnd", "sleepEnd"})
	if why.code == reject.MissingField {
		offset, why = x.localDay(&s, p)
	}
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	s.Zone = x.zones.Choose("", x.options.DefaultZone, offset)
	return x.raw(at, s, SleepSummary, p)
}

func (x *reader) localDay(s *health.Sample, p point) (offset int, why rejection) {
	date, ok := p.text("date")
	if !ok {
		return 0, rejection{reject.MissingField, "the night has no date"}
	}
	if at, offset, ok := record.ParseStamp(date); ok {
		s.Start, s.End = at, at
		return offset, rejection{}
	}
	day, err := health.ParseDay(date)
	if err != nil {
		return 0, rejection{reject.InvalidTime, "the date is not yyyy-mm-dd"}
	}
	loc, ok := x.zones.Location(x.zones.Choose("", x.options.DefaultZone, 0))
	if !ok {
		return 0, rejection{reject.InvalidZone, "the default zone is not an IANA time zone"}
	}
	s.Start, s.End = day.Bounds(loc)
	return 0, rejection{}
}

// workout keeps a workout raw, and its route, which is long, as a record of
// its own.
func (x *reader) workout(at record.Place, p point) error {
	s := health.Sample{UUID: p.uuid("id"), Source: p.source()}
	offset, why := p.span(&s, startMembers, endMembers)
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	s.Zone = x.zones.Choose("", x.options.DefaultZone, offset)
	route, hasRoute := p["route"]
	delete(p, "route")
	if err := x.raw(at, s, "HKWorkoutTypeIdentifier", p); err != nil {
		return err
	}
	if !hasRoute || jsontext.Compact(route) == "[]" || string(route) == "null" {
		return nil
	}
	s.UUID = health.UUID{}
	return x.raw(below(at, "route"), s, "HKWorkoutRouteTypeIdentifier", point{"route": route})
}

// route keeps an archive's {"id":…,"name":…,"locations":[…]}: its id is the
// workout's, so it gets one of its own.
func (x *reader) route(at record.Place, p point) error {
	var points []point
	if err := json.Unmarshal(p["locations"], &points); err != nil || len(points) == 0 {
		return x.emit(record.Reject(at, reject.MissingField, "the route has no locations"))
	}
	var s health.Sample
	first, _, ok := points[0].moment("time", "timestamp")
	last, _, lastOK := points[len(points)-1].moment("time", "timestamp")
	if !ok || !lastOK {
		return x.emit(record.Reject(at, reject.InvalidTime, "a location has no time"))
	}
	s.Start, s.End = first.at, last.at
	s.Zone = x.zones.Choose("", x.options.DefaultZone, first.offset)
	return x.raw(at, s, "HKWorkoutRouteTypeIdentifier", p)
}

// other keeps an entry of the app's other lists.
func (x *reader) other(at record.Place, list string, p point) error {
	kind := "HealthAutoExport." + list
	switch list {
	case "ecg":
		kind = "HKDataTypeIdentifierElectrocardiogram"
	case "stateOfMind":
		kind = "HKDataTypeStateOfMind"
	}
	s := health.Sample{UUID: p.uuid("id"), Source: p.source()}
	offset, why := p.span(&s, startMembers, endMembers)
	if why.code != "" {
		return x.emit(record.Reject(at, why.code, why.detail))
	}
	s.Zone = x.zones.Choose("", x.options.DefaultZone, offset)
	return x.raw(at, s, kind, p)
}

// bare reads an object on its own, by its members.
func (x *reader) bare(at record.Place, p point) error {
	switch {
	case p.has("locations"):
		return x.route(at, p)
	case p.has("name") && p.has("start") && p.has("end"):
		return x.workout(at, p)
	case p.has("startDate") && p.has("value"):
		return x.sleepSegment(at, p)
	case p.has("totalSleep"):
		return x.sleepSummary(at, p)
	}
	var m metric
	m.name, _ = p.text("metric")
	m.resolve()
	return x.point(at, &m, p)
}

// raw accepts a record of a type that the catalog does not have.
func (x *reader) raw(at record.Place, s health.Sample, kind string, p point) error {
	if s.OriginalUnit != "" && !p.has("units") {
		p["units"] = jsontext.AppendString(nil, s.OriginalUnit)
	}
	s.Type = kind
	s.OriginalValue, s.OriginalUnit = 0, ""
	members := []jsontext.Member{{Name: "record", JSON: string(jsontext.AppendObject(nil, p.metadata()))}}
	if s.Source != (health.Source{}) {
		members = append(members, jsontext.Member{Name: "source", JSON: string(jsontext.AppendSource(nil, s.Source))})
	}
	raw := jsontext.AppendObject(nil, members)
	if len(raw) > record.MaxRaw {
		return x.emit(record.Reject(at, record.CodeTooLarge, "the record is longer than 60 KiB"))
	}
	s.Raw = string(raw)
	return x.emit(record.Accept(at, s))
}
