package synced

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

func dayOf(key string, types map[string]record.TypeSummary) store.Record[record.Day] {
	return store.Record[record.Day]{Key: key, Value: record.Day{Types: types}}
}

// Days come newest first; each type has its own coverage, and a day whose key
// is no date has none.
func TestWhatDaysCover(t *testing.T) {
	last := func(ms int64) map[string]record.TypeSummary {
		return map[string]record.TypeSummary{"HKA": {Count: 2, Last: health.Instant(ms)}}
	}
	tests := map[string]struct {
		days []store.Record[record.Day]
		want coverage
	}{
		"one day":          {[]store.Record[record.Day]{dayOf("2026-11-20", last(5))}, coverage{"2026-11-20", "2026-11-20", 1, 2, []dayRange{}}},
		"two in a row":     {[]store.Record[record.Day]{dayOf("2026-11-20", last(5)), dayOf("2026-11-19", last(4))}, coverage{"2026-11-19", "2026-11-20", 2, 4, []dayRange{}}},
		"a gap of a day":   {[]store.Record[record.Day]{dayOf("2026-11-20", last(5)), dayOf("2026-11-18", last(4))}, coverage{"2026-11-18", "2026-11-20", 2, 4, []dayRange{{"2026-11-19", "2026-11-19"}}}},
		"a gap of two":     {[]store.Record[record.Day]{dayOf("2026-11-20", last(5)), dayOf("2026-11-17", last(4))}, coverage{"2026-11-17", "2026-11-20", 2, 4, []dayRange{{"2026-11-18", "2026-11-19"}}}},
		"a key of no date": {[]store.Record[record.Day]{dayOf("2026-11-20", last(5)), dayOf("CANARY", last(9))}, coverage{"2026-11-20", "2026-11-20", 1, 2, []dayRange{}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := coverTypes(tt.days)
			if len(got) != 1 {
				t.Fatalf("%+v", got)
			}
			if diff := cmp.Diff(tt.want, got["HKA"].Coverage); diff != "" {
				t.Errorf("coverage (-want +got):\n%s", diff)
			}
			if seen := got["HKA"].LastSeen; seen == nil || !time.Time(*seen).Equal(health.Instant(5).Time()) {
				t.Errorf("last seen %v", seen)
			}
		})
	}
}

// The latest of what was seen counts, wherever it was seen.
func TestWhenATypeWasSeen(t *testing.T) {
	at := func(ms int64) *reply.Time { return reply.TimeOrNil(health.Instant(ms).Time()) }
	received := time.Date(2026, 11, 20, 7, 0, 0, 0, time.FixedZone("", 3600))
	tests := map[string]struct {
		day, cursor int64
		want        *reply.Time
	}{
		"a day alone":         {5, 0, at(5)},
		"a cursor alone":      {-1, 1, at(1)},
		"neither":             {-1, 0, nil},
		"the cursor is later": {5, 6, at(6)},
		"the day is later":    {6, 5, at(6)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			types := syncTypes{}
			if tt.day >= 0 {
				types.entry("HKA").cover(20000, record.TypeSummary{Last: health.Instant(tt.day)})
			}
			types.entry("HKA").commit(record.Cursor{Anchor: "a", LastSeen: health.Instant(tt.cursor), Received: received})
			got := types["HKA"]
			if diff := cmp.Diff((*time.Time)(tt.want), (*time.Time)(got.LastSeen)); diff != "" {
				t.Errorf("last seen (-want +got):\n%s", diff)
			}
			if got.Cursor != "a" || got.Committed == nil || !time.Time(*got.Committed).Equal(received) {
				t.Errorf("%+v", got)
			}
		})
	}
	never := syncTypes{}
	never.entry("HKA").commit(record.Cursor{Anchor: "a"})
	if got := never["HKA"].Committed; got != nil {
		t.Errorf("committed at %v, and was never received", got)
	}
}
