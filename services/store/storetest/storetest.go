// Package storetest is the suite every store.Driver passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/store"
)

// An Opener opens the driver over one place. Called again it closes the former
// driver and opens the same place anew.
type Opener func() store.Driver

// Run tests a driver against the contract. fresh returns the opener of a place
// that is empty; what it opened is closed when the test ends.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open Opener)
	}{
		{"a document comes back as it was written, with version and time", testRoundTrip},
		{"a write applies only to the version it names", testVersions},
		{"a delete applies only to the version it names", testDelete},
		{"illegal names are refused", testIllegal},
		{"a write the driver acknowledged is there after it is opened again", testDurable},
		{"concurrent increments by compare-and-set are all counted", testConcurrent},
		{"concurrent creates have one winner", testCreateRace},
		{"a list is the keys of one collection and uid, in order, within its bounds", testList},
		{"pages in both directions meet every document once", testPages},
		{"a watch misses no change", testWatch},
		{"a watch sees the change it was told of", testWatchVisible},
		{"a watch ends with its context", testWatchEnds},
		{"an erasure takes everything of one person but the account", testErase},
		{"a context that has ended stops a call", testContext},
		{"errors are faults of the room and name no person", testFaults},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

const collection = "days"

func at(uid, key string) store.Key { return store.Key{Collection: collection, UID: uid, Key: key} }

func put(t *testing.T, d store.Driver, k store.Key, ifVersion int64, data string) int64 {
	t.Helper()
	v, err := d.Write(context.Background(), store.Write{Key: k, IfVersion: ifVersion, Data: []byte(data)})
	if err != nil {
		t.Fatalf("write %v if version %d: %v", k, ifVersion, err)
	}
	return v
}

func get(t *testing.T, d store.Driver, k store.Key) store.Document {
	t.Helper()
	doc, err := d.Get(context.Background(), k)
	if err != nil {
		t.Fatalf("get %v: %v", k, err)
	}
	return doc
}

func missing(t *testing.T, d store.Driver, k store.Key) {
	t.Helper()
	if doc, err := d.Get(context.Background(), k); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get %v: %v, %v; want ErrNotFound", k, doc, err)
	}
}

func testRoundTrip(t *testing.T, open Opener) {
	d := open()
	missing(t, d, at("u", "k"))
	for name, data := range map[string][]byte{
		"empty":  {},
		"small":  []byte("x"),
		"zeros":  make([]byte, 100),
		"binary": {0xff, 0, 0xfe, '\'', '"', '\n'},
		"large":  bytes.Repeat([]byte("0123456789abcdef"), 4096),
	} {
		k := at("u", name)
		before := time.Now()
		if v, err := d.Write(context.Background(), store.Write{Key: k, Data: data}); err != nil || v != 1 {
			t.Fatalf("create %s: version %d, %v", name, v, err)
		}
		doc := get(t, d, k)
		if doc.Key != k || doc.Version != 1 || !bytes.Equal(doc.Data, data) {
			t.Errorf("%s came back as %v, version %d, %d bytes", name, doc.Key, doc.Version, len(doc.Data))
		}
		if doc.Updated.Before(before.Add(-time.Minute)) || doc.Updated.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s was updated at %v, now is %v", name, doc.Updated, before)
		}
	}
}

func testVersions(t *testing.T, open Opener) {
	d, k := open(), at("u", "k")
	steps := []struct {
		ifVersion int64
		want      int64 // 0: conflict
	}{
		{1, 0}, {7, 0}, // nothing is there
		{0, 1}, {0, 0}, // created once
		{2, 0}, {1, 2}, {1, 0}, {2, 3}, // replaced at its version only
		{store.Any, 4}, {store.Any, 5}, {4, 0}, {5, 6},
	}
	last := ""
	for i, s := range steps {
		data := fmt.Sprintf("step %d", i)
		v, err := d.Write(context.Background(), store.Write{Key: k, IfVersion: s.ifVersion, Data: []byte(data)})
		switch {
		case s.want == 0 && !errors.Is(err, store.ErrConflict):
			t.Fatalf("step %d, if version %d: %d, %v; want ErrConflict", i, s.ifVersion, v, err)
		case s.want != 0 && (err != nil || v != s.want):
			t.Fatalf("step %d, if version %d: %d, %v; want %d", i, s.ifVersion, v, err, s.want)
		case s.want != 0:
			last = data
		}
		if last == "" {
			missing(t, d, k)
		} else if got := get(t, d, k); string(got.Data) != last {
			t.Fatalf("after step %d the document is %q, want %q", i, got.Data, last)
		}
	}
	if v := put(t, d, at("u", "any"), store.Any, "x"); v != 1 {
		t.Errorf("Any on nothing made version %d, want 1", v)
	}
}

func testDelete(t *testing.T, open Opener) {
	d, k := open(), at("u", "k")
	ctx := context.Background()
	for _, v := range []int64{store.Any, 3} {
		if _, err := d.Write(ctx, store.Write{Key: k, IfVersion: v}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("delete of nothing if version %d: %v, want ErrNotFound", v, err)
		}
	}
	if _, err := d.Write(ctx, store.Write{Key: k, IfVersion: 0}); err != nil {
		t.Errorf("delete of what must not be there, and is not: %v, want nil", err)
	}
	put(t, d, k, 0, "one")
	put(t, d, k, 1, "two")
	if _, err := d.Write(ctx, store.Write{Key: k, IfVersion: 1}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete of an old version: %v, want ErrConflict", err)
	}
	if _, err := d.Write(ctx, store.Write{Key: k, IfVersion: 0}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete of what must not be there: %v, want ErrConflict", err)
	}
	if got := get(t, d, k); string(got.Data) != "two" {
		t.Errorf("a refused delete left %q", got.Data)
	}
	for i, v := range []int64{2, store.Any} {
		if _, err := d.Write(ctx, store.Write{Key: k, IfVersion: v}); err != nil {
			t.Fatalf("delete if version %d: %v", v, err)
		}
		missing(t, d, k)
		if v := put(t, d, k, 0, "again"); v != 1 {
			t.Errorf("created again (%d) with version %d, want 1", i, v)
		}
	}
}

func testIllegal(t *testing.T, open Opener) {
	d := open()
	ctx := context.Background()
	long := strings.Repeat("k", 257)
	for _, k := range []store.Key{
		{}, {Collection: collection}, at("", "k"), at("u", ""), at(long, "k"), at("u", long),
		{Collection: "nonsense", UID: "u", Key: "k"}, {UID: "u", Key: "k"},
		at("u/v", "k"), at("u", "k/l"), at("ü", "k"), at("u", "k k"), at("u", "k\x00"), at("u%", "k"), at("u", "k\n"),
	} {
		if _, err := d.Write(ctx, store.Write{Key: k, Data: []byte("x")}); !errors.Is(err, store.ErrKey) {
			t.Errorf("write %q: %v, want ErrKey", k, err)
		}
		if _, err := d.Get(ctx, k); !errors.Is(err, store.ErrKey) {
			t.Errorf("get %q: %v, want ErrKey", k, err)
		}
	}
	longest := at(strings.Repeat("u", 256), "AZaz09._:@=-")
	put(t, d, longest, 0, "x")
	get(t, d, longest)
	if _, err := d.Watch(ctx, "nonsense", "u"); !errors.Is(err, store.ErrKey) {
		t.Errorf("watch: %v, want ErrKey", err)
	}
	if err := d.EraseUser(ctx, ""); !errors.Is(err, store.ErrKey) {
		t.Errorf("erase: %v, want ErrKey", err)
	}
	for _, q := range []store.Query{
		{Collection: "nonsense", UID: "u", Limit: 1}, {Collection: collection, Limit: 1},
		{Collection: collection, UID: "u", From: "é", Limit: 1}, {Collection: collection, UID: "u", After: long, Limit: 1},
	} {
		if _, err := d.List(ctx, q); !errors.Is(err, store.ErrKey) {
			t.Errorf("list %+v: %v, want ErrKey", q, err)
		}
	}
	for _, limit := range []int{-1, 0, 1001} {
		if _, err := d.List(ctx, store.Query{Collection: collection, UID: "u", Limit: limit}); err == nil {
			t.Errorf("list with limit %d succeeded", limit)
		}
	}
}

func testDurable(t *testing.T, open Opener) {
	d := open()
	put(t, d, at("u", "kept"), 0, "one")
	put(t, d, at("u", "kept"), 1, "two")
	put(t, d, at("u", "gone"), 0, "x")
	if _, err := d.Write(context.Background(), store.Write{Key: at("u", "gone"), IfVersion: 1}); err != nil {
		t.Fatal(err)
	}
	before := get(t, d, at("u", "kept"))
	d = open()
	if diff := cmp.Diff(before, get(t, d, at("u", "kept"))); diff != "" {
		t.Errorf("after opening again (-before +after):\n%s", diff)
	}
	missing(t, d, at("u", "gone"))
	if v := put(t, d, at("u", "kept"), 2, "three"); v != 3 {
		t.Errorf("the next version is %d, want 3", v)
	}
}

func testConcurrent(t *testing.T, open Opener) {
	d, k := open(), at("u", "counter")
	const writers, each = 8, 25
	put(t, d, k, 0, "")
	var wg sync.WaitGroup
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for done := 0; done < each; {
				doc, err := d.Get(context.Background(), k)
				if err != nil {
					t.Error(err)
					return
				}
				next := append(bytes.Clone(doc.Data), 'x')
				v, err := d.Write(context.Background(), store.Write{Key: k, IfVersion: doc.Version, Data: next})
				switch {
				case err == nil && v != doc.Version+1:
					t.Errorf("version %d became %d", doc.Version, v)
					return
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	if got := get(t, d, k); len(got.Data) != writers*each || got.Version != writers*each+1 {
		t.Errorf("%d increments, version %d; want %d and %d", len(got.Data), got.Version, writers*each, writers*each+1)
	}
}

func testCreateRace(t *testing.T, open Opener) {
	d := open()
	const rounds, racers = 20, 8
	for round := range rounds {
		k := at("u", fmt.Sprintf("race-%d", round))
		won := make(chan string, racers)
		var wg sync.WaitGroup
		for racer := range racers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				data := fmt.Sprintf("racer %d", racer)
				switch _, err := d.Write(context.Background(), store.Write{Key: k, Data: []byte(data)}); {
				case err == nil:
					won <- data
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		close(won)
		if winner := <-won; len(won) != 0 || string(get(t, d, k).Data) != winner {
			t.Fatalf("round %d: %d more winners than %q; the document is %q", round, len(won), winner, get(t, d, k).Data)
		}
	}
}

func testContext(t *testing.T, open Opener) {
	d := open()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Write(ctx, store.Write{Key: at("u", "k"), Data: []byte("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v, want context.Canceled", err)
	}
	missing(t, d, at("u", "k"))
	if _, err := d.Get(ctx, at("u", "k")); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v, want context.Canceled", err)
	}
}
