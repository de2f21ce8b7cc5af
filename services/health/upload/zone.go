package upload

import "time"

const (
	maxZones     = 64 // different ones in one upload
	maxZoneBytes = 64
)

// zones finds IANA time zones by name. Which names one upload may use is
// decided by that upload alone, so that its verdicts are always the same; what
// the time zone database said is kept for the next.
type zones struct {
	asked [maxZones]zone // in this upload
	count int
	last  zone
	valid map[string]string
}

type zone struct {
	name string
	ok   bool
}

// find returns the name as a string that may be kept, and whether it is a zone.
func (z *zones) find(name []byte) (string, bool) {
	if string(name) == z.last.name {
		return z.last.name, z.last.ok
	}
	for _, known := range z.asked[:z.count] {
		if string(name) == known.name {
			z.last = known
			return known.name, known.ok
		}
	}
	if z.count == maxZones || !plausible(name) {
		return "", false
	}
	found, ok := z.valid[string(name)]
	if !ok {
		found = string(name)
		if _, err := time.LoadLocation(found); err == nil {
			z.valid[found], ok = found, true
		}
	}
	z.last = zone{found, ok}
	z.asked[z.count] = z.last
	z.count++
	return found, ok
}

// plausible leaves out what no name of the database looks like, such as a path,
// "", "Local" and "localtime".
func plausible(name []byte) bool {
	if len(name) == 0 || len(name) > maxZoneBytes || name[0] < 'A' || name[0] > 'Z' || string(name) == "Local" {
		return false
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '_', c == '-', c == '+':
		default:
			return false
		}
	}
	return true
}

func (z *zones) forget() {
	clear(z.asked[:z.count])
	z.count, z.last = 0, zone{}
}
