package firestore

import (
	"cmp"
	"math"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/clarity-loop/clarity/services/store"
)

// Whatever two times are, before 1970 too, what is kept of them is in their order, and
// gives them back.
func FuzzTimesAreInOrder(f *testing.F) {
	for _, times := range [][2]int64{{0, 1}, {-1, 0}, {-62_135_596_800_000, 1_796_013_212_823}, {math.MinInt64, math.MaxInt64}, {7, 7}} {
		f.Add(times[0], times[1])
	}
	f.Fuzz(func(t *testing.T, a, b int64) {
		if got := cmp.Compare(dueOf("agenda", time.UnixMicro(a)), dueOf("agenda", time.UnixMicro(b))); got != cmp.Compare(a, b) {
			t.Errorf("due at %d and %d: order %d", a, b, got)
		}
		if got := cmp.Compare(arrivalOf("u", time.UnixMilli(a), "k"), arrivalOf("u", time.UnixMilli(b), "k")); got != cmp.Compare(b, a) {
			t.Errorf("came at %d and %d: order %d", a, b, got)
		}
		if due, legal := timeDue(dueOf("agenda", time.UnixMicro(a))); !legal || due.UnixMicro() != a {
			t.Errorf("due at %d came back as %d, %v", a, due.UnixMicro(), legal)
		}
		if came, legal := cameOf(arrivalOf("u", time.UnixMilli(a), "k")); !legal || came.UnixMilli() != a {
			t.Errorf("came at %d came back as %d, %v", a, came.UnixMilli(), legal)
		}
	})
}

// What is in the database is a document, or damage, and nothing else.
func FuzzDocument(f *testing.F) {
	f.Add("days~u~k", []byte("x"), "", "")
	f.Add("uploads~u~k", []byte{}, "uploads~8000000000000000", "u~7fffffffffffffff~k")
	f.Add("uploads~u~k", []byte{}, "uploads~", "u~k")
	f.Fuzz(func(t *testing.T, id string, data []byte, due, arrival string) {
		fields := map[string]*firestorepb.Value{fieldKey: text(id), fieldData: {ValueType: &firestorepb.Value_BytesValue{BytesValue: data}}}
		if due != "" {
			fields[fieldDue] = text(due)
		}
		if arrival != "" {
			fields[fieldArrival] = text(arrival)
		}
		doc, err := documentOf(&firestorepb.Document{Fields: fields, UpdateTime: timestamppb.New(time.Unix(1, 0))})
		if err != nil {
			if err != error(errDamaged) { //nolint:errorlint // no other
				t.Errorf("%v", err)
			}
			return
		}
		if idOf(doc.Key) != id || doc.Data == nil || doc.Version != 1_000_000 {
			t.Errorf("%q was read as %+v", id, doc)
		}
	})
}

// No legal name leads out of the person's place, and no two places meet: the separator
// is in no name.
func TestPlacesLieApart(t *testing.T) {
	names := []string{"u", "u-", "u.", "u_", "u=", "U", "zz", "__u__", ".", ".."}
	for _, uid := range names {
		for _, other := range names {
			for _, key := range names {
				id := idOf(store.Key{Collection: "days", UID: other, Key: key})
				low, high := placeOf("days", uid)+apart, placeOf("days", uid)+behind
				if within := low <= id && id < high; within != (uid == other) {
					t.Errorf("%q within the place of %q: %v", id, uid, within)
				}
			}
		}
	}
}
