package bundle

import (
	"math"
	"slices"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/model"
)

// SimulatedWeek makes up counts for golden vectors: days and nights with a
// drifting bedtime, bursts of movement, and, by seed, a device taken off. It is
// for comparing implementations, not for judging a model.
func SimulatedWeek(seed uint64) GoldenCase {
	r := splitMix64(seed)
	c := GoldenCase{Kind: string(actigraphy.Counts), StartMinute: int(seed*397) % actigraphy.MinutesPerDay, Counts: make([]float64, model.Minutes)}
	bedtime, drive := 1380+float64(90*(r.uniform()-0.5)), 0.0 // the conversions keep machines from fusing the sums
	for i := range c.Counts {
		clock := float64((i + c.StartMinute) % actigraphy.MinutesPerDay)
		if clock == 720 {
			bedtime = 1380 + float64(150*(r.uniform()-0.5))
		}
		asleep := math.Mod(clock-bedtime+2880, 1440) < 460
		drive = float64(0.92*drive) + r.uniform() - 0.5
		switch {
		case asleep && r.uniform() > 0.07:
		case asleep:
			c.Counts[i] = math.Floor(40 * r.uniform())
		default:
			c.Counts[i] = math.Floor(220 * math.Exp(0.9*drive) * r.uniform())
		}
	}
	off := 600 + int(seed%5)*1440
	clear(c.Counts[off : off+200]) // taken off, and the device does not say so
	if seed%2 == 0 {
		c.Missing = [][2]int{{off + 1500, 130}, {9000, 1080}}
	}
	return c
}

type splitMix64 uint64

// uniform is a number from 0 to 1, 1 exclusive (Steele, Lea and Flood 2014).
func (s *splitMix64) uniform() float64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return float64((z^z>>31)>>11) / (1 << 53)
}

// NewGolden is cases under the tolerance that golden vectors are held to.
func NewGolden(cases ...GoldenCase) Golden {
	return Golden{Schema: goldenSchema, Tolerance: 1e-4, Cases: slices.Clone(cases)}
}
