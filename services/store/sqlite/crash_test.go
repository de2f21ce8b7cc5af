package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/internal/crashtest"
	"github.com/clarity-loop/clarity/services/store"
)

// TestCrashChild counts documents up until it is killed.
func TestCrashChild(t *testing.T) {
	dir, tell := crashtest.Child(t)
	s := open(t, dir)
	for w := range 8 {
		go func() {
			k := store.Key{Collection: "days", UID: fmt.Sprint("user-", w), Key: "counter"}
			for {
				var version int64
				var count int
				if d, err := s.Get(context.Background(), k); err == nil {
					version = d.Version
					count, _ = strconv.Atoi(string(d.Data))
				} else if !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
					return
				}
				count++
				version, err := write(s, store.Write{Key: k, IfVersion: version, Data: []byte(strconv.Itoa(count))})
				if err != nil {
					t.Error(err)
					return
				}
				tell(fmt.Sprintf("%s %d %d", k.UID, count, version))
			}
		}()
	}
	time.Sleep(time.Minute)
}

func TestNoKillLosesWhatWasAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	dir := t.TempDir()
	acked, versions := map[string]int{}, map[int64]bool{}
	for round := range 8 {
		for _, line := range crashtest.Kill(t, "TestCrashChild", dir, 400*time.Millisecond) {
			var uid string
			var count int
			var version int64
			if n, err := fmt.Sscanf(line, "%s %d %d\n", &uid, &count, &version); n != 3 || err != nil {
				continue // the line was cut
			}
			if count <= acked[uid] || versions[version] {
				t.Fatalf("round %d: change %d of %s was acknowledged twice, or version %d given twice", round, count, uid, version)
			}
			acked[uid], versions[version] = count, true
		}
		s := open(t, dir)
		for uid, count := range acked {
			d, err := s.Get(context.Background(), store.Key{Collection: "days", UID: uid, Key: "counter"})
			if now, _ := strconv.Atoi(string(d.Data)); err != nil || now < count {
				t.Fatalf("round %d: %s was at %d, is at %d, %v", round, uid, count, now, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
