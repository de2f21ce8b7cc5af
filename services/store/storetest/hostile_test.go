package storetest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/sqlite"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// A clock is set by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func hostile(t *testing.T, seed uint64, worst float64) (*storetest.HostileDriver, *sqlite.Store, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)}
	calm, err := sqlite.Open(t.Context(), t.TempDir(), c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = calm.Close() })
	return storetest.Hostile(calm, storetest.Options{Seed: seed, Worst: worst, Now: c.now}), calm, c
}

// A driver to which nothing happens is the driver: it passes the suite.
func TestACalmHostileDriverKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		dir := t.TempDir()
		var calm *sqlite.Store
		shut := func() {
			if calm != nil {
				_ = calm.Close()
			}
		}
		t.Cleanup(shut)
		return func() store.Driver {
			shut()
			var err error
			if calm, err = sqlite.Open(t.Context(), dir, time.Now); err != nil {
				t.Fatal(err)
			}
			return storetest.Hostile(calm, storetest.Options{Now: time.Now})
		}
	})
}

// trace writes under the version that it read, as a stage does, and tells what came of it.
func trace(t *testing.T, seed uint64) (lines []string, happened map[string]int) {
	h, calm, _ := hostile(t, seed, 0.3)
	ctx := t.Context()
	for i := range 400 {
		k := store.Key{Collection: "days", UID: "u", Key: fmt.Sprint(i % 7)}
		before, err := h.Get(ctx, k)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			lines = append(lines, err.Error())
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
		lines = append(lines, fmt.Sprintf("%d %v %v", i, err, applied))
	}
	return lines, h.Happened()
}

func TestAHostileDriverKeepsEveryWord(t *testing.T) {
	all := map[string]int{}
	for seed := range uint64(5) {
		_, happened := trace(t, seed)
		for what, n := range happened {
			all[what] += n
		}
	}
	for _, what := range []string{"get away", "write away", "done and unknown", "not done and unknown", "done later and unknown", "overtaken"} {
		if all[what] < 10 {
			t.Errorf("%q happened %d times: the driver is not as bad as it may be", what, all[what])
		}
	}
}

// Another writer is first where the one who asks would have been. Behind a batch that
// is no longer of what is there, or checks what is not, nothing changes.
func TestNobodyIsBeforeWhoIsTooLate(t *testing.T) {
	h, calm, _ := hostile(t, 5, 0.5)
	ctx := t.Context()
	day, upload := store.Key{Collection: "days", UID: "u", Key: "2026-11-20"}, store.Key{Collection: "uploads", UID: "u", Key: "k"}
	versions, err := calm.Batch(ctx, []store.Write{{Key: day, Data: []byte("x")}, {Key: upload, Data: []byte("x")}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		late := []store.Write{{Key: day, IfVersion: versions[0], Data: []byte("y")}, {Key: upload, IfVersion: versions[1] + 1, Check: true}}
		if i%2 > 0 {
			late = []store.Write{{Key: upload, IfVersion: versions[1], Data: []byte("y")}, {Key: day, IfVersion: versions[0] + 1, Data: []byte("y")}}
		}
		if _, err := h.Batch(ctx, late); err == nil {
			t.Fatal("it was written")
		}
	}
	for i, k := range []store.Key{day, upload} {
		if now, err := calm.Get(ctx, k); err != nil || now.Version != versions[i] {
			t.Errorf("%s is in version %d, %v; it was left in %d", k.Collection, now.Version, err, versions[i])
		}
	}
	if h.Happened()["done and unknown"] > 0 || h.Happened()["not done and unknown"] == 0 {
		t.Errorf("happened: %v", h.Happened())
	}
}

func TestASeedIsARun(t *testing.T) {
	first, _ := trace(t, 7)
	again, _ := trace(t, 7)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
	if other, _ := trace(t, 8); slices.Equal(first, other) {
		t.Error("another seed is the same run")
	}
}

func TestTheAgendaIsStaleWithinBoundsAlone(t *testing.T) {
	h, calm, c := hostile(t, 3, 0.5)
	ctx := t.Context()
	const people = 40
	shard := store.ShardOf("person-0")
	var uids []string
	for i := 0; len(uids) < people; i++ {
		if uid := fmt.Sprint("person-", i); store.ShardOf(uid) == shard {
			uids = append(uids, uid)
		}
	}
	due := func() (shown []string) {
		for {
			docs, err := h.Due(ctx, []string{"agenda", "uploads", "accounts"}, shard, c.at, 1000)
			if err != nil {
				var f *fault.Error
				if !errors.As(err, &f) || f.Class != fault.Unavailable {
					t.Fatal(err)
				}
				continue
			}
			for _, d := range docs {
				shown = append(shown, d.Key.UID)
			}
			slices.Sort(shown)
			return shown
		}
	}
	entry := func(uid string) store.Key { return store.Key{Collection: "agenda", UID: uid, Key: "x"} }
	for _, uid := range uids {
		if _, err := calm.Batch(ctx, []store.Write{{Key: entry(uid), Data: []byte("x"), Due: c.at}}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(uids)
	if n := len(due()); n == 0 || n == people {
		t.Errorf("%d of %d are shown at once", n, people)
	}
	c.at = c.at.Add(storetest.Staleness)
	if diff := cmp.Diff(uids, due()); diff != "" {
		t.Errorf("shown later (-want +got):\n%s", diff)
	}
	for _, uid := range uids {
		if _, err := calm.Batch(ctx, []store.Write{{Key: entry(uid), IfVersion: store.Any}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(due()); n == 0 {
		t.Error("none is shown that was just removed")
	}
	c.at = c.at.Add(storetest.Staleness)
	if shown := due(); len(shown) != 0 {
		t.Errorf("%d are shown that were removed long ago", len(shown))
	}
}

func TestADriverThatIsAway(t *testing.T) {
	h, _, _ := hostile(t, 1, 0)
	h.Away(true)
	if err := h.Ready(t.Context()); err == nil {
		t.Error("it is ready")
	}
	if _, err := h.Batch(t.Context(), []store.Write{{Key: store.Key{Collection: "days", UID: "u", Key: "k"}, Data: []byte("x")}}); err == nil || errors.Is(err, store.ErrUnknown) {
		t.Errorf("write: %v", err)
	}
	h.Away(false)
	if err := h.Ready(t.Context()); err != nil {
		t.Errorf("back again: %v", err)
	}
}
