package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/store"
)

func keys(docs []store.Document) []string {
	var ks []string
	for _, d := range docs {
		ks = append(ks, d.Key.Key)
	}
	return ks
}

func list(t *testing.T, d store.Driver, q store.Query) []store.Document {
	t.Helper()
	docs, err := d.List(context.Background(), q)
	if err != nil {
		t.Fatalf("list %+v: %v", q, err)
	}
	return docs
}

func testList(t *testing.T, open Opener) {
	d := open()
	// Byte order is not the order of any language.
	ordered := []string{"-", ".", "0", "9", ":", "=", "@", "A", "Z", "_", "a", "a.", "a0", "aa", "z", "zz"}
	for _, i := range []int{3, 14, 0, 7, 9, 1, 15, 5, 12, 2, 8, 4, 13, 6, 11, 10} {
		put(t, d, at("u", ordered[i]), 0, "data of "+ordered[i])
	}
	put(t, d, at("t", "b"), 0, "other uid")
	put(t, d, at("u-", "b"), 0, "other uid")
	put(t, d, store.Key{Collection: "results", UID: "u", Key: "b"}, 0, "other collection")

	for _, c := range []struct {
		name            string
		from, to, after string
		descending      bool
		limit           int
		want            []string
	}{
		{name: "everything", limit: 1000, want: ordered},
		{name: "the first", limit: 3, want: ordered[:3]},
		{name: "From is inclusive", from: "a", limit: 1000, want: ordered[10:]},
		{name: "From need not be there", from: "b", limit: 1000, want: []string{"z", "zz"}},
		{name: "To is exclusive", to: "A", limit: 1000, want: ordered[:7]},
		{name: "a range", from: "0", to: "a", limit: 1000, want: ordered[2:10]},
		{name: "an empty range", from: "b", to: "c", limit: 1000},
		{name: "an inverted range", from: "z", to: "a", limit: 1000},
		{name: "After is exclusive", after: "a", limit: 2, want: []string{"a.", "a0"}},
		{name: "After need not be there", after: "b", limit: 1000, want: []string{"z", "zz"}},
		{name: "After before From", from: "a", after: "0", limit: 1, want: []string{"a"}},
		{name: "After behind From", from: "0", after: "a", to: "aa", limit: 1000, want: []string{"a.", "a0"}},
		{name: "After the last", after: "zz", limit: 1000},
		{name: "descending", descending: true, limit: 3, want: []string{"zz", "z", "aa"}},
		{name: "descending from a cursor", descending: true, after: "aa", limit: 2, want: []string{"a0", "a."}},
		{name: "descending in a range", descending: true, from: "9", to: "A", limit: 1000, want: []string{"@", "=", ":", "9"}},
		{name: "descending, range and cursor", descending: true, from: "9", to: "A", after: ":", limit: 1000, want: []string{"9"}},
		{name: "descending, cursor above To", descending: true, to: "1", after: "z", limit: 1000, want: []string{"0", ".", "-"}},
		{name: "descending after the first", descending: true, after: "-", limit: 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs := list(t, d, store.Query{Collection: collection, UID: "u", From: c.from, To: c.to, After: c.after,
				Descending: c.descending, Limit: c.limit})
			if diff := cmp.Diff(c.want, keys(docs)); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			for _, doc := range docs {
				if diff := cmp.Diff(get(t, d, doc.Key), doc); diff != "" {
					t.Errorf("the document listed is not the one got (-get +list):\n%s", diff)
				}
			}
		})
	}
}

func testPages(t *testing.T, open Opener) {
	d := open()
	var want []string
	for i := range 57 {
		k := fmt.Sprintf("%03d", (i*31)%57)
		put(t, d, at("u", k), 0, k)
		want = append(want, k)
	}
	slices.Sort(want)
	for _, descending := range []bool{false, true} {
		for _, size := range []int{1, 7, 57, 100} {
			var got []string
			q := store.Query{Collection: collection, UID: "u", Descending: descending, Limit: size}
			for {
				page := list(t, d, q)
				if len(page) == 0 {
					break
				}
				got = append(got, keys(page)...)
				q.After = page[len(page)-1].Key.Key
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("descending %v, %d a page (-want +got):\n%s", descending, size, diff)
			}
		}
		slices.Reverse(want)
	}
}

// testNewest walks uploads that came two in each millisecond, in pages, while others
// come, change and go.
func testNewest(t *testing.T, open Opener) {
	d := open()
	ctx := context.Background()
	upload := func(n int) store.Key {
		return store.Key{Collection: "uploads", UID: "u", Key: fmt.Sprintf("%02d-upload", (n*31)%57)}
	}
	bring := func(n int, ifVersion int64) int64 {
		t.Helper()
		v, err := write(ctx, d, store.Write{Key: upload(n), IfVersion: ifVersion, Data: []byte("x"), Came: epoch.Add(time.Duration(n/2) * time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for n := range 40 {
		if version := bring(n, 0); n%3 == 0 {
			bring(n, version) // what changes later stays where it is
		}
	}
	put(t, d, store.Key{Collection: "uploads", UID: "u2", Key: "of-another"}, 0, "x")
	put(t, d, at("u", "of-another-collection"), 0, "x")
	walk := func(size int, between func()) (all []store.Document) {
		t.Helper()
		for q := (store.Query{Collection: "uploads", UID: "u", Newest: true, Limit: size}); ; between() {
			page := list(t, d, q)
			if all = append(all, page...); len(page) < size {
				return all
			}
			last := page[len(page)-1]
			q.Came, q.After = last.Came, last.Key.Key
		}
	}
	first := walk(100, func() {})
	for i, doc := range first {
		if diff := cmp.Diff(get(t, d, doc.Key), doc); diff != "" {
			t.Errorf("the upload listed is not the one got (-get +list):\n%s", diff)
		}
		if want := epoch.Truncate(time.Millisecond).Add(time.Duration((39-i)/2) * time.Millisecond); !doc.Came.Equal(want) {
			t.Errorf("upload %d came at %v, want %v", i, doc.Came, want)
		}
	}
	if len(first) != 40 {
		t.Fatalf("%d of 40 uploads", len(first))
	}
	come := 40
	paged := walk(3, func() { bring(come, 0); come++ })
	if diff := cmp.Diff(keys(first), keys(paged)); diff != "" {
		t.Errorf("in pages, while others come (-one page +pages):\n%s", diff)
	}
	cursor := first[10] // the cursor need not be there any more
	if _, err := d.Batch(ctx, []store.Write{{Key: cursor.Key, IfVersion: cursor.Version}}); err != nil {
		t.Fatal(err)
	}
	d = open()
	behind := list(t, d, store.Query{Collection: "uploads", UID: "u", Newest: true, Came: cursor.Came, After: cursor.Key.Key, Limit: 100})
	if diff := cmp.Diff(keys(first[11:]), keys(behind)); diff != "" {
		t.Errorf("behind one that went (-want +got):\n%s", diff)
	}
	for what, q := range map[string]store.Query{
		"another collection": {Collection: collection, Newest: true}, "a range": {Collection: "uploads", From: "a", Newest: true},
		"the oldest first": {Collection: "uploads", Descending: true, Newest: true}, "a time alone": {Collection: "uploads", Came: epoch},
	} {
		q.UID, q.Limit = "u", 10
		if _, err := d.List(ctx, q); err == nil {
			t.Errorf("%s is listed by the time it came", what)
		}
	}
	if _, err := write(ctx, d, store.Write{Key: at("u", "a"), Data: []byte("x"), Came: epoch}); !errors.Is(err, store.ErrKey) {
		t.Errorf("a day that came: %v", err)
	}
}

// personal are the collections that an erasure empties and that say nothing of a time.
func personal() []string {
	return slices.DeleteFunc(store.Personal(), func(c string) bool { return c == agenda })
}

func testErase(t *testing.T, open Opener) {
	d := open()
	ctx := context.Background()
	account := func(uid string) store.Key { return store.Key{Collection: "accounts", UID: uid, Key: "account"} }
	for _, uid := range []string{"u", "u2", "U", "t"} {
		for _, c := range personal() {
			put(t, d, store.Key{Collection: c, UID: uid, Key: "a"}, 0, "secret of "+uid)
			put(t, d, store.Key{Collection: c, UID: uid, Key: "b"}, 0, "secret of "+uid)
		}
		put(t, d, account(uid), 0, "account of "+uid)
		plan(t, d, uid, "entry", 0, epoch)
	}
	for range 2 { // an erasure can be repeated
		if err := d.EraseUser(ctx, "u"); err != nil {
			t.Fatal(err)
		}
	}
	check := func(d store.Driver) {
		t.Helper()
		for _, uid := range []string{"u", "u2", "U", "t"} {
			get(t, d, account(uid))
			for _, c := range personal() {
				k := store.Key{Collection: c, UID: uid, Key: "a"}
				if _, err := d.Get(ctx, k); errors.Is(err, store.ErrNotFound) != (uid == "u") {
					t.Errorf("get %v: %v", k, err)
				}
				if n := len(list(t, d, store.Query{Collection: c, UID: uid, Limit: 10})); (n == 0) != (uid == "u") {
					t.Errorf("%d documents of %s in %s", n, uid, c)
				}
			}
		}
	}
	check(d)
	check(open())
	d = open()
	for _, uid := range []string{"u", "u2", "U", "t"} {
		if n := len(dueOf(t, d, uid, epoch)); (n == 0) != (uid == "u") {
			t.Errorf("%d of %s are due after the erasure", n, uid)
		}
	}
	put(t, d, at("u", "a"), 0, "new")
}
