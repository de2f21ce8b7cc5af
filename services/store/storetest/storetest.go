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
		{"uploads are listed by the time they came, the newest first", testNewest},
		{"no version comes back for a key", testNeverAgain},
		{"a batch is applied as a whole or not at all", testBatch},
		{"a check demands a version and changes nothing", testCheck},
		{"what is no batch is refused", testNoBatch},
		{"a document has a largest size", testLargest},
		{"a batch is durable as a whole", testBatchDurable},
		{"a tail misses no greater key", testTail},
		{"a tail sees what it was told of", testTailVisible},
		{"a tail ends with its context", testTailEnds},
		{"the agenda lists what is due of a shard, the oldest first", testDue},
		{"what is due of one collection takes no room of another's", testDueOfCollections},
		{"an agenda's document moves with its time, and goes", testAgendaChanges},
		{"everybody is listed who has an account or a consent", testPeople},
		{"a driver that commits is ready", testReady},
		{"an erasure takes everything of one person but the account", testErase},
		{"a context that has ended stops a call", testContext},
		{"errors are faults of the room and name no person", testFaults},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

const collection = "days"

func at(uid, key string) store.Key { return store.Key{Collection: collection, UID: uid, Key: key} }

// write is a batch of one.
func write(ctx context.Context, d store.Driver, w store.Write) (int64, error) {
	versions, err := d.Batch(ctx, []store.Write{w})
	if err == nil && len(versions) != 1 {
		return 0, fmt.Errorf("%d versions of one write", len(versions))
	}
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

func put(t *testing.T, d store.Driver, k store.Key, ifVersion int64, data string) int64 {
	t.Helper()
	v, err := write(context.Background(), d, store.Write{Key: k, IfVersion: ifVersion, Data: []byte(data)})
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
		v, err := write(context.Background(), d, store.Write{Key: k, Data: data})
		if err != nil || v == 0 {
			t.Fatalf("create %s: version %d, %v", name, v, err)
		}
		doc := get(t, d, k)
		if doc.Key != k || doc.Version != v || !doc.Due.IsZero() || !bytes.Equal(doc.Data, data) {
			t.Errorf("%s came back as %v, version %d, %d bytes", name, doc.Key, doc.Version, len(doc.Data))
		}
		if doc.Updated.Before(before.Add(-time.Minute)) || doc.Updated.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s was updated at %v, now is %v", name, doc.Updated, before)
		}
	}
}

// newest and former are the versions that a step names.
const (
	newest = -10
	former = -11
)

func testVersions(t *testing.T, open Opener) {
	d, k := open(), at("u", "k")
	var now, before int64
	last := ""
	for i, s := range []struct {
		ifVersion int64
		applies   bool
	}{
		{1, false}, {7, false}, // nothing is there
		{0, true}, {0, false}, // created once
		{newest, true}, {former, false}, {newest, true}, // replaced at its version only
		{store.Any, true}, {store.Any, true}, {former, false}, {newest, true},
	} {
		ifVersion := s.ifVersion
		switch ifVersion {
		case newest:
			ifVersion = now
		case former:
			ifVersion = before
		}
		data := fmt.Sprintf("step %d", i)
		v, err := write(context.Background(), d, store.Write{Key: k, IfVersion: ifVersion, Data: []byte(data)})
		switch {
		case !s.applies && !errors.Is(err, store.ErrConflict):
			t.Fatalf("step %d, if version %d: %d, %v; want ErrConflict", i, ifVersion, v, err)
		case s.applies && (err != nil || v <= 0 || v == now):
			t.Fatalf("step %d, if version %d: %d, %v; want another version", i, ifVersion, v, err)
		case s.applies:
			last, before, now = data, now, v
		}
		if last == "" {
			missing(t, d, k)
		} else if got := get(t, d, k); string(got.Data) != last || got.Version != now {
			t.Fatalf("after step %d the document is %q in version %d, want %q in %d", i, got.Data, got.Version, last, now)
		}
	}
	if v := put(t, d, at("u", "any"), store.Any, "x"); v <= 0 {
		t.Errorf("Any on nothing made version %d", v)
	}
}

func testDelete(t *testing.T, open Opener) {
	d, k := open(), at("u", "k")
	ctx := context.Background()
	if _, err := write(ctx, d, store.Write{Key: k, IfVersion: 3}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete of a version that is not there: %v, want ErrConflict", err)
	}
	for _, v := range []int64{store.Any, 0} {
		if left, err := write(ctx, d, store.Write{Key: k, IfVersion: v}); err != nil || left != 0 {
			t.Errorf("delete of nothing if version %d: version %d, %v; want 0, nil", v, left, err)
		}
	}
	one := put(t, d, k, 0, "one")
	two := put(t, d, k, one, "two")
	for _, v := range []int64{0, one} {
		if _, err := write(ctx, d, store.Write{Key: k, IfVersion: v}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("delete if version %d: %v, want ErrConflict", v, err)
		}
	}
	if got := get(t, d, k); string(got.Data) != "two" {
		t.Errorf("a refused delete left %q", got.Data)
	}
	for _, v := range []int64{two, store.Any} {
		if left, err := write(ctx, d, store.Write{Key: k, IfVersion: v}); err != nil || left != 0 {
			t.Fatalf("delete if version %d: version %d, %v", v, left, err)
		}
		missing(t, d, k)
		put(t, d, k, 0, "again")
	}
}

// testNeverAgain goes through every way in which a document can be new.
func testNeverAgain(t *testing.T, open Opener) {
	d, k := open(), at("u", "k")
	ctx := context.Background()
	seen := map[int64]string{}
	for round := range 3 {
		for how, begin := range map[string]func() error{
			"a delete":   func() error { _, err := write(ctx, d, store.Write{Key: k, IfVersion: store.Any}); return err },
			"an erasure": func() error { return d.EraseUser(ctx, "u") },
			"a delete and a restart": func() error {
				_, err := write(ctx, d, store.Write{Key: k, IfVersion: store.Any})
				d = open()
				return err
			},
			"an erasure and a restart": func() error { err := d.EraseUser(ctx, "u"); d = open(); return err },
		} {
			if err := begin(); err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			for i, v := 0, int64(0); i < 4; i++ {
				v = put(t, d, k, v, "created, then changed")
				if before, known := seen[v]; known {
					t.Fatalf("round %d: version %d came back after %s; it was given after %s", round, v, how, before)
				}
				seen[v] = how
			}
		}
	}
	for v := range seen {
		if v != get(t, d, k).Version {
			if _, err := write(ctx, d, store.Write{Key: k, IfVersion: v, Data: []byte("late")}); !errors.Is(err, store.ErrConflict) {
				t.Fatalf("a write with a version from before: %v, want ErrConflict", err)
			}
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
		if _, err := write(ctx, d, store.Write{Key: k, Data: []byte("x")}); !errors.Is(err, store.ErrKey) {
			t.Errorf("write %q: %v, want ErrKey", k, err)
		}
		if _, err := d.Get(ctx, k); !errors.Is(err, store.ErrKey) {
			t.Errorf("get %q: %v, want ErrKey", k, err)
		}
	}
	longest := at(strings.Repeat("u", 256), "AZaz09._:@=-")
	put(t, d, longest, 0, "x")
	get(t, d, longest)
	if _, err := d.Tail(ctx, "nonsense", "u", ""); !errors.Is(err, store.ErrKey) {
		t.Errorf("tail: %v, want ErrKey", err)
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
	first := put(t, d, at("u", "kept"), 0, "one")
	put(t, d, at("u", "kept"), first, "two")
	gone := put(t, d, at("u", "gone"), 0, "x")
	if _, err := write(context.Background(), d, store.Write{Key: at("u", "gone"), IfVersion: gone}); err != nil {
		t.Fatal(err)
	}
	before := get(t, d, at("u", "kept"))
	d = open()
	if diff := cmp.Diff(before, get(t, d, at("u", "kept"))); diff != "" {
		t.Errorf("after opening again (-before +after):\n%s", diff)
	}
	missing(t, d, at("u", "gone"))
	put(t, d, at("u", "kept"), before.Version, "three")
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
				_, err = write(context.Background(), d, store.Write{Key: k, IfVersion: doc.Version, Data: next})
				switch {
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
	if got := get(t, d, k); len(got.Data) != writers*each {
		t.Errorf("%d increments; want %d", len(got.Data), writers*each)
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
				switch _, err := write(context.Background(), d, store.Write{Key: k, Data: []byte(data)}); {
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
	if _, err := write(ctx, d, store.Write{Key: at("u", "k"), Data: []byte("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v, want context.Canceled", err)
	}
	missing(t, d, at("u", "k"))
	if _, err := d.Get(ctx, at("u", "k")); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v, want context.Canceled", err)
	}
}
