package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
				if d, err := s.Get(context.Background(), k); err == nil {
					version = d.Version
				} else if !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
					return
				}
				version, err := s.Write(context.Background(), store.Write{Key: k, IfVersion: version, Data: []byte(strconv.FormatInt(version+1, 10))})
				if err != nil {
					t.Error(err)
					return
				}
				tell(fmt.Sprintf("%s %d", k.UID, version))
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
	acked := map[string]int64{}
	for round := range 8 {
		for _, line := range crashtest.Kill(t, "TestCrashChild", dir, 400*time.Millisecond) {
			uid, text, _ := strings.Cut(line, " ")
			version, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				continue // the line was cut
			}
			if version <= acked[uid] {
				t.Fatalf("round %d: version %d of %s was acknowledged twice", round, version, uid)
			}
			acked[uid] = version
		}
		s := open(t, dir)
		for uid, version := range acked {
			d, err := s.Get(context.Background(), store.Key{Collection: "days", UID: uid, Key: "counter"})
			if err != nil || d.Version < version || string(d.Data) != strconv.FormatInt(d.Version, 10) {
				t.Fatalf("round %d: %s was at version %d, is at %d with %q, %v", round, uid, version, d.Version, d.Data, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
