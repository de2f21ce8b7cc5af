package analyse

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

// A reading is what several windows of a person are made of, read once for all of
// them: their Results, what is held of a run of days, the profile's preferences, and
// the chunks so far. The Results are read first: where one rests on newer days than
// are read here, it is another by now, and no write under its version applies. The
// person's Cursors are read before the days: who changes a day writes them with what
// asks for its windows, and no write under those that were read applies after that.
type reading struct {
	uid       string
	holding   store.Record[record.Cursors]
	results   map[string]store.Record[record.Result]
	days      []held.Day // by rising date
	digested  bool       // they are of the digest, not of the records
	preferred []string
	chunks    map[string]timeline.Chunk
}

// read reads what windows are made of that end on the days from first to last. The
// digest is believed, where it goes back so far, unless it is the truth that is asked.
func (s *Stage) read(ctx context.Context, uid string, from, to health.Day, truth bool) (*reading, error) {
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
	look := s.Store.Holding
	if truth {
		look = s.Store.Synced
	}
	if d.holding, err = look(ctx, uid); err != nil {
		return nil, erasedError(err)
	}
	if !truth {
		if digest := d.holding.Value.Held; digest.Covers(first) {
			d.digested, d.preferred = true, cleanPrefixes(digest.Preferred)
			d.days = slices.DeleteFunc(slices.Clone(digest.Days), func(day held.Day) bool { return day.Day < first || day.Day > last })
			return d, nil
		}
	}
	return d, s.readRecords(ctx, d, first, last)
}

// readRecords reads the days and the preferences where they are kept.
func (s *Stage) readRecords(ctx context.Context, d *reading, first, last health.Day) error {
	records, err := s.Store.Days.List(ctx, d.uid, store.Query{From: first.String(), To: (last + 1).String(), Limit: int(last-first) + 1})
	if err != nil {
		return erasedError(err)
	}
	for _, r := range records {
		day, err := health.ParseDay(r.Key)
		if err != nil {
			return fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
		}
		d.days = append(d.days, r.Value.Held(day, r.Version))
	}
	profile, err := s.Store.Profiles.Get(ctx, d.uid, record.ProfileKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return erasedError(err)
	}
	d.preferred = cleanPrefixes(profile.Value.SourcePriority)
	return nil
}

// input is everything of the window but its samples, and the days they are in: the
// window's, the one before it, and the one behind it where something of it begins
// in the window, since a day is of its samples' own zone. Else it is beside.
func (d *reading) input(req analysis.Request) (in Input, days []held.Day, beside *held.Day) {
	in = Input{Start: req.Start(), End: req.End, Preferred: d.preferred, Zone: held.Zone(d.days, req.Start(), req.End)}
	first, last := req.Reads()
	for _, day := range d.days {
		switch {
		case day.Day < first || day.Day > last:
		case !req.Needs(day.Day, day.Begins, in.Zone):
			beside = &day
		default:
			days = append(days, day)
			in.Chunks = append(in.Chunks, day.Origin())
		}
	}
	return in, days, beside
}

// view reads the days' chunks. A chunk is sealed under its name, which holds its
// digest: one that opens is the one that the record means.
func (s *Stage) view(ctx context.Context, d *reading, days []held.Day) (timeline.View, error) {
	chunks := make([]timeline.Chunk, 0, len(days))
	for _, day := range days {
		if day.Chunk == "" { // every sample of the day was deleted
			continue
		}
		chunk, there := d.chunks[day.Chunk]
		if !there {
			var err error
			if chunk, err = s.chunk(ctx, d.uid, day.Chunk); err != nil {
				return timeline.View{}, err
			}
			d.chunks[day.Chunk] = chunk
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
