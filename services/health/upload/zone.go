package upload

import (
	"github.com/clarity-loop/clarity/services/health"
)

const (
	maxZones     = 64 // different names in one upload
	maxZoneBytes = 64
)

// zones finds time zones by name. Which names one upload may use is decided by
// that upload alone, so that its verdicts are always the same; what the time zone
// database said is kept for the next.
type zones struct {
	asked [maxZones]zone // in this upload
	count int
	last  zone
	valid map[string]string // what a name that was asked for is called
}

// A zone is a name and what it is called, "" where it is none.
type zone struct {
	name, called string
}

// find returns what the zone is called, and whether it is one.
func (z *zones) find(name []byte) (string, bool) {
	if len(name) == 0 || len(name) > maxZoneBytes {
		return "", false
	}
	if string(name) == z.last.name {
		return z.last.called, z.last.called != ""
	}
	for _, known := range z.asked[:z.count] {
		if string(name) == known.name {
			z.last = known
			return known.called, known.called != ""
		}
	}
	if z.count == maxZones {
		return "", false
	}
	called, ok := z.valid[string(name)]
	text := called
	if text != string(name) {
		text = string(name)
	}
	if !ok {
		if loc, err := health.LoadZone(text); err == nil {
			called = loc.String()
			z.valid[text] = called
		}
	}
	z.last = zone{text, called}
	z.asked[z.count] = z.last
	z.count++
	return called, called != ""
}

func (z *zones) forget() {
	clear(z.asked[:z.count])
	z.count, z.last = 0, zone{}
}
