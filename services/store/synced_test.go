package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// former leaves a cursor as the releases before did: a document a type.
func former(t *testing.T, d store.Driver, e envelope, key, anchor string) {
	t.Helper()
	plain, err := json.Marshal(record.Cursor{Anchor: anchor, Received: time.Unix(1, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := e.Seal(background, "anna", "doc/cursors/anna/"+key, plain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Batch(background, []store.Write{{Key: store.Key{Collection: "cursors", UID: "anna", Key: key}, Data: sealed}}); err != nil {
		t.Fatal(err)
	}
}

func TestCursorsOfTheReleasesBeforeBecomeOneRecord(t *testing.T) {
	s, driver, e, _ := open(t)
	if r, err := s.Synced(background, "anna"); err != nil || r.Version != 0 || len(r.Value.Types) != 0 {
		t.Fatalf("of who never uploaded: %+v, %v", r, err)
	}
	const many = 2*store.MaxBatch + 5
	for i := range many {
		former(t, driver, e, fmt.Sprintf("HKType%02d", i), fmt.Sprint("anchor-", i))
	}
	names := map[string]string{"odd=20=C3=BC=3D": "odd ü=", "==0123": "==0123", "cut=2": "cut=2"}
	for key := range names {
		former(t, driver, e, key, "anchor of "+key)
	}
	for range 2 {
		r, err := s.Synced(background, "anna")
		if err != nil || r.Version == 0 || len(r.Value.Types) != many+len(names) {
			t.Fatalf("%d cursors in version %d, %v", len(r.Value.Types), r.Version, err)
		}
		for key, name := range names {
			if got := r.Value.Types[name].Anchor; got != "anchor of "+key {
				t.Errorf("%q has the anchor %q", name, got)
			}
		}
		if got := r.Value.Types["HKType07"]; got.Anchor != "anchor-7" || got.Received.IsZero() {
			t.Errorf("%+v", got)
		}
		if r.Version, err = s.Cursors.Put(background, "anna", r.Key, r.Version, r.Value); err != nil {
			t.Errorf("written again: %v", err)
		}
	}
	docs, err := driver.List(background, store.Query{Collection: "cursors", UID: "anna", Limit: 1000})
	if err != nil || len(docs) != 1 {
		t.Errorf("%d documents are left, %v", len(docs), err)
	}
}
