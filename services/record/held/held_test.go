package held_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record/held"
)

func days(d *held.Digest) (days []health.Day) {
	for _, in := range d.Days {
		days = append(days, in.Day)
	}
	return days
}

func TestADigestIsOfTheNewestDays(t *testing.T) {
	d := &held.Digest{All: true}
	for _, day := range []health.Day{9, 3, 5} {
		d = d.With(held.Day{Day: day})
	}
	if diff := cmp.Diff([]health.Day{3, 5, 9}, days(d)); diff != "" || !d.Covers(-100) {
		t.Errorf("%s covers all: %t", diff, d.Covers(-100))
	}
	d = d.With(held.Day{Day: 5, Digest: "new"})
	if of, found := d.Find(5); !found || of.Digest != "new" || len(d.Days) != 3 {
		t.Errorf("%+v", d)
	}
	for day := range health.Day(held.Kept) {
		d = d.With(held.Day{Day: 100 + day})
	}
	if d.All || len(d.Days) != held.Kept || d.Covers(99) || !d.Covers(100) {
		t.Errorf("after many: %+v", d)
	}
	if d = d.With(held.Day{Day: 50}); len(d.Days) != held.Kept || d.Days[0].Day != 100 {
		t.Error("a day is taken in of which nobody knows what lies behind it")
	}
}

func TestTheDayBefore(t *testing.T) {
	d := (&held.Digest{All: true}).With(held.Day{Day: 3}).With(held.Day{Day: 7})
	for day, want := range map[health.Day]health.Day{100: 7, 7: 3, 4: 3} {
		if last, found, known := d.Before(day); last != want || !found || !known {
			t.Errorf("before %d: %d, %t, %t", day, last, found, known)
		}
	}
	if _, found, known := d.Before(3); found || !known {
		t.Error("there is none before the first of all")
	}
	d.All = false
	if _, found, known := d.Before(3); found || known {
		t.Error("it is known what no digest says")
	}
}

func TestTheZoneIsOfMostSamples(t *testing.T) {
	var in []held.Day
	for i, m := range []held.Measured{{Zone: "Asia/Tokyo", Samples: 99}, {Zone: "Europe/Berlin", Samples: 5}, {Zone: "Nowhere/None", Samples: 50}, {Zone: "America/New_York", Samples: 5}} {
		in = append(in, held.Day{Day: health.Day(i + 1), Measured: m})
	}
	in = append(in, held.Day{Day: 6, Measured: held.Measured{Zone: "Europe/Berlin", Samples: 1}}) // outside, though of a zone that is within
	for _, tt := range []struct {
		start, end health.Day
		want       string
	}{{1, 4, "Asia/Tokyo"}, {2, 4, "America/New_York"}, {2, 3, "Europe/Berlin"}, {7, 9, "UTC"}, {4, 5, "America/New_York"}} {
		if got := held.Zone(in, tt.start, tt.end).String(); got != tt.want {
			t.Errorf("from %d to %d: %s, want %s", tt.start, tt.end, got, tt.want)
		}
	}
}

// The digest lies in the document of a person's cursors, which has room for it.
func TestADigestIsSmall(t *testing.T) {
	d := &held.Digest{}
	for day := range health.Day(held.Kept) {
		d.Days = append(d.Days, held.Day{Day: day, Version: 1 << 60, Chunk: strings.Repeat("x", 256), Digest: strings.Repeat("x", 64), Series: true,
			Measured: held.Measured{Input: strings.Repeat("x", 64), Zone: strings.Repeat("x", 64), Samples: 1 << 30, Begins: health.InstantOf(time.Now())}})
	}
	text, err := json.Marshal(d)
	if err != nil || len(text) > 16<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
