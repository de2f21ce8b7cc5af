package results

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	ofpoints "github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/ingress/internal/damaged"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// tries is how often a day is read that others replace meanwhile.
const tries = 8

// Held is where the results' part of an export is read.
type Held struct {
	Days       store.Collection[record.Day]
	Results    store.Collection[record.Result]
	Insights   store.Collection[record.Insight]
	Tombstones store.Collection[record.Tombstones]
	// Samples reads the samples of a day's chunk, Deleted the uuids of the
	// tombstones' object by rising order.
	Samples func(ctx context.Context, uid, chunk string) ([]health.Sample, error)
	Deleted func(ctx context.Context, uid, object string) ([]health.UUID, error)
	// Series reads the JSON of one series from the object that a day's record names.
	Series func(ctx context.Context, uid, object string, of health.UUID) ([]byte, error)
}

// Exported are the days with their samples, the deletions, the results and the
// insights of an export.
func (h Held) Exported() []reply.Section {
	return []reply.Section{
		{Name: "day", Each: h.days},
		{Name: clarityexport.KindDeletion, Each: h.deletions},
		reply.Exported(h.Results, "result", viewWeek),
		reply.Exported(h.Insights, "insight", viewInsight),
	}
}

// days are each day and its samples.
func (h Held) days(ctx context.Context, uid, after string, line reply.Line) error {
	return reply.EachRecord(ctx, h.Days, uid, after, func(d store.Record[record.Day]) error {
		samples, err := h.samples(ctx, uid, &d)
		if err != nil {
			err = damaged.Say(line, clarityexport.KindSample, d.Key, err)
		}
		if err != nil {
			return fmt.Errorf("read the samples of a day: %w", err)
		}
		if !holds(d) {
			return nil
		}
		if err := line("day", d.Key, viewDay(d)); err != nil {
			return err
		}
		for i := range samples {
			if _, ok := ofpoints.Of(&samples[i]); ok {
				continue // with its points, below
			}
			if err := line(clarityexport.KindSample, d.Key, clarityexport.Of(&samples[i])); err != nil {
				return err
			}
		}
		return h.series(ctx, uid, d, line)
	})
}

// samples are those of the day, which is read again where another took its place.
func (h Held) samples(ctx context.Context, uid string, d *store.Record[record.Day]) (samples []health.Sample, err error) {
	for range tries {
		if samples, err = h.Samples(ctx, uid, d.Value.Chunk); !errors.Is(err, blob.ErrNotFound) {
			return samples, err
		}
		now, again := h.Days.Get(ctx, uid, d.Key)
		if again != nil {
			return nil, again
		}
		*d = now
	}
	return nil, err
}

// deletions are the uuids that are deleted.
func (h Held) deletions(ctx context.Context, uid, after string, line reply.Line) error {
	var deleted []health.UUID
	if after == record.TombstonesKey { // it was said that they cannot be read
		return nil
	}
	for try := range tries {
		found, err := h.Tombstones.Get(ctx, uid, record.TombstonesKey)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		deleted, err = h.Deleted(ctx, uid, found.Value.Blob)
		if err == nil {
			break
		}
		if !errors.Is(err, blob.ErrNotFound) || try == tries-1 {
			if err = damaged.Say(line, clarityexport.KindDeletion, record.TombstonesKey, err); err != nil {
				return fmt.Errorf("read the deletions: %w", err)
			}
			return nil
		}
	}
	for _, u := range deleted {
		if id := u.String(); id > after {
			if err := line(clarityexport.KindDeletion, id, clarityexport.Deletion{UUID: id}); err != nil {
				return err
			}
		}
	}
	return nil
}
