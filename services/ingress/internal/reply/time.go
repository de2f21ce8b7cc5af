package reply

import (
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A Time is one as every reply writes it: in UTC and with milliseconds, whatever
// they are. Some clients read no fraction of a second, and some nothing else.
type Time time.Time

// timeForm is RFC 3339 with three digits.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// MarshalText is encoding.TextMarshaler's.
func (t Time) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, timeForm), nil
}

// UnmarshalText is encoding.TextUnmarshaler's.
func (t *Time) UnmarshalText(text []byte) error {
	read, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("read a time: %w", err)
	}
	*t = Time(read)
	return nil
}

// Equal says whether both are the same moment.
func (t Time) Equal(other Time) bool { return time.Time(t).Equal(time.Time(other)) }

// Schema is that of a time.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-11-20T05:58:01.000Z"}}
}

// TimeOrNil is the time; nil where it is zero.
func TimeOrNil(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	out := Time(t)
	return &out
}
