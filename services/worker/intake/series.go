package intake

import (
	"context"
	"fmt"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/record/points"
	"github.com/clarity-loop/clarity/services/timeline"
)

// placeSeries is where the points of each series of the merged day lie; those that
// are new are put there first. What the day's record no longer refers to is left to
// the retention, as a chunk is.
func (s *Stage) placeSeries(ctx context.Context, uid string, w *dayWork) ([]points.Reference, error) {
	var placed []points.Reference
	for i := range w.merged.Samples {
		sample := &w.merged.Samples[i]
		if sample.Raw == "" {
			continue
		}
		summary, ok := series.Of(sample)
		if !ok {
			continue
		}
		object, err := s.placeOne(ctx, uid, w, sample.UUID, summary.Digest)
		if err != nil {
			return nil, err
		}
		placed = append(placed, points.Reference{
			UUID: sample.UUID.String(), Type: sample.Type, Start: sample.Start, End: sample.End, Zone: sample.Zone,
			Parent: summary.Parent, Points: summary.Points, Digest: summary.Digest, Blob: object,
		})
	}
	return placed, nil
}

// placeOne is the object of one series' points. It is put once, however often
// others write the day first.
func (s *Stage) placeOne(ctx context.Context, uid string, w *dayWork, of health.UUID, digest string) (object string, err error) {
	for _, there := range w.record.Value.Series {
		if there.Digest == digest && there.UUID == of.String() {
			return there.Blob, nil
		}
	}
	if object, ok := w.put[digest]; ok {
		return object, nil
	}
	content, ok := w.contents[digest]
	if !ok { // a day and its record are written at once
		return "", fmt.Errorf("write day: %w: it holds a series that its record does not", timeline.ErrDamaged)
	}
	object, err = s.Objects.Replace(ctx, blob.KindSeries, uid, fmt.Sprintf("%s/%s-%s", w.day, digest, unused()), timeline.EncodeSeries(of, content))
	if err != nil {
		return "", err
	}
	if w.put == nil {
		w.put = map[string]string{}
	}
	w.put[digest] = object
	return object, nil
}
