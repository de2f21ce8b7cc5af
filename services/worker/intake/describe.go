package intake

import (
	"github.com/clarity-loop/clarity/services/record"
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
	return d
}
