package intake_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

// watched objects say which are read, and call written before each that is put.
type watched struct {
	*vault.Vault
	mu      sync.Mutex
	reads   map[string]int
	written func()
}

func (o *watched) Get(ctx context.Context, uid, name string) ([]byte, error) {
	o.mu.Lock()
	o.reads[name]++
	o.mu.Unlock()
	return o.Vault.Get(ctx, uid, name)
}

func (o *watched) Replace(ctx context.Context, kind, uid, rest string, plain []byte) (string, error) {
	if o.written != nil {
		o.mu.Lock()
		o.written()
		o.mu.Unlock()
	}
	return o.Vault.Replace(ctx, kind, uid, rest, plain)
}

// watch has the world's stage work with watched objects.
func (w *world) watch() *watched {
	o := &watched{Vault: vault.New((*blobs)(w), (*keys)(w)), reads: map[string]int{}}
	needs := w.stage.Needs
	needs.Objects = o
	w.stage = intake.New(needs)
	return o
}

// keep stores days of so many heart beats each, the last of them the day before the
// uploads are received, as if they had been merged. The n-th of day d has a uuid of
// its own.
func (w *world) keep(t testing.TB, days, beats int) {
	t.Helper()
	w.consent(t, true)
	for d := range days {
		day := health.DayOf(health.InstantOf(received), time.UTC) - health.Day(days-d) //nolint:gosec // a few hundred
		midnight, _ := day.Bounds(time.UTC)
		c := timeline.Chunk{Day: day}
		for n := range beats {
			at := midnight.Time().Add(time.Duration(n) * time.Minute)
			c.Samples = append(c.Samples, health.Sample{UUID: kept(d, n), Type: heartRate, Start: health.InstantOf(at), End: health.InstantOf(at), Zone: "UTC",
				Value: 60, Unit: "/min", OriginalValue: 60, OriginalUnit: "count/min", Source: health.Source{BundleID: "com.apple.health", ProductType: "Watch7,5"}})
		}
		merged, _, err := timeline.Merge(timeline.Chunk{Day: day}, c.Samples, timeline.Tombstones{})
		if err != nil {
			t.Fatal(err)
		}
		data, digest, err := timeline.Encode(merged)
		if err != nil {
			t.Fatal(err)
		}
		name := blob.PersonPrefix(blob.KindDays, person) + day.String() + "/" + digest
		if w.objects[name], err = (*keys)(w).Seal(t.Context(), person, name, data); err != nil {
			t.Fatal(err)
		}
		value := record.Day{Chunk: name, Digest: digest, Zone: merged.Zone(), Samples: beats, Filter: merged.Filter()}
		if _, err := w.store.Days.Put(t.Context(), person, day.String(), 0, value); err != nil {
			t.Fatal(err)
		}
	}
}

func kept(day, n int) health.UUID {
	return health.UUID{0: 0x51, 10: byte(day >> 8), 11: byte(day), 14: byte(n >> 8), 15: byte(n)}
}

// An import comes type by type: an upload of a value a day touches years, and what
// is held of them does not grow with their number.
func TestAnImportHoldsFewOfItsDays(t *testing.T) {
	const days, beats, most = 300, 300, 25 << 20
	w := newWorld()
	w.keep(t, days, beats)
	e := envelope{TimeZone: "UTC"}
	for d := range days {
		e.Samples = append(e.Samples, beat(d, received.Add(-24*time.Hour*time.Duration(d+1)), 61, ""))
	}
	w.arrive(t, arrival{"import", e.encode(t), received})
	objects := w.watch()
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc) //nolint:gosec // far less
	}
	before, peak, puts := heap(), 0, 0
	objects.written = func() {
		if puts++; puts%20 == 1 {
			peak = max(peak, heap()-before)
		}
	}
	if v := w.handle(t, "import", 1); v != "ack" {
		t.Fatal(v)
	}
	if u := w.upload(t, "import"); u.Added != days || len(u.Days) != days || puts != days {
		t.Errorf("%d samples added to %d days, %d of them written", u.Added, len(u.Days), puts)
	}
	if peak > most {
		t.Errorf("merging held %d MB: %d samples of days, and the bound is %d MB", peak>>20, days*beats, most>>20)
	}
	for name, n := range objects.reads {
		if n > 2 {
			t.Errorf("%s is read %d times", name, n)
		}
	}
}

// A deletion reads the days that may hold its sample, each once, and no other: what
// a phone deletes of three years costs what those days cost.
func TestADeletionReadsTheDaysThatMayHoldItOnce(t *testing.T) {
	const days, beats = 1000, 40
	w := newWorld()
	w.keep(t, days, beats)
	e := envelope{TimeZone: "UTC", Deleted: []deletion{{kept(17, 3).String(), heartRate}, {kept(17, 9).String(), heartRate}, {kept(900, 0).String(), heartRate}}}
	may := 0
	records, err := w.store.Days.List(t.Context(), person, store.Query{Limit: store.MaxLimit})
	for err == nil && len(records) > 0 {
		for _, r := range records {
			if timeline.MayHold(r.Value.Filter, kept(17, 3)) || timeline.MayHold(r.Value.Filter, kept(17, 9)) || timeline.MayHold(r.Value.Filter, kept(900, 0)) {
				may++
			}
		}
		records, err = w.store.Days.List(t.Context(), person, store.Query{After: records[len(records)-1].Key, Limit: store.MaxLimit})
	}
	if err != nil || may < 2 || may > days/8 {
		t.Fatalf("%d of %d days may hold what is deleted, %v", may, days, err)
	}
	w.arrive(t, arrival{"deletion", e.encode(t), received})
	objects := w.watch()
	if v := w.handle(t, "deletion", 1); v != "ack" {
		t.Fatal(v)
	}
	if u := w.upload(t, "deletion"); u.Deleted != 3 || len(u.Days) != 2 {
		t.Errorf("%d samples deleted, of %d days", u.Deleted, len(u.Days))
	}
	read := 0
	for name, n := range objects.reads {
		if !strings.HasPrefix(name, blob.PersonPrefix(blob.KindDays, person)) {
			continue
		}
		read++
		if n != 1 {
			t.Errorf("%s is read %d times", name, n)
		}
	}
	if read != may {
		t.Errorf("%d days are read, and %d may hold what is deleted", read, may)
	}
}
