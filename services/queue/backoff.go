package queue

import "time"

// Backoff is how long a message waits after its attempt'th delivery failed: it
// doubles from 200 ms to a minute.
func Backoff(attempt int) time.Duration {
	return min(100*time.Millisecond<<min(max(attempt, 1), 10), time.Minute)
}
