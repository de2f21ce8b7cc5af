package analyse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

// view reads the days' chunks. A chunk is sealed under its name, which holds its
// digest: one that opens is the one that the record means.
func (s *Stage) view(ctx context.Context, uid string, records []store.Record[record.Day]) (timeline.View, error) {
	chunks := make([]timeline.Chunk, 0, len(records))
	for _, r := range records {
		if r.Value.Chunk == "" { // every sample of the day was deleted
			continue
		}
		chunk, err := s.Chunks.Chunk(ctx, uid, r.Value.Chunk)
		if errors.Is(err, blob.ErrCorrupt) || errors.Is(err, timeline.ErrDamaged) {
			return timeline.View{}, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
		}
		if errors.Is(err, timeline.ErrNewer) {
			return timeline.View{}, &fault.Error{Room: "timeline", Op: "decode", Class: fault.Newer, Cause: err}
		}
		if err != nil {
			return timeline.View{}, erasedError(err)
		}
		chunks = append(chunks, chunk)
	}
	return timeline.NewView(chunks...), nil
}

// zone is where most of the window's samples were recorded, the latest of
// equals; UTC where no day tells a zone that is known here.
func zone(in Input, records []store.Record[record.Day]) *time.Location {
	samples := map[string]int{}
	for _, r := range records {
		if r.Key >= in.Start.String() && r.Key <= in.End.String() {
			samples[r.Value.Zone] += r.Value.Samples
		}
	}
	best, most := time.UTC, 0
	for i := len(records) - 1; i >= 0; i-- {
		if n := samples[records[i].Value.Zone]; n > most {
			if loc, err := health.LoadZone(records[i].Value.Zone); err == nil {
				best, most = loc, n
			}
		}
	}
	return best
}
