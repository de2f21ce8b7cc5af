// Package patience is how long a receiver of messages waits: for one that failed,
// and for a backend that is away.
package patience

import "time"

// MaxBackoff is the longest that Backoff has a message wait.
const MaxBackoff = 5 * time.Minute

// Backoff is how long a message waits after its attempt'th delivery failed: it
// doubles from 200 ms to MaxBackoff.
func Backoff(attempt int) time.Duration {
	return min(100*time.Millisecond<<min(max(attempt, 1), 12), MaxBackoff)
}
