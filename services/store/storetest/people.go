package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/store"
)

func testPeople(t *testing.T, open Opener) {
	d := open()
	var want []string
	for i := range 25 {
		uid := fmt.Sprintf("person-%02d", i*7%25)
		for n, collection := range []string{"accounts", "consents", "consents", "days"} {
			if (i+n)%5 == 0 && collection != "days" { // some have one of them
				continue
			}
			put(t, d, store.Key{Collection: collection, UID: uid, Key: fmt.Sprint("k", n)}, 0, "x")
		}
		want = append(want, uid)
	}
	put(t, d, store.Key{Collection: "days", UID: "nobody", Key: "k"}, 0, "x")
	slices.Sort(want)
	for _, size := range []int{1, 7, 1000} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := d.People(t.Context(), after, size)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > size {
				t.Fatalf("%d people where at most %d were asked for", len(page), size)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		slices.Sort(got) // the order is the driver's own
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d a page (-want +got):\n%s", size, diff)
		}
	}
	if _, err := d.People(t.Context(), "", 0); err == nil {
		t.Error("a list of at most 0 people succeeds")
	}
}
