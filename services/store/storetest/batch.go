package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/store"
)

func testBatch(t *testing.T, open Opener) {
	d := open()
	ctx := context.Background()
	other := store.Key{Collection: "results", UID: "u", Key: "k"}
	replaced, deleted := put(t, d, at("u", "replaced"), 0, "one"), put(t, d, at("u", "deleted"), 0, "one")
	batch := []store.Write{
		{Key: at("u", "created"), Data: []byte("two")},
		{Key: at("u", "replaced"), IfVersion: replaced, Data: []byte("two")},
		{Key: at("u", "deleted"), IfVersion: deleted},
		{Key: other, IfVersion: store.Any, Data: []byte("two")},
	}
	for i := range batch { // each of them, demanding another version, undoes the others
		wrong := append([]store.Write(nil), batch...)
		wrong[i].IfVersion = 999_999
		if _, err := d.Batch(ctx, wrong); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("a batch whose write %d does not apply: %v, want ErrConflict", i, err)
		}
		missing(t, d, at("u", "created"))
		missing(t, d, other)
		for _, kept := range []string{"replaced", "deleted"} {
			if got := get(t, d, at("u", kept)); string(got.Data) != "one" {
				t.Fatalf("a batch that did not apply left %q in %s", got.Data, kept)
			}
		}
	}
	versions, err := d.Batch(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	missing(t, d, at("u", "deleted"))
	var want []int64
	for _, w := range batch {
		if w.Data == nil {
			want = append(want, 0)
			continue
		}
		got := get(t, d, w.Key)
		if string(got.Data) != "two" {
			t.Errorf("%v is %q", w.Key, got.Data)
		}
		want = append(want, got.Version)
	}
	if diff := cmp.Diff(want, versions); diff != "" {
		t.Errorf("versions (-of the documents +returned):\n%s", diff)
	}
}

func testCheck(t *testing.T, open Opener) {
	d, gate := open(), at("u", "gate")
	ctx := context.Background()
	check := func(version int64, key string) error {
		versions, err := d.Batch(ctx, []store.Write{{Key: gate, IfVersion: version, Check: true}, {Key: at("u", key), Data: []byte("x")}})
		if err == nil && versions[0] != version {
			t.Errorf("a check of version %d returned %d", version, versions[0])
		}
		return err
	}
	if err := check(1, "a"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a check of nothing: %v, want ErrConflict", err)
	}
	first := put(t, d, gate, 0, "open")
	before := get(t, d, gate)
	if err := check(first, "b"); err != nil {
		t.Errorf("a check of what is there: %v", err)
	}
	if diff := cmp.Diff(before, get(t, d, gate)); diff != "" {
		t.Errorf("a check changed the document (-before +after):\n%s", diff)
	}
	second := put(t, d, gate, first, "shut")
	if err := check(first, "c"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a check of an old version: %v, want ErrConflict", err)
	}
	if _, err := write(ctx, d, store.Write{Key: gate, IfVersion: second}); err != nil {
		t.Fatal(err)
	}
	if err := check(second, "d"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a check of what was deleted: %v, want ErrConflict", err)
	}
	for _, key := range []string{"a", "c", "d"} {
		missing(t, d, at("u", key))
	}
	testGate(t, d)
}

// testGate has writers go through a gate that is shut meanwhile: what they wrote
// is all there when the gate's writer looks, and nothing comes behind it.
func testGate(t *testing.T, d store.Driver) {
	ctx, gate := context.Background(), at("u2", "gate")
	open := put(t, d, gate, 0, "open")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := d.Batch(ctx, []store.Write{{Key: at("u2", fmt.Sprintf("w%d-%d", w, i)), Data: []byte("x")}, {Key: gate, IfVersion: open, Check: true}})
				if errors.Is(err, store.ErrConflict) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for len(list(t, d, store.Query{Collection: collection, UID: "u2", Limit: 1000})) < 20 {
	}
	put(t, d, gate, open, "shut")
	through := len(list(t, d, store.Query{Collection: collection, UID: "u2", Limit: 1000}))
	wg.Wait()
	if after := len(list(t, d, store.Query{Collection: collection, UID: "u2", Limit: 1000})); after != through {
		t.Errorf("%d documents when the gate was shut, %d later", through, after)
	}
}

func testNoBatch(t *testing.T, open Opener) {
	d := open()
	ctx := context.Background()
	x := []byte("x")
	tooMany := make([]store.Write, store.MaxBatch+1)
	for i := range tooMany {
		tooMany[i] = store.Write{Key: at("u", fmt.Sprint(i)), Data: x}
	}
	for name, writes := range map[string][]store.Write{
		"nothing":                         {},
		"too much":                        tooMany,
		"two people":                      {{Key: at("u", "a"), Data: x}, {Key: at("v", "a"), Data: x}},
		"one document twice":              {{Key: at("u", "a"), Data: x}, {Key: at("u", "a"), IfVersion: store.Any}},
		"a check of any version":          {{Key: at("u", "a"), IfVersion: store.Any, Check: true}},
		"a check of nothing":              {{Key: at("u", "a"), Check: true}},
		"a check that writes":             {{Key: at("u", "a"), IfVersion: 1, Data: x, Check: true}},
		"a version below all":             {{Key: at("u", "a"), IfVersion: -2, Data: x}},
		"a time of another collection":    {{Key: at("u", "a"), Data: x, Due: epoch}},
		"an agenda's without a time":      {{Key: store.Key{Collection: agenda, UID: "u", Key: "a"}, Data: x}},
		"an agenda's that goes at a time": {{Key: store.Key{Collection: agenda, UID: "u", Key: "a"}, IfVersion: store.Any, Due: epoch}},
	} {
		if _, err := d.Batch(ctx, writes); !errors.Is(err, store.ErrKey) && !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want that it is no batch", name, err)
		}
	}
	if docs := list(t, d, store.Query{Collection: collection, UID: "u", Limit: 1000}); len(docs) != 0 {
		t.Errorf("%d documents are there", len(docs))
	}
	if _, err := d.Batch(ctx, tooMany[:store.MaxBatch]); err != nil {
		t.Errorf("the largest batch: %v", err)
	}
}

func testLargest(t *testing.T, open Opener) {
	d, k := open(), at("u", "k")
	largest := bytes.Repeat([]byte("0123456789abcdef"), store.MaxDocument/16)
	_, err := d.Batch(context.Background(), []store.Write{{Key: at("u", "beside"), Data: []byte("x")}, {Key: k, Data: append(largest, 'x')}})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a byte too many: %v, want ErrTooLarge", err)
	}
	missing(t, d, at("u", "beside"))
	var all []store.Write
	for i := range 11 {
		all = append(all, store.Write{Key: at("u", fmt.Sprint(i)), Data: largest})
	}
	if _, err := d.Batch(context.Background(), all); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("too much together: %v, want ErrTooLarge", err)
	}
	missing(t, d, at("u", "0"))
	if _, err := d.Batch(context.Background(), all[:10]); err != nil {
		t.Errorf("as much as there may be: %v", err)
	}
	put(t, d, k, 0, string(largest))
	if got := get(t, d, k); !bytes.Equal(got.Data, largest) {
		t.Errorf("%d bytes came back of %d", len(got.Data), len(largest))
	}
}

func testBatchDurable(t *testing.T, open Opener) {
	d := open()
	const rounds, of = 30, 5
	var wg sync.WaitGroup
	for round := range rounds {
		wg.Go(func() {
			var writes []store.Write
			for i := range of {
				writes = append(writes, store.Write{Key: at("u", fmt.Sprintf("%02d-%d", round, i)), Data: []byte("x")})
			}
			if _, err := d.Batch(context.Background(), writes); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	d = open()
	if docs := list(t, d, store.Query{Collection: collection, UID: "u", Limit: 1000}); len(docs) != rounds*of {
		t.Errorf("%d documents after it was opened again, want %d", len(docs), rounds*of)
	}
}

func testReady(t *testing.T, open Opener) {
	d := open()
	if err := d.Ready(context.Background()); err != nil {
		t.Errorf("a new driver: %v", err)
	}
	put(t, d, at("u", "k"), 0, "x")
	_, _ = write(context.Background(), d, store.Write{Key: at("u", "k"), Data: []byte("a conflict")})
	if err := d.Ready(context.Background()); err != nil {
		t.Errorf("after a conflict: %v", err)
	}
}
