package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/store"
)

const agenda = "agenda"

var epoch = time.Date(2026, 11, 20, 7, 0, 0, 123_456_000, time.UTC)

func entry(uid, key string) store.Key { return store.Key{Collection: agenda, UID: uid, Key: key} }

// timed are the collections whose documents may be due.
func timed() []string { return []string{agenda, "uploads", "accounts"} }

// plan writes an entry of the agenda that is due then.
func plan(t *testing.T, d store.Driver, uid, key string, ifVersion int64, due time.Time) int64 {
	t.Helper()
	v, err := write(context.Background(), d, store.Write{Key: entry(uid, key), IfVersion: ifVersion, Data: []byte("data of " + key), Due: due})
	if err != nil {
		t.Fatalf("plan %s of %s if version %d: %v", key, uid, ifVersion, err)
	}
	return v
}

func due(t *testing.T, d store.Driver, shard int, before time.Time, limit int) []store.Document {
	t.Helper()
	docs, err := d.Due(context.Background(), timed(), shard, before, limit)
	if err != nil {
		t.Fatalf("what is due of shard %d: %v", shard, err)
	}
	return docs
}

// dueOf are the keys of one person's entries, as far as they are due.
func dueOf(t *testing.T, d store.Driver, uid string, before time.Time) (keys []string) {
	t.Helper()
	for _, doc := range due(t, d, shardOf(t, d, uid), before, store.MaxLimit) {
		if doc.Key.UID == uid {
			keys = append(keys, doc.Key.Key)
		}
	}
	return keys
}

// soon asks until the answer is the one wanted, as long as a driver may be stale.
func soon(t *testing.T, what string, want, got func() any) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		w, g := want(), got()
		diff := cmp.Diff(w, g)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// shardOf is the shard that lists the person's entries: a driver that keeps people
// under other names says which it is.
func shardOf(t *testing.T, d store.Driver, uid string) int {
	t.Helper()
	says, is := d.(interface {
		Shard(ctx context.Context, uid string) (int, error)
	})
	if !is {
		return store.ShardOf(uid)
	}
	shard, err := says.Shard(context.Background(), uid)
	if err != nil {
		t.Fatal(err)
	}
	return shard
}

// inShard are n people of one shard.
func inShard(t *testing.T, d store.Driver, shard, n int) (uids []string) {
	t.Helper()
	for i := 0; len(uids) < n; i++ {
		if uid := fmt.Sprint("person-", i); shardOf(t, d, uid) == shard {
			uids = append(uids, uid)
		}
	}
	return uids
}

func testDue(t *testing.T, open Opener) {
	d := open()
	const shard = 7
	people := inShard(t, d, shard, 3)
	at := func(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
	plan(t, d, people[1], "b", 0, at(2))
	plan(t, d, people[0], "a", 0, at(1))
	plan(t, d, people[2], "d", 0, at(4))
	plan(t, d, people[0], "c", 0, at(3))
	plan(t, d, inShard(t, d, shard+1, 1)[0], "of-another-shard", 0, at(0))
	put(t, d, store.Key{Collection: collection, UID: people[0], Key: "no-entry"}, 0, "x")
	for _, c := range []struct {
		name   string
		before time.Time
		limit  int
		want   []string
	}{
		{"nothing is due", at(0), 1000, nil},
		{"not yet by a microsecond", at(1).Add(-time.Microsecond), 1000, nil},
		{"the first, at its time", at(1), 1000, []string{"a"}},
		{"of all people", at(3), 1000, []string{"a", "b", "c"}},
		{"the oldest first", at(9), 2, []string{"a", "b"}},
		{"everything", at(9), 1000, []string{"a", "b", "c", "d"}},
	} {
		soon(t, c.name, func() any { return c.want }, func() any { return keys(due(t, d, shard, c.before, c.limit)) })
	}
	if s, can := d.(interface {
		Stirring(ctx context.Context, before time.Time) ([]int, error)
	}); can {
		for seconds, want := range map[int][]int{-1: {}, 0: {shard + 1}, 9: {shard, shard + 1}} {
			soon(t, "the shards in which something is due", func() any { return want }, func() any {
				shards, err := s.Stirring(context.Background(), at(seconds))
				if err != nil {
					t.Fatal(err)
				}
				if len(shards) == store.Shards { // what is below it cannot tell
					return want
				}
				return append([]int{}, shards...)
			})
		}
	}
	for _, doc := range due(t, d, shard, at(9), 1000) {
		if diff := cmp.Diff(get(t, d, doc.Key), doc); diff != "" {
			t.Errorf("the entry that is due is not the one got (-get +due):\n%s", diff)
		}
	}
	if got := get(t, d, entry(people[0], "a")); !got.Due.Equal(at(1)) {
		t.Errorf("due at %v, want %v", got.Due, at(1))
	}
	if diff := cmp.Diff([]string{"a", "c"}, keys(list(t, d, store.Query{Collection: agenda, UID: people[0], Limit: 10}))); diff != "" {
		t.Errorf("a person's agenda (-want +got):\n%s", diff)
	}
	for _, wrong := range [][2]int{{-1, 1}, {store.Shards, 1}, {0, 0}, {0, store.MaxLimit + 1}} {
		if _, err := d.Due(context.Background(), timed(), wrong[0], epoch, wrong[1]); err == nil {
			t.Errorf("shard %d with limit %d is answered", wrong[0], wrong[1])
		}
	}
}

// testDueOfCollections has accounts be due before all else, more than are listed.
func testDueOfCollections(t *testing.T, open Opener) {
	d := open()
	const shard, limit = 7, 4
	people := inShard(t, d, shard, limit+2)
	for i, uid := range people {
		at := epoch.Add(time.Duration(i) * time.Second)
		if _, err := d.Batch(context.Background(), []store.Write{{Key: store.Key{Collection: "accounts", UID: uid, Key: "account"}, Data: []byte("x"), Due: at}}); err != nil {
			t.Fatal(err)
		}
	}
	uid, late := people[limit+1], epoch.Add(time.Minute)
	plan(t, d, uid, "errand", 0, late)
	if _, err := d.Batch(context.Background(), []store.Write{{Key: store.Key{Collection: "uploads", UID: uid, Key: "upload"}, Data: []byte("x"), Due: late.Add(time.Second)}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ of, want []string }{
		{[]string{"uploads"}, []string{"upload"}},
		{[]string{agenda}, []string{"errand"}},
		{[]string{agenda, "uploads"}, []string{"errand", "upload"}},
		{[]string{"accounts"}, []string{"account", "account", "account", "account"}},
	} {
		soon(t, fmt.Sprint("due of ", c.of), func() any { return c.want }, func() any {
			docs, err := d.Due(context.Background(), c.of, shard, late.Add(time.Hour), limit)
			if err != nil {
				t.Fatal(err)
			}
			return keys(docs)
		})
	}
}

func testAgendaChanges(t *testing.T, open Opener) {
	d := open()
	ctx := context.Background()
	const uid = "u"
	upload := store.Key{Collection: "uploads", UID: uid, Key: "1"}
	is := func(what string, want ...string) {
		t.Helper()
		soon(t, what, func() any { return want }, func() any { return dueOf(t, d, uid, epoch.Add(time.Minute)) })
	}
	versions, err := d.Batch(ctx, []store.Write{
		{Key: upload, Data: []byte("received")}, {Key: entry(uid, "first"), Data: []byte("x"), Due: epoch}, {Key: entry(uid, "second"), Data: []byte("x"), Due: epoch.Add(time.Second)},
	})
	if err != nil {
		t.Fatal(err)
	}
	is("written with what it is about", "first", "second")
	first := plan(t, d, uid, "first", versions[1], epoch.Add(2*time.Second))
	is("put off", "second", "first")
	plan(t, d, uid, "first", first, epoch.Add(time.Hour))
	is("put off for long", "second")
	if _, err := d.Batch(ctx, []store.Write{{Key: upload, IfVersion: versions[0], Data: []byte("merged")}, {Key: entry(uid, "second"), IfVersion: store.Any}, {Key: entry(uid, "never"), IfVersion: store.Any}}); err != nil {
		t.Fatal(err)
	}
	is("removed with what it is about")
	d = open()
	is("removed, and opened again")
	if all := dueOf(t, d, uid, epoch.Add(2*time.Hour)); !slices.Equal(all, []string{"first"}) {
		t.Errorf("due at the end: %v", all)
	}
}
