package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
)

// A directory of the release before has no digest: it is made of the records, until
// it is written with the cursors.
func TestTheDigestIsMadeWhereThereIsNone(t *testing.T) {
	s, _, _, _ := open(t)
	if r, err := s.Holding(background, "anna"); err != nil || r.Version != 0 || !r.Value.Held.All || len(r.Value.Held.Days) != 0 {
		t.Fatalf("of who never uploaded: %+v, %v", r, err)
	}
	put := func(_ int64, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const days = held.Kept + 3
	for day := range health.Day(days) {
		put(s.Days.Put(background, "anna", (20_000 + day).String(), 0, record.Day{Chunk: fmt.Sprint("days/", int(day)), Digest: "d", Zone: "UTC", Samples: 2,
			Types: map[string]record.TypeSummary{"HKA": {Count: 1, First: 7}, "HKB": {Count: 1, First: 5}}}))
	}
	put(s.Tombstones.Put(background, "anna", record.TombstonesKey, 0, record.Tombstones{Blob: "tombstones/1", Count: 1}))
	put(s.Profiles.Put(background, "anna", record.ProfileKey, 0, record.Profile{SourcePriority: []string{"Watch"}}))
	put(s.Cursors.Put(background, "anna", "=all", 0, record.Cursors{Types: map[string]record.Cursor{"HKA": {Anchor: "a"}}}))
	r, err := s.Holding(background, "anna")
	if err != nil {
		t.Fatal(err)
	}
	d := r.Value.Held
	if len(d.Days) != held.Kept || d.All || d.Tombstones != "tombstones/1" || d.Preferred[0] != "Watch" || r.Value.Types["HKA"].Anchor != "a" {
		t.Errorf("%+v", d)
	}
	last, _ := d.Find(20_000 + days - 1)
	want := held.Day{Day: 20_000 + days - 1, Version: last.Version, Chunk: fmt.Sprint("days/", int(days-1)), Digest: "d", Measured: held.Measured{Zone: "UTC", Samples: 2, Begins: 5}}
	if diff := cmp.Diff(want, last); diff != "" || last.Version == 0 {
		t.Errorf("the last day (-want +got):\n%s", diff)
	}
	put(s.Cursors.Put(background, "anna", r.Key, r.Version, r.Value))
	put(s.Days.Put(background, "anna", "2026-01-01", 0, record.Day{}))
	if again, err := s.Holding(background, "anna"); err != nil || cmp.Diff(d, again.Value.Held) != "" {
		t.Errorf("what was written is not what is read: %v", err)
	}
	if anew, err := s.Digest(background, "anna"); err != nil || cmp.Diff(d, anew) == "" {
		t.Errorf("what is made anew does not know the new day: %v", err)
	}
}

// A profile that is written while a digest is made has the one that makes it look again.
func TestAProfileIsInTheDigest(t *testing.T) {
	s, _, _, _ := open(t)
	prefer := func(prefix string) {
		t.Helper()
		change, err := s.Preferring(background, "anna", []string{prefix})
		if err == nil {
			_, err = s.Batch(background, "anna", change)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	made, err := s.Holding(background, "anna")
	if err != nil {
		t.Fatal(err)
	}
	prefer("Watch")
	if _, err := s.Cursors.Put(background, "anna", made.Key, made.Version, made.Value); err == nil {
		t.Fatal("a digest is written that was made of the profile before")
	}
	made, err = s.Holding(background, "anna")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cursors.Put(background, "anna", made.Key, made.Version, made.Value); err != nil {
		t.Fatal(err)
	}
	prefer("iPhone")
	if r, err := s.Holding(background, "anna"); err != nil || len(r.Value.Held.Preferred) != 1 || r.Value.Held.Preferred[0] != "iPhone" {
		t.Errorf("%+v, %v", r.Value.Held, err)
	}
}
