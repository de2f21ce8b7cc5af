package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

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
