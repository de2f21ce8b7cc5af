package queuetest

import (
	"time"

	"github.com/clarity-loop/clarity/services/queue"
)

// Words are a verdict in words: its kind, and the reason.
func Words(v queue.Verdict) (said string) {
	v.Match(queue.Cases{
		Ack:      func() { said = "ack" },
		Retry:    func(_ time.Duration, why string) { said = "retry: " + why },
		Postpone: func(_ time.Duration, why string) { said = "postpone: " + why },
		Dead:     func(why string) { said = "dead: " + why },
	})
	return said
}
