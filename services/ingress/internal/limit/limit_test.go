package limit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTake(t *testing.T) {
	now := time.Unix(0, 0)
	l := New[string](Rate{PerSecond: 2, Burst: 3}, 10, func() time.Time { return now })
	steps := []struct {
		what string
		wait time.Duration
		key  string
		want Decision
	}{
		{"the first takes of a full bucket", 0, "a", Decision{OK: true, Limit: 3, Remaining: 2, Reset: 500 * time.Millisecond}},
		{"the second", 0, "a", Decision{OK: true, Limit: 3, Remaining: 1, Reset: time.Second}},
		{"the third empties it", 0, "a", Decision{OK: true, Limit: 3, Remaining: 0, Reset: 1500 * time.Millisecond}},
		{"an empty bucket says when to come again", 0, "a", Decision{Limit: 3, Reset: 1500 * time.Millisecond, Retry: 500 * time.Millisecond}},
		{"another key has its own bucket", 0, "b", Decision{OK: true, Limit: 3, Remaining: 2, Reset: 500 * time.Millisecond}},
		{"a token comes back with time", 500 * time.Millisecond, "a", Decision{OK: true, Limit: 3, Remaining: 0, Reset: 1500 * time.Millisecond}},
		{"a bucket never holds more than its burst", time.Hour, "a", Decision{OK: true, Limit: 3, Remaining: 2, Reset: 500 * time.Millisecond}},
	}
	for _, s := range steps {
		now = now.Add(s.wait)
		if diff := cmp.Diff(s.want, l.Take(s.key)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.what, diff)
		}
	}
}

func TestTheMapIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	l := New[int](Rate{PerSecond: 1, Burst: 2}, 100, func() time.Time { return now })
	for i := range 10_000 {
		if d := l.Take(i); !d.OK {
			t.Fatalf("key %d was refused its first token", i)
		}
	}
	if len(l.buckets) > 100 {
		t.Errorf("%d buckets are kept, want at most 100", len(l.buckets))
	}
}

func TestABurstOfZeroLimitsNothing(t *testing.T) {
	l := New[int](Rate{}, 1, time.Now)
	for range 1000 {
		if !l.Take(1).OK {
			t.Fatal("refused")
		}
	}
}
