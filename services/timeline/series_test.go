package timeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/timeline"
)

type object []byte

func (o object) Get(context.Context, string, string) ([]byte, error) { return o, nil }

func TestTheJSONOfASeriesComesBack(t *testing.T) {
	of, other := health.UUID{1}, health.UUID{2}
	data := timeline.EncodeSeries(of, []byte(`{"beats":[]}`))
	content, err := timeline.NewReader(object(data)).Series(t.Context(), "anna", "a", of)
	if err != nil || string(content) != `{"beats":[]}` {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := timeline.NewReader(object(data)).Series(t.Context(), "anna", "a", other); !errors.Is(err, timeline.ErrDamaged) {
		t.Errorf("of another uuid: %v", err)
	}
	if _, err := timeline.Decode(data); !errors.Is(err, timeline.ErrDamaged) {
		t.Errorf("as a day: %v", err)
	}
	for n := range data {
		if _, err := timeline.NewReader(object(data[:n])).Series(t.Context(), "anna", "a", of); !errors.Is(err, timeline.ErrDamaged) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	newer := append([]byte("CLT2"), data[4:]...)
	if _, err := timeline.NewReader(object(newer)).Series(t.Context(), "anna", "a", of); !errors.Is(err, timeline.ErrNewer) {
		t.Errorf("of a later release: %v", err)
	}
}

// A day has room for so many series; one more is refused, and one that goes with
// what it is of makes room.
func TestADayOfManySeries(t *testing.T) {
	var all []health.Sample
	for i := range timeline.MaxSeries + 1 {
		parent := health.UUID{9, byte(i >> 8), byte(i)}
		all = append(all, health.Sample{UUID: health.UUID{byte(i >> 8), byte(i)}, Type: series.WorkoutRoute, Zone: "UTC",
			Raw: series.Summary{Parent: parent.String(), Points: i, Digest: "d"}.Raw()})
	}
	full, stats, err := timeline.Merge(timeline.Chunk{}, all[1:], timeline.Tombstones{})
	if err != nil || stats.Added != timeline.MaxSeries {
		t.Fatalf("%+v, %v", stats, err)
	}
	if _, _, err := timeline.Merge(full, all[:1], timeline.Tombstones{}); !errors.Is(err, timeline.ErrFull) {
		t.Errorf("one more: %v", err)
	}
	deleted, _, err := timeline.Tombstones{}.Add([]health.UUID{{9, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if !timeline.MayHold(full.Filter(), health.UUID{9, 0, 1}) {
		t.Error("the filter does not know what a series is of")
	}
	if _, stats, err := timeline.Merge(full, all[:1], deleted); err != nil || stats.Removed != 1 || stats.Added != 1 {
		t.Errorf("one less: %+v, %v", stats, err)
	}
}
