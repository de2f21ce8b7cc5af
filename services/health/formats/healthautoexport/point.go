package healthautoexport

import (
	"encoding/json"
	"math"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsonstream"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// A point is one object of a list, member by member.
type point map[string]json.RawMessage

func decodePoint(raw []byte) (point, bool) {
	var p point
	err := json.Unmarshal(raw, &p)
	return p, err == nil && p != nil
}

func readText(s *jsonstream.Stream, to *string) error {
	raw, err := s.Value()
	if err != nil {
		return err
	}
	*to, _ = text(raw)
	return nil
}

func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	return s, json.Unmarshal(raw, &s) == nil
}

func (p point) text(name string) (string, bool) { return text(p[name]) }

func (p point) has(name string) bool { _, ok := p[name]; return ok }

// number reads a member that must be a number. Like a phone, the app leaves a
// number out or writes null where it has none.
func (p point) number(names ...string) (v float64, there, ok bool) {
	for _, name := range names {
		if raw, has := p[name]; has && string(raw) != "null" {
			v, ok = jsontext.ParseNumber([]byte(raw))
			return v, true, ok
		}
	}
	return 0, false, false
}

// A moment is a time of the file and its offset from UTC.
type moment struct {
	at     health.Instant
	offset int
}

// cocoaEpoch is 2001-01-01T00:00:00Z, from which the archive counts seconds.
const cocoaEpoch = 978_307_200

// moment reads the first of the named members that is there: a stamp with an
// offset, RFC 3339, or an archive's seconds.
func (p point) moment(names ...string) (m moment, there, ok bool) {
	for _, name := range names {
		raw, has := p[name]
		if !has || string(raw) == "null" {
			continue
		}
		if stamp, isText := text(raw); isText {
			m.at, m.offset, ok = record.ParseStamp(stamp)
			if !ok {
				m.at, m.offset, ok = record.ParseRFC3339(stamp)
			}
			return m, true, ok
		}
		seconds, isNumber := jsontext.ParseNumber([]byte(raw))
		if !isNumber || math.Abs(seconds) > 1e11 {
			return m, true, false
		}
		m.at = health.Instant(math.Round((seconds + cocoaEpoch) * 1000))
		return m, true, true
	}
	return m, false, false
}

// span reads the time of a point: from the first of starts to the first of
// ends, or an instant.
func (p point) span(s *health.Sample, starts, ends []string) (offset int, why rejection) {
	start, there, ok := p.moment(starts...)
	if !there {
		return 0, rejection{reject.MissingField, "the record has no date"}
	}
	if !ok {
		return 0, rejection{reject.InvalidTime, "a date is not yyyy-mm-dd hh:mm:ss ±hhmm"}
	}
	end, there, ok := p.moment(ends...)
	if !there {
		end, ok = start, true
	}
	if !ok {
		return 0, rejection{reject.InvalidTime, "a date is not yyyy-mm-dd hh:mm:ss ±hhmm"}
	}
	s.Start, s.End = start.at, end.at
	return start.offset, rejection{}
}

// source reads "source", the names of one or several sources, or an archive's
// "sources".
func (p point) source() health.Source {
	var s health.Source
	if name, ok := p.text("source"); ok {
		s.Name = name
	}
	var list []struct{ Name, Identifier string }
	if err := json.Unmarshal(p["sources"], &list); err == nil && len(list) > 0 {
		s.Name, s.BundleID = list[0].Name, list[0].Identifier
	}
	s.ProductType = record.ProductOfName(s.Name)
	return s
}

// uuid is the identity that the app passed on, if it is one.
func (p point) uuid(names ...string) health.UUID {
	for _, name := range names {
		if s, ok := p.text(name); ok {
			if u, err := health.ParseUUID(s); err == nil {
				return u
			}
		}
	}
	return health.UUID{}
}

// metadata is what a point says beside the members that were read.
func (p point) metadata(read ...string) []jsontext.Member {
	taken := make(map[string]bool, len(read))
	for _, name := range read {
		taken[name] = true
	}
	var members []jsontext.Member
	for name, raw := range p {
		if !taken[name] && string(raw) != "null" {
			members = append(members, jsontext.Member{Name: name, JSON: jsontext.Compact(raw)})
		}
	}
	return members
}

// rejection is a code and a sentence; the zero one rejects nothing.
type rejection struct {
	code   reject.Code
	detail string
}

// below is the place of a member of what is at a place.
func below(at record.Place, member string) record.Place {
	at.Path += "/" + member
	return at
}
