package patience_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/internal/patience"
)

func TestBackoffDoublesUpToFiveMinutes(t *testing.T) {
	for attempt, want := range map[int]time.Duration{
		-1: 200 * time.Millisecond, 0: 200 * time.Millisecond, 1: 200 * time.Millisecond, 2: 400 * time.Millisecond,
		8: 25600 * time.Millisecond, 9: 51200 * time.Millisecond, 10: 102400 * time.Millisecond, 11: 204800 * time.Millisecond, 12: 5 * time.Minute, 1_000_000: 5 * time.Minute,
	} {
		if got := patience.Backoff(attempt); got != want {
			t.Errorf("Backoff(%d) = %v, want %v", attempt, got, want)
		}
	}
}
