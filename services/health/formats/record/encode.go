package record

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
)

// AppendUploadSample adds one element of the samples of a clarity.upload/1
// envelope: the original value and unit, the source, the metadata with the
// zone. Reading it back gives the same Sample. A sample of an unknown type is
// the members of its Raw, which stays what it was but for the uuid, type,
// start and end in front.
//
// s must have passed Check (every accepted Record has).
func AppendUploadSample(dst []byte, s *health.Sample) []byte {
	dst = append(dst, `{"uuid":"`...)
	dst = appendUUID(dst, s.UUID)
	dst = append(dst, `","type":`...)
	dst = jsontext.AppendString(dst, s.Type)
	dst = append(dst, `,"start":"`...)
	dst = appendInstant(dst, s.Start)
	dst = append(dst, `","end":"`...)
	dst = appendInstant(dst, s.End)
	dst = append(dst, '"')
	if s.Raw != "" {
		return appendRaw(dst, s)
	}
	dst = append(dst, `,"value":`...)
	dst = appendNumber(dst, s.OriginalValue)
	if s.OriginalUnit != "" {
		dst = append(dst, `,"unit":`...)
		dst = jsontext.AppendString(dst, s.OriginalUnit)
	}
	if s.Source != (health.Source{}) {
		dst = append(dst, `,"source":`...)
		dst = jsontext.AppendSource(dst, s.Source)
	}
	return append(appendMetadata(dst, s, s.Metadata), '}')
}

// appendRaw adds the members of Raw but those that are already there.
func appendRaw(dst []byte, s *health.Sample) []byte {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s.Raw), &members); err != nil {
		members = nil // no format writes such a Raw; the sample still has its identity
	}
	metadata := string(members["metadata"])
	for _, name := range [...]string{"uuid", "type", "start", "end", "metadata"} {
		delete(members, name)
	}
	list := make([]jsontext.Member, 0, len(members))
	for name, value := range members {
		list = append(list, jsontext.Member{Name: name, JSON: string(value)})
	}
	if object := jsontext.AppendObject(nil, list); len(object) > 2 {
		dst = append(dst, ',')
		dst = append(dst, object[1:len(object)-1]...)
	}
	return append(appendMetadata(dst, s, metadata), '}')
}

// rawMetadata is the metadata in the members of a Raw, or "".
func rawMetadata(raw string) string {
	var members struct{ Metadata json.RawMessage }
	if err := json.Unmarshal([]byte(raw), &members); err != nil {
		return ""
	}
	return string(members.Metadata)
}

// appendMetadata adds the metadata member: the zone and HKWasUserEntered, that
// are fields of a Sample, and the object of what else there is.
func appendMetadata(dst []byte, s *health.Sample, object string) []byte {
	rest := strings.TrimSuffix(strings.TrimPrefix(object, "{"), "}")
	zone := s.Zone != "" && !strings.Contains(object, `"HKTimeZone":`)
	typed := s.UserEntered && !strings.Contains(object, `"HKWasUserEntered":`)
	if rest == "" && !zone && !typed {
		return dst
	}
	dst = append(dst, `,"metadata":{`...)
	if zone {
		dst = append(dst, `"HKTimeZone":`...)
		dst = jsontext.AppendString(dst, s.Zone)
	}
	if typed {
		if zone {
			dst = append(dst, ',')
		}
		dst = append(dst, `"HKWasUserEntered":true`...)
	}
	if rest != "" {
		if zone || typed {
			dst = append(dst, ',')
		}
		dst = append(dst, rest...)
	}
	return append(dst, '}')
}

func appendUUID(dst []byte, u health.UUID) []byte {
	const digits = "0123456789abcdef"
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// appendInstant writes RFC 3339 in UTC; the zone is in the metadata.
func appendInstant(dst []byte, at health.Instant) []byte {
	if at%1000 == 0 {
		return at.Time().AppendFormat(dst, time.RFC3339)
	}
	return at.Time().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
}

// appendNumber writes the shortest form that reads back as v.
func appendNumber(dst []byte, v float64) []byte {
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
