package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/clarity-loop/clarity/services/queue"
)

// hold is how long a message waits in a lease at most, and not on the shelf.
const hold = 10 * time.Second

// Publish sends the messages and waits until the service has them. Those that wait
// for longer are written down, one for each consumer.
func (q *Queue) Publish(ctx context.Context, msgs ...queue.Message) error {
	for _, m := range msgs {
		if len(q.consumers[m.Topic]) == 0 {
			return fmt.Errorf("publish to %q: %w", m.Topic, queue.ErrNoSubscription)
		}
		if len(m.Body) > queue.MaxBody {
			return fmt.Errorf("publish to %s: body of %d bytes is over the limit of %d", m.Topic, len(m.Body), queue.MaxBody)
		}
	}
	if err := q.usable(ctx); err != nil {
		return faulted("publish", err)
	}
	var sent []sending
	var failed error
	for _, m := range msgs {
		var wait time.Duration
		if !m.NotBefore.IsZero() {
			wait = min(max(m.NotBefore.Sub(q.now()), 0), queue.MaxDelay)
		}
		p := newParcel(m, wait)
		if wait > hold {
			failed = errors.Join(failed, q.putOff(ctx, m.Topic, p, wait))
			continue
		}
		sent = append(sent, q.send(ctx, m.Topic, p))
	}
	for _, s := range sent {
		failed = errors.Join(failed, s.wait(ctx))
	}
	if failed != nil {
		if ctx.Err() == nil {
			q.there.Saw(failed)
		}
		return faulted("publish", failed)
	}
	if len(sent) > 0 {
		q.there.Saw(nil)
	}
	return nil
}

// putOff writes a message of the topic down for each of its consumers.
func (q *Queue) putOff(ctx context.Context, topic string, p parcel, wait time.Duration) error {
	p.setTime(attrAt, q.now())
	for _, consumer := range q.consumers[topic] {
		if err := q.shelf.put(ctx, subscription{topic, consumer}, p.forOne(consumer), wait); err != nil {
			return err
		}
	}
	return nil
}

// A sending is a message on its way.
type sending struct {
	to     *client.Publisher
	parcel parcel
	result *client.PublishResult
}

func (q *Queue) send(ctx context.Context, topic string, p parcel) sending {
	to := q.topics[topic]
	return sending{to, p, to.Publish(ctx, p.message())}
}

// resumes is how often a message is sent anew because others of its key failed.
const resumes = 3

// wait returns once the service has the message. A key whose message failed is
// paused by the client, which would refuse all that come after it: so it is resumed
// at once, and who meets the pause in between sends again.
func (s sending) wait(ctx context.Context) error {
	for n := 0; ; n++ {
		_, err := s.result.Get(ctx)
		if err == nil {
			return nil
		}
		s.to.ResumePublish(s.parcel.Key)
		var paused client.ErrPublishingPaused
		if !errors.As(err, &paused) || n == resumes {
			return err
		}
		s.result = s.to.Publish(ctx, s.parcel.message())
	}
}

// readyFor is how long an answer tells that the service is there.
const readyFor = 10 * time.Second

// errRefused is why a queue is not ready of which a receiver waits.
var errRefused = errors.New("a receiver is refused")

// Ready is nil where no receiver is refused, and a topic is there or something was published
// within ten seconds.
func (q *Queue) Ready(ctx context.Context) error {
	if err := q.usable(ctx); err != nil {
		return faulted("ready", err)
	}
	if q.refused.Load() > 0 {
		return faulted("ready", errRefused)
	}
	return q.there.Ready(ctx, func(ctx context.Context) error {
		topic := q.first()
		if topic == "" {
			return nil
		}
		_, err := q.client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: q.names.topic(topic)})
		return faulted("ready", err)
	})
}

func (q *Queue) first() string {
	topics := make([]string, 0, len(q.topics))
	for topic := range q.topics {
		topics = append(topics, topic)
	}
	if len(topics) == 0 {
		return ""
	}
	return slices.Min(topics)
}
