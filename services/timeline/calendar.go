package timeline

import (
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/health"
)

// A Calendar tells samples' local days. It remembers time zones and must not be
// used concurrently.
type Calendar struct {
	zones map[string]*time.Location
}

// NewCalendar knows no zone yet.
func NewCalendar() *Calendar { return &Calendar{zones: map[string]*time.Location{"": time.UTC}} }

// Day is the local day of a sample: that of its start, by the clock of its own
// zone; of UTC where it has none.
func (c *Calendar) Day(s *health.Sample) (health.Day, error) {
	loc, ok := c.zones[s.Zone]
	if !ok {
		var err error
		if loc, err = health.LoadZone(s.Zone); err != nil {
			return 0, fmt.Errorf("find a sample's day: %w", err)
		}
		c.zones[s.Zone] = loc
	}
	return health.DayOf(s.Start, loc), nil
}
