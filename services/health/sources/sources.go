// Package sources decides which device or app is believed where several
// measured the same stretch of time, so that no step and no minute counts twice.
package sources

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
)

// A Priority says which source is believed where several measured the same
// stretch of time. The zero Priority is the default order: Apple Watch, then
// iPhone and iPad, then other apps and devices, then what a person typed.
type Priority struct {
	prefixes []string
}

// PreferProducts puts sources whose ProductType has one of the prefixes first,
// in that order ("iPhone", "Watch"); the others follow in the default order.
// What a person typed stays last.
func PreferProducts(prefixes ...string) Priority {
	return Priority{prefixes: slices.Clone(prefixes)}
}

// The classes of the default order.
const (
	rankWatch = iota
	rankPhone
	rankOther
	rankUserEntered
)

// Rank is the place of a sample's source: the lower the better.
func (p Priority) Rank(s *health.Sample) int {
	class := sourceClass(s)
	if class == rankUserEntered {
		return len(p.prefixes) + class
	}
	for i, prefix := range p.prefixes {
		if strings.HasPrefix(s.Source.ProductType, prefix) {
			return i
		}
	}
	return len(p.prefixes) + class
}

func sourceClass(s *health.Sample) int {
	product, bundle := s.Source.ProductType, s.Source.BundleID
	switch {
	case s.UserEntered:
		return rankUserEntered
	case bundle != "" && !strings.HasPrefix(bundle, "com.apple."):
		return rankOther // an app on the phone has the phone's product type
	case strings.HasPrefix(product, "Watch"):
		return rankWatch
	case strings.HasPrefix(product, "iPhone"), strings.HasPrefix(product, "iPad"), strings.HasPrefix(product, "iPod"):
		return rankPhone
	}
	return rankOther
}

// A Piece is a stretch of time and what the best source says of it.
type Piece struct {
	// Start and End bound the stretch, End exclusive; equal for an
	// instantaneous sample.
	Start, End health.Instant
	// Value is the sample's share of the stretch for a cumulative quantity,
	// the sample's own value for a stage.
	Value float64
	// Sample is the index of the sample the piece comes from.
	Sample int
}

// MergeIntervals makes non-overlapping pieces, ordered by time, of the samples
// of one cumulative type (steps, energy, distance), so that no stretch is
// counted twice: each stretch takes the sample of the best source, and a
// sample that holds only part of its interval counts with that share of its
// value. Samples of one source that do not overlap pass unchanged. Where a
// source overlaps itself the shorter sample wins.
//
// An instantaneous sample counts in full, unless a better source covers its
// instant. Several of one source at one instant all count: a meal is several
// records of the same second.
//
// The result does not depend on the order of samples, but for the indexes.
func MergeIntervals(samples []health.Sample, p Priority) []Piece {
	order := rankSamples(samples, p)
	pieces := sweep(samples, order)
	for i := range pieces {
		piece := &pieces[i]
		s := &samples[piece.Sample]
		piece.Value = s.Value
		if length := piece.End - piece.Start; length != s.End-s.Start {
			piece.Value = s.Value * (float64(length) / float64(s.End-s.Start))
		}
	}
	return pieces
}

// MergeStages is MergeIntervals for the samples of one category, such as the
// stages of sleep: the best source wins a stretch, and its value is not
// divided. Within one source a sleep stage wins over "asleep", and that over
// "in bed".
func MergeStages(samples []health.Sample, p Priority) []Piece {
	order := rankSamples(samples, p)
	pieces := sweep(samples, order)
	for i := range pieces {
		pieces[i].Value = samples[pieces[i].Sample].Value
	}
	return pieces
}

// A ranked sample knows its place among all, and that of its source.
type ranked struct {
	sample int // index in samples
	source int // equal for samples of the same source and rank; lower is better
}

// A rankedSource is a source at its rank: what a person typed on a phone is
// another one than what the phone measured.
type rankedSource struct {
	rank                  int
	product, bundle, name string
}

// rankSamples puts the samples in a total order, the best first. It depends on
// the samples alone, not on their order; equal samples are interchangeable.
func rankSamples(samples []health.Sample, p Priority) []ranked {
	places := make(map[rankedSource]int)
	keys := make([]rankedSource, len(samples))
	for i := range samples {
		s := &samples[i]
		keys[i] = rankedSource{p.Rank(s), s.Source.ProductType, s.Source.BundleID, s.Source.Name}
		places[keys[i]] = 0
	}
	for place, key := range slices.SortedFunc(maps.Keys(places), compareSources) {
		places[key] = place
	}
	order := make([]ranked, len(samples))
	for i := range samples {
		order[i] = ranked{sample: i, source: places[keys[i]]}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		if a.source != b.source {
			return cmp.Compare(a.source, b.source)
		}
		return compareWithinSource(&samples[a.sample], &samples[b.sample])
	})
	return order
}

func compareSources(x, y rankedSource) int {
	return cmp.Or(
		cmp.Compare(x.rank, y.rank),
		strings.Compare(x.product, y.product),
		strings.Compare(x.bundle, y.bundle),
		strings.Compare(x.name, y.name),
	)
}

func compareWithinSource(x, y *health.Sample) int {
	switch {
	case stageDetail(x) != stageDetail(y):
		return -cmp.Compare(stageDetail(x), stageDetail(y))
	case x.End-x.Start != y.End-y.Start:
		return cmp.Compare(x.End-x.Start, y.End-y.Start)
	case x.Start != y.Start:
		return cmp.Compare(x.Start, y.Start)
	case x.Value != y.Value:
		return cmp.Compare(x.Value, y.Value)
	}
	return slices.Compare(x.UUID[:], y.UUID[:])
}

// stageDetail is 0 for in bed, 1 for asleep, 2 for a stage or awake; other
// categories and quantities have no such order.
func stageDetail(s *health.Sample) float64 {
	if s.Type != "HKCategoryTypeIdentifierSleepAnalysis" {
		return 0
	}
	return min(s.Value, 2)
}

// sweep walks the edges of all intervals in time and gives each stretch to the
// best sample over it.
func sweep(samples []health.Sample, order []ranked) []Piece {
	starts := make([]int, len(order)) // places in order, by start
	edges := make([]health.Instant, 0, 2*len(order))
	for place := range order {
		starts[place] = place
		s := &samples[order[place].sample]
		edges = append(edges, s.Start, s.End)
	}
	slices.SortFunc(starts, func(a, b int) int {
		return cmp.Or(cmp.Compare(samples[order[a].sample].Start, samples[order[b].sample].Start), cmp.Compare(a, b))
	})
	slices.Sort(edges)
	edges = slices.Compact(edges)

	pieces := make([]Piece, 0, len(order))
	var active places // intervals over the stretch, the best on top
	last := -1        // the latest piece that is an interval
	for i, edge := range edges {
		var points []int
		for ; len(starts) > 0 && samples[order[starts[0]].sample].Start == edge; starts = starts[1:] {
			if s := &samples[order[starts[0]].sample]; s.End <= s.Start {
				points = append(points, starts[0])
			} else {
				active.push(starts[0])
			}
		}
		for len(active) > 0 && samples[order[active[0]].sample].End <= edge {
			active.pop()
		}
		pieces = appendPoints(pieces, edge, points, order, active)
		if len(active) == 0 {
			continue
		}
		best := order[active[0]].sample
		if last >= 0 && pieces[last].Sample == best && pieces[last].End == edge {
			pieces[last].End = edges[i+1]
			continue
		}
		last = len(pieces)
		pieces = append(pieces, Piece{Start: edge, End: edges[i+1], Sample: best})
	}
	return pieces
}

// appendPoints adds the instantaneous samples at edge that no better source
// covers. points are by rising place, so the best source is first.
func appendPoints(pieces []Piece, edge health.Instant, points []int, order []ranked, active places) []Piece {
	if len(points) == 0 {
		return pieces
	}
	best := order[points[0]].source
	if len(active) > 0 {
		best = min(best, order[active[0]].source)
	}
	for _, place := range points {
		if order[place].source == best {
			pieces = append(pieces, Piece{Start: edge, End: edge, Sample: order[place].sample})
		}
	}
	return pieces
}

// places is a heap of places in the total order, the best at 0. container/heap
// would allocate each of them.
type places []int

func (h *places) push(place int) {
	*h = append(*h, place)
	a := *h
	for i := len(a) - 1; i > 0; {
		parent := (i - 1) / 2
		if a[parent] <= a[i] {
			return
		}
		a[parent], a[i] = a[i], a[parent]
		i = parent
	}
}

func (h *places) pop() {
	a := *h
	last := len(a) - 1
	a[0] = a[last]
	a = a[:last]
	*h = a
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return
		}
		if child+1 < last && a[child+1] < a[child] {
			child++
		}
		if a[i] <= a[child] {
			return
		}
		a[i], a[child] = a[child], a[i]
		i = child
	}
}
