package timeline

import (
	"encoding/json"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
)

// lookup finds a type by its HealthKit identifier.
type lookup func(identifier string) (*catalog.Type, bool)

// readToday is a sample as it would be taken if it were uploaded today. One that
// has a Raw was kept before all of it was known: its type may be known by now, or
// its value. ok is false where the type is known and the value still is none that
// anybody can compute with; the chunk keeps the sample as it is.
func readToday(s *health.Sample, known lookup) (read health.Sample, ok bool) {
	if s.Raw == "" {
		return *s, true
	}
	t, ok := known(s.Type)
	if !ok {
		return *s, true
	}
	if s.OriginalValue == 0 && !hasNumber(s.Raw) || time.Duration(s.End-s.Start) > t.MaxDuration/time.Millisecond {
		return health.Sample{}, false
	}
	v, err := t.Convert(s.OriginalValue, s.OriginalUnit)
	if err != nil || !t.InRange(v) {
		return health.Sample{}, false
	}
	read = *s
	read.Value, read.Unit = v, t.Unit
	return read, true
}

// hasNumber says whether the value of a raw sample is a number: where it is none,
// the sample's is 0.
func hasNumber(raw string) bool {
	var members struct {
		Value any `json:"value"`
	}
	if err := json.Unmarshal([]byte(raw), &members); err != nil {
		return false
	}
	_, ok := members.Value.(float64)
	return ok
}
