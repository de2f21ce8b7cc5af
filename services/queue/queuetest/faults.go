package queuetest

import (
	"context"
	"testing"

	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/queue"
)

func testFaults(t *testing.T, open opener) {
	q, over := open(), ended()
	faulttest.Of(t, q.Publish(over, message(faulttest.Mark, faulttest.Mark)), "queue", "publish")
	faulttest.Of(t, q.Forget(over, faulttest.Mark), "queue", "forget")
	_, err := q.Depth(over, topic, name)
	faulttest.Of(t, err, "queue", "count")
	_, err = q.Dead(over, topic, name, "", 1)
	faulttest.Of(t, err, "queue", "list dead letters")
	_, err = q.Unclaimed(over)
	faulttest.Of(t, err, "queue", "count unclaimed")
	faulttest.Of(t, q.Drop(over, "1"), "queue", "drop")
	faulttest.Of(t, q.Replay(over, "1"), "queue", "replay")
	huge := message(faulttest.Mark, faulttest.Mark)
	huge.Body = make([]byte, queue.MaxBody+1)
	faulttest.NamesNobody(t, "a body that is too large", q.Publish(context.Background(), huge))
	faulttest.NamesNobody(t, "a topic of nobody", q.Publish(context.Background(), queue.Message{Topic: "nobody's", Key: faulttest.Mark}))
}

// ended is a context that is over.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
