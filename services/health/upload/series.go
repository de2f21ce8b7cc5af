package upload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/series"
)

// listOfSeries is where in the envelope the series are.
const listOfSeries = "/series"

// The members that hold points, as bits.
const (
	pointsLocations = 1 << iota
	pointsBeats
	pointsECG
)

// pointsSlack is how far beyond its series a point may lie, in milliseconds:
// senders round the ends of a series.
const pointsSlack = 60_000

// points are those of the series being read: what can be judged only once its
// times are known.
type points struct {
	seen      int // bits
	parent    []byte
	count     int
	first     health.Instant // of the locations
	last      health.Instant
	firstAt   int // which location that is
	lastAt    int
	lastBeat  float64 // seconds since the start
	frequency float64 // of the voltages
	longest   int     // voltages of one lead
	volt      float64 // in the unit of the voltages
	largest   float64 // of the voltages, without its sign
	largestAt [2]int  // which lead and voltage that is
}

// readSeries reads one; i is behind its brace.
func (d *decoder) readSeries(i int) int {
	d.limit, d.limitDetail = len(d.data), "the series is too long"
	return d.entryMembers(i, d.seriesMember)
}

func (d *decoder) seriesMember(name []byte, i int) int {
	switch string(name) {
	case "uuid", "type", "start", "end", "source", "metadata":
		return d.sampleMember(name, i)
	case "parent":
		return d.readParent(i)
	case "locations":
		return d.list(d.oncePoints(pointsLocations, i), "locations", d.location)
	case "beats":
		return d.list(d.oncePoints(pointsBeats, i), "beats", d.beat)
	case "electrocardiogram":
		return d.readECG(d.oncePoints(pointsECG, i))
	}
	return d.unknownMember(name, i)
}

// oncePoints notes that a list of points was seen, and rejects the series the
// second time.
func (d *decoder) oncePoints(bit, i int) int {
	if d.record.points.seen&bit != 0 {
		d.reject(reject.DuplicateKey, "the series has a member twice")
	}
	d.record.points.seen |= bit
	return i
}

func (d *decoder) readParent(i int) int {
	if d.record.points.parent != nil {
		d.reject(reject.DuplicateKey, "the series has a member twice")
	}
	s, i := d.string(i, "parent")
	var parent health.UUID
	if i >= 0 && d.code == "" && !parseUUID(s, &parent) {
		d.reject(reject.InvalidUUID, "parent has not the form 8-4-4-4-12 hexadecimal digits")
	}
	d.record.points.parent = s
	return i
}

// list reads the objects of a list of points; a series that is rejected is read on
// as JSON alone.
func (d *decoder) list(i int, name string, point func(i, at int) int) int {
	if i < 0 || d.code != "" || i >= len(d.data) || d.data[i] != '[' {
		d.reject(reject.WrongType, name+" is not a list")
		return d.value(i, 4)
	}
	i, more := d.first(i+1, ']')
	for at := 0; more; at++ {
		if d.count(); d.code == "" && i < len(d.data) && d.data[i] != '{' {
			d.reject(reject.WrongType, place(name, at)+" is not an object")
		}
		if d.code == "" {
			i = point(i, at)
		} else {
			i = d.value(i, 5)
		}
		if i < 0 {
			return i
		}
		i, more = d.next(i, ']')
	}
	return i
}

// count notes another point.
func (d *decoder) count() {
	if d.record.points.count++; d.record.points.count == series.MaxPoints+1 {
		d.reject(reject.TooManyPoints, "the series has more than "+strconv.Itoa(series.MaxPoints)+" points")
	}
}

// place says which point of a list it is.
func place(list string, at int) string { return list + "/" + strconv.Itoa(at) }

// fields reads the members of a point's object, of which i is the brace. Those that
// member does not know (it returns a bit of 0) are kept as they were sent. It
// returns the bits of those that are there.
func (d *decoder) fields(i, depth int, where func() string, member func(name []byte, i int) (bit, next int)) (seen, next int) {
	outer := len(d.names)
	i, more := d.first(i+1, '}')
	for more {
		from := len(d.arena)
		var name []byte
		if name, i = d.name(i); i < 0 {
			return seen, i
		}
		if d.code != "" {
			i = d.value(i, depth)
		} else {
			bit, next := member(name, i)
			if i = next; bit == 0 && i >= 0 {
				i = d.unknownField(name, i, depth, where)
			} else if seen&bit != 0 {
				d.reject(reject.DuplicateKey, where()+" has a member twice")
			}
			seen |= bit
		}
		if i < 0 {
			return seen, i
		}
		if len(d.names) == outer {
			d.arena = d.arena[:from]
		}
		i, more = d.next(i, '}')
	}
	if i >= 0 && d.code == "" && repeats(d.names[outer:]) {
		d.reject(reject.DuplicateKey, where()+" has a member twice")
	}
	d.names = d.names[:outer]
	return seen, i
}

// unknownField reads a member of a point that the contract does not have.
func (d *decoder) unknownField(name []byte, i, depth int, where func() string) int {
	d.record.unknown = true
	if d.names = append(d.names, name); len(d.names) > 64 {
		d.reject(reject.UnknownField, where()+" has more than 64 members that the contract does not have")
	}
	return d.value(i, depth)
}

// numberIn reads a number between the bounds.
func (d *decoder) numberIn(i, depth int, least, most float64, what func() string) (v float64, next int) {
	if i >= len(d.data) || d.data[i] != '-' && d.data[i]-'0' > 9 {
		d.reject(reject.WrongType, what()+" is not a number")
		return 0, d.value(i, depth)
	}
	end := d.number(i)
	if end < 0 {
		return 0, end
	}
	v, ok := parseNumber(d.data[i:end])
	switch {
	case !ok:
		d.reject(reject.InvalidNumber, what()+" is beyond the range of float64")
	case v < least || v > most:
		d.reject(reject.OutOfRange, what()+" is not between "+shortest(least)+" and "+shortest(most))
	}
	return v, end
}

func shortest(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// checkSeries decides about a series whose members could all be read.
func (d *decoder) checkSeries() {
	r := &d.record
	p := &r.points
	switch {
	case r.known != nil:
		d.reject(reject.InvalidValue, "type is that of a sample, not of a series")
	case d.missing() || d.missingPoints():
	case r.end < r.start:
		d.reject(reject.EndBeforeStart, "end is before start")
	case r.start > d.latest:
		d.reject(reject.FutureTime, "start is more than 24 hours ahead of the server's clock")
	case time.Duration(r.end-r.start) > longestSeries/time.Millisecond:
		d.reject(reject.TooLong, "the series lasts longer than four days")
	case p.seen&pointsLocations != 0 && p.count > 0 && p.first < r.start-pointsSlack:
		d.reject(reject.OutOfRange, place("locations", p.firstAt)+"/time is before the series")
	case p.seen&pointsLocations != 0 && p.count > 0 && p.last > r.end+pointsSlack:
		d.reject(reject.OutOfRange, place("locations", p.lastAt)+"/time is behind the series")
	case p.lastBeat*1000 > float64(r.end-r.start+pointsSlack):
		d.reject(reject.OutOfRange, "beats are behind the end of the series")
	case p.frequency > 0 && float64(p.longest)/p.frequency*1000 > float64(r.end-r.start+pointsSlack):
		d.reject(reject.OutOfRange, "voltages are behind the end of the series, at that samplingFrequency")
	case p.largest > p.volt:
		d.reject(reject.OutOfRange, place(place("electrocardiogram/leads", p.largestAt[0])+"/voltages", p.largestAt[1])+" is more than a volt")
	case r.unknown:
		r.warned |= 1 << warnField
	}
}

// longestSeries is HealthKit's own bound of most samples.
const longestSeries = 4 * 24 * time.Hour

// missingPoints rejects a series of a known type without its points.
func (d *decoder) missingPoints() bool {
	var bit int
	var name string
	switch string(d.record.kind) {
	case series.WorkoutRoute:
		bit, name = pointsLocations, "locations"
	case series.Heartbeats:
		bit, name = pointsBeats, "beats"
	case series.Electrocardiogram:
		bit, name = pointsECG, "electrocardiogram"
	}
	if d.record.points.seen&bit == bit {
		return false
	}
	d.reject(reject.MissingField, name+" is missing")
	return true
}

// buildSeries makes the Sample of an accepted series that ends at i, and keeps
// what was sent of it.
func (d *decoder) buildSeries(i int) {
	s := d.common()
	d.canon = appendCompact(d.canon[:0], d.data[d.record.from:i])
	sum := sha256.Sum256(d.canon)
	summary := series.Summary{Points: d.record.points.count, Digest: hex.EncodeToString(sum[:])}
	var parent health.UUID
	if len(d.record.points.parent) > 0 && parseUUID(d.record.points.parent, &parent) {
		summary.Parent = parent.String()
	}
	s.Raw = summary.Raw()
	if d.env.Series == nil {
		d.env.Series = map[string][]byte{}
	}
	d.env.Series[summary.Digest] = bytes.Clone(d.canon)
	d.samples = append(d.samples, s)
}
