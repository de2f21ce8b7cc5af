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
		{"the third empties it", 0, "a", Decision{OK: true, Limit: 3, Remaining: 0, Reset: 500 * time.Millisecond}},
		{"an empty bucket says when to come again", 0, "a", Decision{Limit: 3, Reset: 500 * time.Millisecond, Retry: 500 * time.Millisecond}},
		{"another key has its own bucket", 0, "b", Decision{OK: true, Limit: 3, Remaining: 2, Reset: 500 * time.Millisecond}},
		{"a token comes back with time", 500 * time.Millisecond, "a", Decision{OK: true, Limit: 3, Remaining: 0, Reset: 500 * time.Millisecond}},
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

func TestTimeThatPassedCountsOnce(t *testing.T) {
	now := time.Unix(0, 0)
	l := New[string](Rate{PerSecond: 1, Burst: 10}, 10, func() time.Time { return now })
	for range 10 {
		l.Take("a")
	}
	for second := 1; second <= 3; second++ {
		now = now.Add(time.Second)
		if d := l.Take("a"); !d.OK || d.Remaining != 0 {
			t.Errorf("second %d: %+v, want the one token that came back", second, d)
		}
	}
	now = now.Add(250 * time.Millisecond)
	if d := l.Take("a"); d.OK || d.Retry != 750*time.Millisecond {
		t.Errorf("a quarter of a token: %+v, want three quarters of a second to wait", d)
	}
}

func TestABucketThatNeverFillsAgain(t *testing.T) {
	l := New[string](Rate{Burst: 1}, 10, time.Now)
	l.Take("a")
	if d := l.Take("a"); d.OK || d.Retry != 24*time.Hour || d.Reset != 24*time.Hour {
		t.Errorf("%+v, want a day", d)
	}
}

// What makes room: a bucket that is full again before one that is not.
func TestFullBucketsMakeRoom(t *testing.T) {
	now := time.Unix(0, 0)
	l := New[int](Rate{PerSecond: 1, Burst: 5}, 10, func() time.Time { return now })
	for key := range 9 {
		l.Take(key)
	}
	now = now.Add(time.Second) // 0 to 8 are full again, to the token
	for range 5 {
		l.Take(9)
	}
	l.Take(10)
	if len(l.buckets) != 2 {
		t.Errorf("%d buckets are left, want the empty one and the new one", len(l.buckets))
	}
	if d := l.Take(9); d.OK {
		t.Error("the bucket that was empty was dropped while full ones were there")
	}
}

func TestWithoutAFullBucketOneGoes(t *testing.T) {
	now := time.Unix(0, 0)
	l := New[int](Rate{PerSecond: 1, Burst: 5}, 10, func() time.Time { return now })
	for key := range 11 {
		l.Take(key)
	}
	if len(l.buckets) != 10 {
		t.Errorf("%d buckets are left, want 10", len(l.buckets))
	}
}

// Making room looks at a few buckets, not at all.
func TestMakingRoomIsCheap(t *testing.T) {
	now := time.Unix(0, 0)
	l := New[int](Rate{PerSecond: 1, Burst: 5}, 1000, func() time.Time { return now })
	for key := range 1000 {
		l.Take(key)
	}
	now = now.Add(time.Hour)
	l.Take(1000)
	if left := len(l.buckets); left != 1000-16+1 {
		t.Errorf("%d buckets are left, want 16 gone and one new", left)
	}
}
