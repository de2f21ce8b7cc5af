package uploads_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
)

// The newest uploads come first, whatever their ids are; what comes while
// somebody turns pages moves nothing on the pages behind.
func TestUploadsAreListedNewestFirst(t *testing.T) {
	w := ingresstest.New(t)
	put := func(id string, seconds int64, state record.UploadState) {
		t.Helper()
		if _, err := w.Store.Uploads.Put(t.Context(), "anna", id, 0, record.Upload{State: state, ReceivedAt: time.Unix(seconds, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 25 {
		state := record.UploadMerged
		if n%5 == 0 {
			state = record.UploadFailed
		}
		put(fmt.Sprintf("%02x-upload", (n*7919)%256), int64(1000+n/2), state) // two at a time
	}
	walk := func(query string, between func()) (ids []string) {
		t.Helper()
		for cursor := ""; ; {
			var p struct {
				Items []struct{ UploadID, ReceivedAt string }
				Next  string
			}
			w.Do("GET", "/v1/uploads?limit=4"+query+cursor, ingresstest.Anna, nil).JSON(t, &p)
			for i, u := range p.Items {
				if i > 0 && u.ReceivedAt > p.Items[i-1].ReceivedAt {
					t.Errorf("%s comes behind %s", u.ReceivedAt, p.Items[i-1].ReceivedAt)
				}
				ids = append(ids, u.UploadID)
			}
			if p.Next == "" {
				return ids
			}
			cursor = "&cursor=" + p.Next
			between()
		}
	}
	calm, made := walk("", func() {}), 0
	seen := map[string]bool{}
	for _, id := range calm {
		seen[id] = true
	}
	if len(calm) != 25 || len(seen) != 25 {
		t.Errorf("%d of 25, %d different ones", len(calm), len(seen))
	}
	busy := walk("", func() { made++; put(fmt.Sprintf("new-%04d", made), int64(2000+made), record.UploadReceived) })
	if diff := cmp.Diff(calm, busy); diff != "" {
		t.Errorf("while others come (-calm +busy):\n%s", diff)
	}
	if failed := walk("&state=failed", func() {}); len(failed) != 5 {
		t.Errorf("%d failed ones", len(failed))
	}
	for _, bad := range []string{"cursor=made-up", "cursor=1.x", "cursor=-1.upload-0001", "cursor=upload-0001", "state=lost"} {
		if r := w.Do("GET", "/v1/uploads?"+bad, ingresstest.Anna, nil); r.Status != 422 {
			t.Errorf("%s: %d %s", bad, r.Status, r.Body)
		}
	}
}

// A page costs what it shows, however many uploads there are; one of a state that few are
// in ends before it has looked at all of them, and the next goes on from there.
func TestAPageOfUploadsReadsWhatItShows(t *testing.T) {
	w := ingresstest.New(t)
	const all, failed = 1250, 1200 // the one that failed is behind so many
	for n := range all {
		state := record.UploadMerged
		if n == all-1-failed {
			state = record.UploadFailed
		}
		if _, err := w.Store.Uploads.Put(t.Context(), "anna", fmt.Sprintf("upload-%04d", (n*7919)%all), 0, record.Upload{State: state, ReceivedAt: time.Unix(int64(1000+n), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	type page struct {
		Items []struct{ UploadID string }
		Next  string
	}
	get := func(query string) (p page, read int) {
		t.Helper()
		before := w.Listed("uploads")
		w.Do("GET", "/v1/uploads?"+query, ingresstest.Anna, nil).JSON(t, &p)
		return p, w.Listed("uploads") - before
	}
	first, read := get("limit=10")
	if len(first.Items) != 10 || first.Next == "" || read != 11 {
		t.Errorf("the first page: %d items, next %q, %d read", len(first.Items), first.Next, read)
	}
	if second, read := get("limit=200&cursor=" + first.Next); len(second.Items) != 200 || read != 201 {
		t.Errorf("a large page: %d items, %d read", len(second.Items), read)
	}
	none, read := get("state=failed")
	if len(none.Items) != 0 || none.Next == "" || read != 1000 {
		t.Errorf("the first page of a state: %d items, next %q, %d read", len(none.Items), none.Next, read)
	}
	if found, read := get("state=failed&cursor=" + none.Next); len(found.Items) != 1 || found.Next != "" || read != all-1000 {
		t.Errorf("the page behind it: %d items, next %q, %d read", len(found.Items), found.Next, read)
	}
	if r := w.Do("GET", "/v1/uploads?limit=3&cursor=1500000.upload-0000", ingresstest.Anna, nil); r.Status != 200 { // as the releases before gave
		t.Errorf("a cursor of an upload that is elsewhere: %d %s", r.Status, r.Body)
	}
}
