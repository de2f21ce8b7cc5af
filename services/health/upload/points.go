package upload

import (
	"math"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// A measure is a number of a location and its bounds. Core Location says -1 of
// what it could not measure.
type measure struct {
	name        string
	least, most float64
}

// measures are the numbers of a location; the first two are required.
func measures() []measure {
	return []measure{
		{"latitude", -90, 90}, {"longitude", -180, 180},
		{"altitude", -12_000, 100_000}, {"horizontalAccuracy", -1, 1e7}, {"verticalAccuracy", -1, 1e7},
		{"speed", -1, 1000}, {"speedAccuracy", -1, 1000}, {"course", -1, 360}, {"courseAccuracy", -1, 360},
	}
}

// location reads a point of a route.
func (d *decoder) location(i, at int) int {
	const timeBit = 1
	where := func() string { return place("locations", at) }
	seen, i := d.fields(i, 6, where, func(name []byte, i int) (bit, next int) {
		if string(name) == "time" {
			return timeBit, d.locationTime(i, at)
		}
		for k, m := range d.measures {
			if string(name) != m.name {
				continue
			}
			_, i = d.numberIn(i, 6, m.least, m.most, func() string { return where() + "/" + m.name })
			return 2 << k, i
		}
		return 0, i
	})
	for k, name := range [...]string{"time", "latitude", "longitude"} {
		if i >= 0 && seen&(1<<k) == 0 {
			d.reject(reject.MissingField, where()+"/"+name+" is missing")
		}
	}
	return i
}

func (d *decoder) locationTime(i, at int) int {
	var t health.Instant
	i = d.readTime(i, "a location's time", &t)
	p := &d.record.points
	if d.code != "" {
		d.detail += ", in " + place("locations", at)
		return i
	}
	if at == 0 || t < p.first {
		p.first, p.firstAt = t, at
	}
	if at == 0 || t > p.last {
		p.last, p.lastAt = t, at
	}
	return i
}

// beat reads a point of a heartbeat series: seconds since its start, and whether
// beats were missed before it.
func (d *decoder) beat(i, at int) int {
	const timeBit, gapBit = 1, 2
	where := func() string { return place("beats", at) }
	seen, i := d.fields(i, 6, where, func(name []byte, i int) (bit, next int) {
		switch string(name) {
		case "time":
			v, i := d.numberIn(i, 6, 0, longestSeries.Seconds(), func() string { return where() + "/time" })
			if at > 0 && v <= d.record.points.lastBeat {
				d.reject(reject.OutOfRange, where()+"/time is not behind the beat before it")
			}
			d.record.points.lastBeat = v
			return timeBit, i
		case "precededByGap":
			return gapBit, d.truth(i, 6, func() string { return where() + "/precededByGap" })
		}
		return 0, i
	})
	for k, name := range [...]string{"time", "precededByGap"} {
		if i >= 0 && seen&(1<<k) == 0 {
			d.reject(reject.MissingField, where()+"/"+name+" is missing")
		}
	}
	return i
}

// truth reads true or false.
func (d *decoder) truth(i, depth int, what func() string) int {
	if i >= len(d.data) || d.data[i] != 't' && d.data[i] != 'f' {
		d.reject(reject.WrongType, what()+" is not true or false")
	}
	return d.value(i, depth)
}

// The members of an electrocardiogram, as bits: the first four are required.
const (
	ecgClassification = 1 << iota
	ecgFrequency
	ecgUnit
	ecgLeads
	ecgHeartRate
	ecgSymptoms
)

// readECG reads the voltages of an electrocardiogram and what the watch says of them.
func (d *decoder) readECG(i int) int {
	const name = "electrocardiogram"
	if i < 0 || d.code != "" || i >= len(d.data) || d.data[i] != '{' {
		d.reject(reject.WrongType, name+" is not an object")
		return d.value(i, 4)
	}
	seen, i := d.fields(i, 5, func() string { return name }, d.ecgMember)
	for k, member := range [...]string{"classification", "samplingFrequency", "unit", "leads"} {
		if i >= 0 && seen&(1<<k) == 0 {
			d.reject(reject.MissingField, name+"/"+member+" is missing")
		}
	}
	return i
}

func (d *decoder) ecgMember(name []byte, i int) (bit, next int) {
	what := func() string { return "electrocardiogram/" + string(name) }
	switch string(name) {
	case "classification":
		return ecgClassification, d.word(i, what, "notSet", "sinusRhythm", "atrialFibrillation", "inconclusiveLowHeartRate",
			"inconclusiveHighHeartRate", "inconclusivePoorReading", "inconclusiveOther", "unrecognized")
	case "symptomsStatus":
		return ecgSymptoms, d.word(i, what, "notSet", "none", "present")
	case "averageHeartRate":
		_, i = d.numberIn(i, 5, 10, 400, what)
		return ecgHeartRate, i
	case "samplingFrequency":
		d.record.points.frequency, i = d.numberIn(i, 5, 1, 100_000, what)
		return ecgFrequency, i
	case "unit":
		s, next := d.string(i, "electrocardiogram/unit")
		if next >= 0 && d.code == "" {
			d.readVolt(s)
		}
		return ecgUnit, next
	case "leads":
		return ecgLeads, d.leads(i)
	}
	return 0, i
}

// readVolt takes what a volt is in the unit. The skin has thousandths of one.
func (d *decoder) readVolt(unit []byte) {
	switch string(unit) {
	case "uV":
		d.record.points.volt = 1e6
	case "mV":
		d.record.points.volt = 1e3
	case "V":
		d.record.points.volt = 1
	default:
		d.reject(reject.UnknownUnit, "electrocardiogram/unit is none of uV, mV and V")
	}
}

// word reads a value of an enumeration. One that it does not have yet is kept.
func (d *decoder) word(i int, what func() string, known ...string) int {
	s, i := d.string(i, what())
	if i < 0 || d.code != "" {
		return i
	}
	for _, w := range known {
		if string(s) == w {
			return i
		}
	}
	d.record.warned |= 1 << warnValue
	return i
}

// maxLeads is what the largest electrocardiographs have.
const maxLeads = 15

func (d *decoder) leads(i int) int {
	if i >= len(d.data) || d.data[i] != '[' {
		d.reject(reject.WrongType, "electrocardiogram/leads is not a list")
		return d.value(i, 5)
	}
	i, more := d.first(i+1, ']')
	at := 0
	for ; more; at++ {
		switch {
		case d.code != "":
		case at == maxLeads:
			d.reject(reject.TooManyPoints, "the electrocardiogram has more than 15 leads")
		case i < len(d.data) && d.data[i] != '{':
			d.reject(reject.WrongType, place("electrocardiogram/leads", at)+" is not an object")
		}
		if d.code == "" {
			i = d.lead(i, at)
		} else {
			i = d.value(i, 6)
		}
		if i < 0 {
			return i
		}
		i, more = d.next(i, ']')
	}
	if at == 0 && i >= 0 {
		d.reject(reject.MissingField, "electrocardiogram/leads is empty")
	}
	return i
}

func (d *decoder) lead(i, at int) int {
	const nameBit, voltagesBit = 1, 2
	where := func() string { return place("electrocardiogram/leads", at) }
	seen, i := d.fields(i, 7, where, func(name []byte, i int) (bit, next int) {
		switch string(name) {
		case "lead":
			_, i = d.string(i, "a lead's name")
			return nameBit, i
		case "voltages":
			return voltagesBit, d.voltages(i, at)
		}
		return 0, i
	})
	for k, name := range [...]string{"lead", "voltages"} {
		if i >= 0 && seen&(1<<k) == 0 {
			d.reject(reject.MissingField, where()+"/"+name+" is missing")
		}
	}
	return i
}

// voltages reads those of one lead; null is one that was not measured.
func (d *decoder) voltages(i, lead int) int {
	where := place("electrocardiogram/leads", lead) + "/voltages"
	if i >= len(d.data) || d.data[i] != '[' {
		d.reject(reject.WrongType, where+" is not a list")
		return d.value(i, 7)
	}
	i, more := d.first(i+1, ']')
	p, at := &d.record.points, 0
	for ; more; at++ {
		if d.count(); d.code != "" || i < len(d.data) && d.data[i] == 'n' {
			i = d.value(i, 8)
		} else {
			var v float64
			v, i = d.numberIn(i, 8, -math.MaxFloat64, math.MaxFloat64, func() string { return place(where, at) })
			if v = math.Abs(v); v > p.largest {
				p.largest, p.largestAt = v, [2]int{lead, at}
			}
		}
		if i < 0 {
			return i
		}
		i, more = d.next(i, ']')
	}
	p.longest = max(p.longest, at)
	return i
}
