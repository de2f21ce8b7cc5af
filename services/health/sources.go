package health

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
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
func (p Priority) Rank(s *Sample) int {
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

func sourceClass(s *Sample) int {
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
	Start, End Instant
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
func MergeIntervals(samples []Sample, p Priority) []Piece {
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
func MergeStages(samples []Sample, p Priority) []Piece {
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

// rankSamples puts the samples in a total order, the best first. It depends on
// the samples alone, not on their order; equal samples are interchangeable.
func rankSamples(samples []Sample, p Priority) []ranked {
	order := make([]ranked, len(samples))
	for i := range samples {
		order[i] = ranked{sample: i, source: p.Rank(&samples[i])}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		if a.source != b.source {
			return cmp.Compare(a.source, b.source)
		}
		x, y := &samples[a.sample], &samples[b.sample]
		return cmp.Or(compareSources(x, y), compareWithinSource(x, y))
	})
	group := 0
	for i, previousRank := 0, 0; i < len(order); i++ {
		rank := order[i].source
		if i > 0 && (rank != previousRank || compareSources(&samples[order[i-1].sample], &samples[order[i].sample]) != 0) {
			group++
		}
		previousRank = rank
		order[i].source = group
	}
	return order
}

func compareSources(x, y *Sample) int {
	return cmp.Or(
		strings.Compare(x.Source.ProductType, y.Source.ProductType),
		strings.Compare(x.Source.BundleID, y.Source.BundleID),
		strings.Compare(x.Source.Name, y.Source.Name),
	)
}

func compareWithinSource(x, y *Sample) int {
	return cmp.Or(
		-cmp.Compare(stageDetail(x), stageDetail(y)),
		cmp.Compare(x.End-x.Start, y.End-y.Start),
		cmp.Compare(x.Start, y.Start),
		cmp.Compare(x.Value, y.Value),
		slices.Compare(x.UUID[:], y.UUID[:]),
	)
}

// stageDetail is 0 for in bed, 1 for asleep, 2 for a stage or awake; other
// categories and quantities have no such order.
func stageDetail(s *Sample) float64 {
	if s.Type != "HKCategoryTypeIdentifierSleepAnalysis" {
		return 0
	}
	return min(s.Value, 2)
}

// sweep walks the edges of all intervals in time and gives each stretch to the
// best sample over it.
func sweep(samples []Sample, order []ranked) []Piece {
	starts := make([]int, len(order)) // places in order, by start
	edges := make([]Instant, 0, 2*len(order))
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
				heap.Push(&active, starts[0])
			}
		}
		for len(active) > 0 && samples[order[active[0]].sample].End <= edge {
			heap.Pop(&active)
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
func appendPoints(pieces []Piece, edge Instant, points []int, order []ranked, active places) []Piece {
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

// places is a heap of places in the total order.
type places []int

func (h places) Len() int           { return len(h) }
func (h places) Less(i, j int) bool { return h[i] < h[j] }
func (h places) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are heap.Interface's.
func (h *places) Push(x any) { *h = append(*h, x.(int)) }

// Pop takes the last element.
func (h *places) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
