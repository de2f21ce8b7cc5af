package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/firestore"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

var epoch = time.Date(2026, 11, 20, 7, 0, 0, 123_456_000, time.UTC)

// What each call costs, in calls of the service.
func TestCalls(t *testing.T) {
	c := database(t)
	var r record
	d := open(t, c, r.options()...)
	ctx := t.Context()
	daysAt := slices.Index(store.Personal(), "days")
	day := func(key string) store.Key { return store.Key{Collection: "days", UID: "u", Key: key} }
	var v int64
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"create", func() (err error) { v, err = write(d, store.Write{Key: day("a"), Data: []byte("x")}); return }, "Commit"},
		{"compare and set", func() (err error) {
			v, err = write(d, store.Write{Key: day("a"), IfVersion: v, Data: []byte("y")})
			return
		}, "Commit"},
		{"whatever is there", func() (err error) {
			v, err = write(d, store.Write{Key: day("a"), IfVersion: store.Any, Data: []byte("y")})
			return
		}, "Commit"},
		{"create, check, replace and delete in one batch", func() error {
			put(t, d, day("b"), 0)
			gone := put(t, d, day("c"), 0)
			r.take()
			_, err := d.Batch(ctx, []store.Write{{Key: day("a"), IfVersion: v, Check: true}, {Key: day("d"), Data: []byte("x")},
				{Key: day("b"), IfVersion: store.Any, Data: []byte("y")}, {Key: day("c"), IfVersion: gone}})
			return err
		}, "Commit"},
		{"a create that another was first with", func() error {
			_, err := write(d, store.Write{Key: day("a"), Data: []byte("x")})
			return conflict(err)
		}, "Commit"},
		{"a version that is no more", func() error {
			_, err := write(d, store.Write{Key: day("a"), IfVersion: v - 1, Data: []byte("x")})
			return conflict(err)
		}, "Commit BatchGetDocuments"},
		{"a version that no document can have", func() error {
			_, err := write(d, store.Write{Key: day("a"), IfVersion: 1 << 62, Data: []byte("x")})
			return conflict(err)
		}, ""},
		{"get", func() error { _, err := d.Get(ctx, day("a")); return err }, "BatchGetDocuments"},
		{"get nothing", func() error {
			if _, err := d.Get(ctx, day("none")); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("%w", err)
			}
			return nil
		}, "BatchGetDocuments"},
		{"list", func() error {
			_, err := d.List(ctx, store.Query{Collection: "days", UID: "u", Limit: 9})
			return err
		}, "RunQuery"},
		{"list nothing, which the query itself says", func() error {
			_, err := d.List(ctx, store.Query{Collection: "days", UID: "u", From: "b", To: "a", Limit: 9})
			return err
		}, ""},
		{"what is due of two collections", func() error { _, err := d.Due(ctx, []string{"agenda", "uploads"}, 3, epoch, 10); return err }, "RunQuery" + strings.Repeat(" RunQuery", 1)},
		{"ready", func() error { return d.Ready(ctx) }, ""},
		{"erase", func() error { return d.EraseUser(ctx, "u") }, "RunQuery" + strings.Repeat(" RunQuery", daysAt) + " Commit" + strings.Repeat(" RunQuery", len(store.Personal())-1-daysAt)},
	} {
		r.take()
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, strings.Join(r.take(), " ")); diff != "" {
			t.Errorf("%s (-want +called):\n%s", step.name, diff)
		}
	}
}

func conflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return fmt.Errorf("%w, want a conflict", err)
}

func write(d *firestore.Store, w store.Write) (int64, error) {
	versions, err := d.Batch(context.Background(), []store.Write{w})
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

// The shapes of the queries. Each is answered by an index that Firestore makes of its
// own for each field: a range of one field, in the order of that field. What is not
// one of these may need an index that nobody has made, which no emulator tells.
var shapes = []string{
	"documents: a>, a<; a up; limit",     // uploads, the newest first, behind a cursor
	"documents: a>=, a<; a up; limit",    // uploads, the newest first
	"documents: k>, k<; k down; limit",   // a tail
	"documents: k>, k<; k up; limit",     // a list behind a cursor
	"documents: k>=, k<; k down; limit",  // a list, backwards
	"documents: k>=, k<; k up; limit",    // a list
	"documents: k>=, k<; k up; limit; k", // ids: an erasure, people
	"documents: w>=, w<; w up; limit",    // what is due of a collection
}

// shape is what of a query decides which index answers it.
func shape(q *firestorepb.StructuredQuery) string {
	operators := map[firestorepb.StructuredQuery_FieldFilter_Operator]string{
		firestorepb.StructuredQuery_FieldFilter_GREATER_THAN: ">", firestorepb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL: ">=",
		firestorepb.StructuredQuery_FieldFilter_LESS_THAN: "<", firestorepb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL: "<="}
	var b strings.Builder
	for _, from := range q.GetFrom() {
		b.WriteString(from.GetCollectionId())
		if from.GetAllDescendants() {
			b.WriteString(" anywhere")
		}
	}
	filters := q.GetWhere().GetCompositeFilter().GetFilters()
	if filters == nil {
		filters = []*firestorepb.StructuredQuery_Filter{q.GetWhere()}
	}
	for i, f := range filters {
		op, known := operators[f.GetFieldFilter().GetOp()]
		if !known {
			op = " " + f.String()
		}
		fmt.Fprintf(&b, "%s %s%s", []string{":", ","}[min(i, 1)], f.GetFieldFilter().GetField().GetFieldPath(), op)
	}
	for _, o := range q.GetOrderBy() {
		fmt.Fprintf(&b, "; %s %s", o.GetField().GetFieldPath(), map[bool]string{true: "down", false: "up"}[o.GetDirection() == firestorepb.StructuredQuery_DESCENDING])
	}
	if q.GetLimit().GetValue() > 0 {
		b.WriteString("; limit")
	}
	if q.GetOffset() > 0 || q.GetStartAt() != nil || q.GetEndAt() != nil || q.GetFindNearest() != nil {
		b.WriteString("; " + q.String())
	}
	for _, f := range q.GetSelect().GetFields() {
		b.WriteString("; " + f.GetFieldPath())
	}
	return b.String()
}

// The suite asks for nothing else.
func TestQueriesHaveTheShapesWritten(t *testing.T) {
	c := database(t)
	var r record
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		return opener(t, c, func(d store.Driver) store.Driver { return d }, r.options()...)
	})
	var seen []string
	for _, request := range r.sent {
		switch q := request.(type) {
		case *firestorepb.RunQueryRequest:
			seen = append(seen, shape(q.GetStructuredQuery()))
		case *firestorepb.ListenRequest:
			if target := q.GetAddTarget(); target != nil {
				seen = append(seen, shape(target.GetQuery().GetStructuredQuery()))
			}
		case *firestorepb.CommitRequest, *firestorepb.BatchGetDocumentsRequest, metadata.MD:
		default:
			t.Errorf("a %T, which is not one of the calls written", request)
		}
	}
	slices.Sort(seen)
	if diff := cmp.Diff(shapes, slices.Compact(seen)); diff != "" {
		t.Errorf("shapes (-written +seen):\n%s", diff)
	}
}

// Creates and deletes of one document race: whatever the order, and however many fall
// into one microsecond, no version is given twice.
func TestNoVersionComesBackInARace(t *testing.T) {
	d := open(t, database(t))
	k := store.Key{Collection: "days", UID: "u", Key: "k"}
	const racers, each = 8, 200
	var mu sync.Mutex
	given := map[int64]int{}
	var wg sync.WaitGroup
	for racer := range racers {
		wg.Go(func() {
			for range each {
				var v int64
				var err error
				if racer%2 == 0 {
					_, err = write(d, store.Write{Key: k, IfVersion: store.Any})
				} else {
					v, err = write(d, store.Write{Key: k, Data: []byte("x")})
				}
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
				mu.Lock()
				given[v]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	delete(given, 0)
	if len(given) < each/4 {
		t.Errorf("only %d creates went through: this shows little", len(given))
	}
	for v, n := range given {
		if n > 1 {
			t.Errorf("version %d was given %d times", v, n)
		}
	}
	t.Logf("%d versions", len(given))
}

// A driver to which everything happens that may: what it says of a change is true.
func TestAHostileOneKeepsEveryWord(t *testing.T) {
	calm := open(t, database(t))
	h := storetest.Hostile(calm, storetest.Options{Seed: 1, Worst: 0.3, Now: time.Now})
	ctx := t.Context()
	for i := range 600 {
		k := store.Key{Collection: "days", UID: "u", Key: fmt.Sprint(i % 7)}
		before, err := h.Get(ctx, k)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			continue
		}
		data := fmt.Sprint("change ", i)
		_, err = h.Batch(ctx, []store.Write{{Key: k, IfVersion: before.Version, Data: []byte(data)}})
		now, read := calm.Get(ctx, k)
		applied := read == nil && string(now.Data) == data
		switch {
		case err == nil && !applied:
			t.Fatalf("change %d is acknowledged and is not there", i)
		case errors.Is(err, store.ErrConflict) && (applied || now.Version == before.Version):
			t.Fatalf("change %d: a conflict that is none, applied %v", i, applied)
		case err != nil && !errors.Is(err, store.ErrUnknown) && applied:
			t.Fatalf("change %d: %v, and it is there", i, err)
		}
	}
}
