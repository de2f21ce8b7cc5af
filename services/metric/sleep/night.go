package sleep

import (
	"cmp"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/metric"
)

const minute = health.Instant(60_000)

// The rules by which sleep becomes nights. They are ours; docs/analysis/sleep.md
// says why.
const (
	// joinWithin is the longest wakefulness inside one night.
	joinWithin = 60 * minute
	// joinRecorded is the longest one that was recorded throughout, awake or in bed.
	joinRecorded = 180 * minute
	// shortestNight is the shortest main sleep period, onset to offset; shorter is a nap.
	shortestNight = 180 * minute
	// firmSleep is how long counts must show sleep for a night to begin or end
	// there (Actiware's rule of 10 immobile minutes).
	firmSleep = 10 * minute
	// unknownWithin is how much of a night may be unmeasured.
	unknownWithin = 60
)

// A Stage is a value of HealthKit's sleep analysis.
type Stage int

// HealthKit's sleep analysis.
const (
	InBed       Stage = 0
	Unspecified Stage = 1
	Awake       Stage = 2
	Core        Stage = 3
	Deep        Stage = 4
	REM         Stage = 5
)

func (s Stage) asleep() bool { return s == Unspecified || s >= Core }

// A Span is a stretch of one stage, End exclusive.
type Span struct {
	Start, End health.Instant
	Stage      Stage
}

// FromStages finds the nights in HealthKit's stages. stages do not overlap and
// are ordered by time; inBed are the times in bed, in any order.
func FromStages(stages, inBed []Span, loc *time.Location) []metric.Night {
	beds := union(inBed)
	asleep := keep(stages, Stage.asleep)
	recorded := union(append(slices.Clone(beds), keep(stages, func(s Stage) bool { return s == Awake })...))
	found := join(union(asleep), func(gap Span) bool {
		length := gap.End - gap.Start
		return length <= joinWithin || length <= joinRecorded && covers(recorded, gap)
	})
	nights := make([]metric.Night, 0, len(found))
	for _, period := range found {
		n := summarise(period, asleep, loc)
		n.Source = metric.SleepStages
		first, last, known := bedtime(period, beds, stages)
		n.InBed = inMinutes(last - first)
		if known {
			latency := inMinutes(period.Start - first)
			n.Latency = &latency
		}
		n.Core, n.Deep, n.REM = staged(period, stages)
		nights = append(nights, n)
	}
	return mainOfDay(nights)
}

// FromCounts finds the nights in a minute recording of counts, scored by
// Cole-Kripke with Webster's rules. A night that the recording's ends or a hole
// may have cut is left out, and one with more than an hour of holes.
func FromCounts(rec actigraphy.Recording) []metric.Night {
	states := ColeKripke(rec, true)
	at := func(i int) health.Instant { return health.InstantOf(rec.Start) + health.Instant(i)*minute }
	var asleep, firm []Span
	for _, r := range runs(states) {
		if r.state != Asleep {
			continue
		}
		s := Span{at(r.first), at(r.end), Unspecified}
		asleep = append(asleep, s)
		if s.End-s.Start >= firmSleep {
			firm = append(firm, s)
		}
	}
	var nights []metric.Night
	begin, end := at(0)+firmSleep, at(len(states))-firmSleep
	for _, period := range join(firm, func(gap Span) bool { return gap.End-gap.Start <= joinWithin }) {
		if period.Start < begin || period.End > end || unknown(states, rec, period) > unknownWithin ||
			unknown(states, rec, Span{Start: period.Start - firmSleep, End: period.Start})+
				unknown(states, rec, Span{Start: period.End, End: period.End + firmSleep}) > 0 {
			continue
		}
		n := summarise(period, asleep, rec.Start.Location())
		n.Source = metric.SleepCounts
		n.InBed = inMinutes(period.End - period.Start)
		nights = append(nights, n)
	}
	return mainOfDay(nights)
}

// summarise fills what onset, offset and the stretches of sleep tell.
func summarise(period Span, asleep []Span, loc *time.Location) metric.Night {
	n := metric.Night{Day: health.DayOf(period.End, loc), Onset: period.Start, Offset: period.End}
	slept, last := health.Instant(0), period.Start
	for _, s := range asleep {
		if s.Start < period.Start || s.End > period.End {
			continue
		}
		slept += s.End - s.Start
		if s.Start-last >= minute {
			n.Awakenings++
		}
		last = s.End
	}
	n.Asleep = inMinutes(slept)
	n.Wake = inMinutes(period.End - period.Start - slept)
	return n
}

// bedtime is the time in bed around a period of sleep; known says that its
// begin was recorded.
func bedtime(period Span, beds, stages []Span) (first, last health.Instant, known bool) {
	first, last = period.Start, period.End
	for _, bed := range beds {
		if bed.Start < period.End && bed.End > period.Start {
			known = known || bed.Start <= period.Start
			first, last = min(first, bed.Start), max(last, bed.End)
		}
	}
	for i := len(stages) - 1; i >= 0; i-- { // awake right before the onset
		if s := stages[i]; s.Stage == Awake && s.End <= period.Start && s.End+minute > first && s.Start < first {
			first, known = s.Start, true
		}
	}
	for _, s := range stages { // awake right after the offset
		if s.Stage == Awake && s.Start >= period.End && s.Start < last+minute && s.End > last {
			last = s.End
		}
	}
	return first, last, known
}

// staged adds up the stages of a night; nil where the source tells none.
func staged(period Span, stages []Span) (core, deep, rem *float64) {
	var sums [REM + 1]float64
	any := false
	for _, s := range stages {
		if s.Start >= period.Start && s.End <= period.End && s.Stage >= Core && s.Stage <= REM {
			sums[s.Stage] += inMinutes(s.End - s.Start)
			any = true
		}
	}
	if !any {
		return nil, nil, nil
	}
	return &sums[Core], &sums[Deep], &sums[REM]
}

// mainOfDay keeps the longest sleep of those that end on one day; the others,
// and any that is too short, are naps.
func mainOfDay(periods []metric.Night) []metric.Night {
	longest := map[health.Day]metric.Night{}
	for _, n := range periods {
		if n.Offset-n.Onset < shortestNight {
			continue
		}
		if other, ok := longest[n.Day]; !ok || n.Asleep > other.Asleep {
			longest[n.Day] = n
		}
	}
	nights := make([]metric.Night, 0, len(longest))
	for _, n := range longest {
		nights = append(nights, n)
	}
	slices.SortFunc(nights, func(a, b metric.Night) int { return cmp.Compare(a.Day, b.Day) })
	return nights
}

// join makes one span of neighbours whose gap may be bridged.
func join(spans []Span, bridge func(gap Span) bool) []Span {
	var out []Span
	for _, s := range spans {
		if n := len(out); n > 0 && bridge(Span{Start: out[n-1].End, End: s.Start}) {
			out[n-1].End = max(out[n-1].End, s.End)
			continue
		}
		out = append(out, s)
	}
	return out
}

// union orders spans and joins those that touch, whatever their stage.
func union(spans []Span) []Span {
	ordered := slices.Clone(spans)
	slices.SortFunc(ordered, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	return join(ordered, func(gap Span) bool { return gap.End <= gap.Start })
}

// covers says whether one of the united spans covers the gap, to the minute.
func covers(united []Span, gap Span) bool {
	for _, s := range united {
		if s.Start <= gap.Start+minute && s.End+minute >= gap.End {
			return true
		}
	}
	return false
}

func keep(spans []Span, wanted func(Stage) bool) []Span {
	var out []Span
	for _, s := range spans {
		if wanted(s.Stage) && s.End > s.Start {
			out = append(out, s)
		}
	}
	return out
}

// unknown counts the minutes of the period without a score.
func unknown(states []State, rec actigraphy.Recording, period Span) int {
	start := health.InstantOf(rec.Start)
	n := 0
	for _, s := range states[(period.Start-start)/minute : (period.End-start)/minute] {
		if s == Unknown {
			n++
		}
	}
	return n
}

func inMinutes(d health.Instant) float64 { return float64(d) / float64(minute) }
