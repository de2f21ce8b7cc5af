package timeline

import (
	"maps"
	"slices"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
)

// A View is what some days say together: of several versions of one uuid the
// one that supersedes the others, whichever day it lies in. What was kept raw because
// it was not known when it came is read by the catalog of today.
type View struct {
	byType map[string][]health.Sample
	count  int
}

// NewView reads chunks, in any order. It shares their samples.
func NewView(chunks ...Chunk) View { return viewBy(catalog.Lookup, chunks) }

func viewBy(known lookup, chunks []Chunk) View {
	total := 0
	for i := range chunks {
		total += len(chunks[i].Samples)
	}
	best := make(map[health.UUID]*health.Sample, total)
	for _, c := range chunks {
		for k := range c.Samples {
			s := &c.Samples[k]
			if other, ok := best[s.UUID]; !ok || supersedes(s, other) {
				best[s.UUID] = s
			}
		}
	}
	v := View{byType: map[string][]health.Sample{}}
	for _, c := range chunks {
		for k := range c.Samples {
			s := &c.Samples[k]
			if best[s.UUID] != s {
				continue
			}
			if read, ok := readToday(s, known); ok {
				v.byType[s.Type] = append(v.byType[s.Type], read)
				v.count++
			}
		}
	}
	for _, samples := range v.byType {
		slices.SortFunc(samples, func(a, b health.Sample) int { return Compare(&a, &b) })
	}
	return v
}

// Samples are those of a type, by start. The caller must not change them.
func (v View) Samples(identifier string) []health.Sample { return v.byType[identifier] }

// Types are the types with samples, by name.
func (v View) Types() []string { return slices.Sorted(maps.Keys(v.byType)) }

// Len counts the samples.
func (v View) Len() int { return v.count }
