package patience_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/internal/patience"
)

func TestACircuitIsLearnedOfAnother(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		until time.Duration
		open  bool
	}{
		"for a while":       {10 * time.Second, true},
		"over":              {-time.Second, false},
		"by a wrong clock":  {time.Hour, false},
		"as long as it may": {30 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			var b patience.Breaker
			b.Learn(now, now.Add(c.until))
			want := 4
			if c.open {
				want = 0
			}
			if n, until := b.Allowed(now, 4); n != want || !until.IsZero() && !until.Equal(now.Add(c.until)) {
				t.Errorf("%d messages are allowed until %v, want %d", n, until, want)
			}
			if !c.open {
				return
			}
			if n, _ := b.Allowed(now.Add(c.until), 4); n != 1 {
				t.Errorf("then %d are, want one that probes", n)
			}
			b.Saw(now.Add(c.until), "k", false)
			if n, _ := b.Allowed(now.Add(c.until), 4); n != 4 {
				t.Errorf("after one that went through %d are", n)
			}
		})
	}
}

// What is learned does not shorten what is known.
func TestALearnedCircuitIsNoShorter(t *testing.T) {
	now := time.Now()
	var b patience.Breaker
	b.Learn(now, now.Add(20*time.Second))
	b.Learn(now, now.Add(10*time.Second))
	if n, _ := b.Allowed(now.Add(15*time.Second), 4); n != 0 {
		t.Errorf("%d are allowed", n)
	}
}
