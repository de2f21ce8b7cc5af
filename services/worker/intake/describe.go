package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/timeline"
)

// maxTypes bounds a day's record: a person has a few dozen types a day.
const maxTypes = 256

// describe is the record of a chunk. Types beyond maxTypes are in the chunk alone.
func describe(c timeline.Chunk, name, digest string) record.Day {
	d := record.Day{Chunk: name, Digest: digest, Zone: c.Zone(), Samples: len(c.Samples), Types: map[string]record.TypeSummary{}, Filter: c.Filter()}
	for i := range c.Samples {
		sample := &c.Samples[i]
		t, ok := d.Types[sample.Type]
		switch {
		case !ok && len(d.Types) == maxTypes:
			continue
		case !ok:
			t = record.TypeSummary{First: sample.Start, Last: sample.End}
		}
		t.Count++
		t.First, t.Last = min(t.First, sample.Start), max(t.Last, sample.End)
		d.Types[sample.Type] = t
	}
	d.Measured = Measured(c)
	return d
}

// Measured tells of the samples that analyses measure: the same for the same samples
// of these, whatever lies beside them.
func Measured(c timeline.Chunk) *held.Measured {
	m := &held.Measured{Input: held.Empty, Begins: held.Never}
	sum, zones := sha256.New(), map[string]int{}
	for first, next := 0, 0; first < len(c.Samples); first = next {
		kind := c.Samples[first].Type
		for next = first; next < len(c.Samples) && c.Samples[next].Type == kind; next++ {
			if analysis.Measures(kind) {
				zones[c.Samples[next].Zone]++
			}
		}
		if !analysis.Measures(kind) {
			continue
		}
		of := timeline.Chunk{Day: c.Day, Samples: c.Samples[first:next]}
		_, _ = sum.Write([]byte(timeline.Digest(of)))
		m.Samples, m.Begins = m.Samples+len(of.Samples), min(m.Begins, of.Samples[0].Start)
	}
	switch {
	case m.Samples > 0:
		m.Input = hex.EncodeToString(sum.Sum(nil))
	case len(c.Samples) > 0:
		m.Input = held.Nothing
	}
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		if m.Zone == "" || zones[zone] > zones[m.Zone] {
			m.Zone = zone
		}
	}
	return m
}
