// Package openwearables reads the payloads of Open Wearables' phone SDK:
// {"provider":…, "data":{"records":[…], "sleep":[…], "workouts":[…]}}.
//
// Records of HealthKit types become samples; the SDK passes on HealthKit's
// values, so "%" is a fraction. Types of other providers and workouts are kept
// raw. The zone is the record's zoneOffset, see record.ZoneOfOffset, unless
// Options.DefaultZone says better.
package openwearables

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsonstream"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// JSON reads the records of a file, in its order. An error ends the sequence;
// what came before it stands.
func JSON(r io.ReaderAt, size int64, o record.Options) iter.Seq2[record.Record, error] {
	return func(yield func(record.Record, error) bool) {
		x := &reader{options: o, yield: yield}
		if err := x.root(jsonstream.New(r, 0, size)); err != nil && !errors.Is(err, errStopped) {
			yield(record.Record{}, err)
		}
	}
}

// errStopped says that the caller wants no more records.
var errStopped = errors.New("stopped")

type reader struct {
	options record.Options
	yield   func(record.Record, error) bool
}

func (x *reader) emit(r record.Record) error {
	if !x.yield(r, nil) {
		return errStopped
	}
	return nil
}

func (x *reader) root(s *jsonstream.Stream) error {
	for {
		if _, err := s.Peek(); errors.Is(err, io.EOF) {
			return nil
		}
		err := s.Object(func(key string) error {
			if c, err := s.Peek(); key == "data" && err == nil && c == '{' {
				return x.lists(s)
			}
			return s.Skip()
		})
		if err != nil {
			return err
		}
	}
}

func (x *reader) lists(s *jsonstream.Stream) error {
	return s.Object(func(list string) error {
		if c, err := s.Peek(); err != nil || c != '[' {
			return s.Skip() // the provider, the version, the time
		}
		return s.Array(func(i int) error {
			at := record.Place{Path: "/data/" + list + "/" + strconv.Itoa(i)}
			raw, err := s.Value()
			if errors.Is(err, jsonstream.ErrTooLarge) {
				return x.emit(record.Reject(at, record.CodeTooLarge, "the record is longer than 8 MiB"))
			}
			if err != nil {
				return err
			}
			return x.emit(x.read(at, list, raw))
		})
	})
}

// An entry is a record, a stage of sleep or a workout.
type entry struct {
	ID                 string
	Type, Stage        string
	StartDate, EndDate string
	ZoneOffset         string
	Value              *json.Number
	Unit               string
	Source             source
}

type source struct {
	Name, BundleIdentifier, ProductType string
	AppID, DeviceName, DeviceModel      string
	DeviceSoftwareVersion               string
	OperatingSystemVersion              *struct{ MajorVersion, MinorVersion, PatchVersion int }
}

func (x *reader) read(at record.Place, list string, raw []byte) record.Record {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return record.Reject(at, reject.WrongType, "a member has not the type that it should have")
	}
	s := health.Sample{Source: e.Source.health()}
	s.UUID, _ = health.ParseUUID(e.ID) // else it is derived
	var startOK, endOK bool
	var offset int
	s.Start, offset, startOK = record.ParseRFC3339(e.StartDate)
	s.End, _, endOK = record.ParseRFC3339(e.EndDate)
	switch {
	case e.StartDate == "" || e.EndDate == "":
		return record.Reject(at, reject.MissingField, "startDate or endDate is missing")
	case !startOK || !endOK:
		return record.Reject(at, reject.InvalidTime, "a date is not RFC 3339 with an offset")
	}
	if t, err := time.Parse("-07:00", e.ZoneOffset); err == nil {
		_, offset = t.Zone()
	}
	if s.Zone = x.options.DefaultZone; s.Zone == "" {
		s.Zone = record.ZoneOfOffset(offset)
	}
	switch list {
	case "records":
		return e.record(at, s, raw)
	case "sleep":
		return e.sleep(at, s)
	case "workouts":
		return keep(at, s, "HKWorkoutTypeIdentifier", raw)
	}
	return keep(at, s, "OpenWearables."+list, raw)
}

func (e *entry) record(at record.Place, s health.Sample, raw []byte) record.Record {
	if e.Type == "" {
		return record.Reject(at, reject.MissingField, "type is missing")
	}
	kind, known := catalog.Lookup(e.Type)
	if !known {
		return keep(at, s, e.Type, raw)
	}
	s.Type, s.OriginalUnit = kind.Identifier, e.Unit
	if e.Value == nil {
		return record.Reject(at, reject.MissingField, "value is missing")
	}
	var ok bool
	if s.OriginalValue, ok = jsontext.ParseNumber(e.Value.String()); !ok {
		return record.Reject(at, reject.InvalidNumber, "the value is not a number")
	}
	if kind.Kind == catalog.Category {
		s.OriginalUnit = ""
	}
	if code, detail := record.Quantify(&s, kind); code != "" {
		return record.Reject(at, code, detail)
	}
	return record.Accept(at, s)
}

// sleepStages are the SDK's names, of HealthKit and of Health Connect.
var sleepStages = map[string]float64{
	"inbed": 0, "in_bed": 0, "asleep": 1, "asleepunspecified": 1, "sleeping": 1, "unknown": 1,
	"awake": 2, "awake_in_bed": 2, "core": 3, "asleepcore": 3, "light": 3, "deep": 4, "asleepdeep": 4, "rem": 5, "asleeprem": 5,
}

func (e *entry) sleep(at record.Place, s health.Sample) record.Record {
	stage, ok := sleepStages[strings.ToLower(e.Stage)]
	if !ok {
		return record.Reject(at, reject.InvalidValue, "the stage is none of sleep's")
	}
	s.Type, s.Value, s.OriginalValue = "HKCategoryTypeIdentifierSleepAnalysis", stage, stage
	return record.Accept(at, s)
}

// keep accepts a record of a type that the catalog does not have.
func keep(at record.Place, s health.Sample, kind string, raw []byte) record.Record {
	s.Type = kind
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return record.Reject(at, reject.WrongType, "the record is no object")
	}
	list := make([]jsontext.Member, 0, len(members))
	for name, value := range members {
		list = append(list, jsontext.Member{Name: name, JSON: jsontext.Compact(value)})
	}
	outer := []jsontext.Member{{Name: "record", JSON: string(jsontext.AppendObject(nil, list))}}
	if s.Source != (health.Source{}) {
		outer = append(outer, jsontext.Member{Name: "source", JSON: string(jsontext.AppendSource(nil, s.Source))})
	}
	object := jsontext.AppendObject(nil, outer)
	if len(object) > record.MaxRaw {
		return record.Reject(at, record.CodeTooLarge, "the record is longer than 60 KiB")
	}
	s.Raw = string(object)
	return record.Accept(at, s)
}

func (s source) health() health.Source {
	out := health.Source{BundleID: s.BundleIdentifier, Name: s.Name, ProductType: s.ProductType, OSVersion: s.DeviceSoftwareVersion}
	if out.BundleID == "" {
		out.BundleID = s.AppID
	}
	if out.Name == "" {
		out.Name = s.DeviceName
	}
	if out.ProductType == "" {
		out.ProductType = s.DeviceModel
	}
	if v := s.OperatingSystemVersion; v != nil {
		out.OSVersion = strconv.Itoa(v.MajorVersion) + "." + strconv.Itoa(v.MinorVersion) + "." + strconv.Itoa(v.PatchVersion)
	}
	return out
}
