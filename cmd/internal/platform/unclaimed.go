package platform

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
)

// The bounds of a line of the log: topics are our own words, but of any version.
const (
	maxTopics    = 16
	maxTopicName = 64
)

// tellUnclaimed logs how much the queue keeps that no consumer of this version
// reads, and of which topics: it stays, and nothing else would say so. Where the
// queue cannot tell, or may not, all else goes on.
func tellUnclaimed(ctx context.Context, q queue.Gauge, log *slog.Logger) {
	unclaimed, err := q.Unclaimed(ctx)
	if err != nil {
		log.Warn("the queue does not say which messages nobody consumes", append([]any{"reason", fault.Text(err)}, fault.Attrs(err)...)...)
		return
	}
	if len(unclaimed) == 0 {
		return
	}
	messages, dead := 0, 0
	var topics []string
	for _, b := range unclaimed {
		messages, dead = messages+b.Waiting+b.Leased, dead+b.Dead
		topics = append(topics, b.Topic[:min(len(b.Topic), maxTopicName)])
	}
	topics = slices.Compact(topics) // they come in order
	if more := len(topics) - maxTopics; more > 0 {
		topics = append(topics[:maxTopics], fmt.Sprintf("and %d more", more))
	}
	log.Warn("messages that nobody consumes", "messages", messages, "dead", dead, "topics", topics)
}
