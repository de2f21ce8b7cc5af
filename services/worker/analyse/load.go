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

// A reading is what several windows of a person are made of, read once for all of
// them: their Results, the records of a run of days, the profile, and the chunks so
// far. The Results are read first: where one rests on newer days than are read
// here, it is another by now, and no write under its version applies.
type reading struct {
	uid       string
	results   map[string]store.Record[record.Result]
	records   []store.Record[record.Day]
	preferred []string
	chunks    map[string]timeline.Chunk
}

// read reads what windows are made of that end on the days from first to last.
func (s *Stage) read(ctx context.Context, uid string, from, to health.Day) (*reading, error) {
	d := &reading{uid: uid, results: map[string]store.Record[record.Result]{}, chunks: map[string]timeline.Chunk{}}
	results, err := s.Store.Results.List(ctx, uid, store.Query{From: from.String(), To: (to + 1).String(), Limit: int(to-from) + 1})
	if err != nil {
		return nil, erasedError(err)
	}
	for _, r := range results {
		d.results[r.Key] = r
	}
	first, _ := analysis.Request{End: from}.Reads()
	_, last := analysis.Request{End: to}.Reads()
	if d.records, err = s.Store.Days.List(ctx, uid, store.Query{From: first.String(), To: (last + 1).String(), Limit: int(last-first) + 1}); err != nil {
		return nil, erasedError(err)
	}
	profile, err := s.Store.Profiles.Get(ctx, uid, record.ProfileKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, erasedError(err)
	}
	d.preferred = cleanPrefixes(profile.Value.SourcePriority)
	return d, nil
}

// input is everything of the window but its samples, and the records of the
// days they are in: the window's, and one before and after it, since a day is
// of its samples' own zone.
func (d *reading) input(req analysis.Request) (Input, []store.Record[record.Day], error) {
	in := Input{Start: req.Start(), End: req.End, Preferred: d.preferred}
	first, last := req.Reads()
	var records []store.Record[record.Day]
	for _, r := range d.records {
		day, err := health.ParseDay(r.Key)
		if err != nil {
			return in, nil, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
		}
		if day < first || day > last {
			continue
		}
		records = append(records, r)
		in.Chunks = append(in.Chunks, analysis.ChunkOrigin{Day: day, Digest: r.Value.Digest})
	}
	in.Zone = zone(in, records)
	return in, records, nil
}

// view reads the days' chunks. A chunk is sealed under its name, which holds its
// digest: one that opens is the one that the record means.
func (s *Stage) view(ctx context.Context, d *reading, records []store.Record[record.Day]) (timeline.View, error) {
	chunks := make([]timeline.Chunk, 0, len(records))
	for _, r := range records {
		if r.Value.Chunk == "" { // every sample of the day was deleted
			continue
		}
		chunk, there := d.chunks[r.Value.Chunk]
		if !there {
			var err error
			if chunk, err = s.chunk(ctx, d.uid, r.Value.Chunk); err != nil {
				return timeline.View{}, err
			}
			d.chunks[r.Value.Chunk] = chunk
		}
		chunks = append(chunks, chunk)
	}
	return timeline.NewView(chunks...), nil
}

// chunk reads one day's.
func (s *Stage) chunk(ctx context.Context, uid, name string) (timeline.Chunk, error) {
	chunk, err := s.Chunks.Chunk(ctx, uid, name)
	switch {
	case errors.Is(err, blob.ErrCorrupt), errors.Is(err, timeline.ErrDamaged):
		return chunk, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
	case errors.Is(err, timeline.ErrNewer):
		return chunk, &fault.Error{Room: "timeline", Op: "decode", Class: fault.Newer, Cause: err}
	case err != nil:
		return chunk, erasedError(err)
	}
	return chunk, nil
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
