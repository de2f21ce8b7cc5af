package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/clarity-loop/clarity/services/queue"
)

// What a subscription is.
const (
	ackDeadline  = 60 // seconds
	retention    = 7 * 24 * time.Hour
	leastBackoff = time.Second
	mostBackoff  = time.Minute
	mostAttempts = 100
)

// Prepare makes the topics and subscriptions that are not there, as the driver
// wants them. It is for tests: in the cloud they are made with the project, as
// config/pubsub says, and nobody who runs may make any.
func Prepare(ctx context.Context, cfg Config, consumers queue.Consumers) (err error) {
	if err := legal(consumers); err != nil {
		return fmt.Errorf("prepare topics: %w", err)
	}
	c, err := client.NewClient(ctx, cfg.Project, cfg.options(cfg.Endpoint, cfg.Emulator)...)
	if err != nil {
		return faulted("prepare", err)
	}
	defer func() { err = faulted("prepare", errors.Join(err, c.Close())) }()
	topics, subscriptions := names{cfg.Project, cfg.Prefix}.all(consumers)
	for _, t := range topics {
		if _, err := c.TopicAdminClient.CreateTopic(ctx, t); made(err) != nil {
			return err
		}
	}
	for _, s := range subscriptions {
		if _, err := c.SubscriptionAdminClient.CreateSubscription(ctx, s); made(err) != nil {
			return err
		}
	}
	return nil
}

// all is what there has to be for the consumers: config/pubsub has the platform's.
func (n names) all(consumers queue.Consumers) (topics []*pubsubpb.Topic, subscriptions []*pubsubpb.Subscription) {
	for _, topic := range slices.Sorted(maps.Keys(consumers)) {
		given := subscription{topic, lost}
		up := n.topic(topic + "." + lost)
		topics = append(topics, &pubsubpb.Topic{Name: n.topic(topic)}, &pubsubpb.Topic{Name: up})
		for _, consumer := range slices.Sorted(slices.Values(consumers[topic])) {
			subscriptions = append(subscriptions, n.wanted(subscription{topic, consumer}, up))
		}
		subscriptions = append(subscriptions, &pubsubpb.Subscription{
			Name: n.subscription(given), Topic: up, AckDeadlineSeconds: ackDeadline,
			MessageRetentionDuration: durationpb.New(retention), ExpirationPolicy: &pubsubpb.ExpirationPolicy{},
		})
	}
	return topics, subscriptions
}

// wanted is what the driver wants a subscription to be.
func (n names) wanted(s subscription, up string) *pubsubpb.Subscription {
	return &pubsubpb.Subscription{
		Name: n.subscription(s), Topic: n.topic(s.topic),
		AckDeadlineSeconds: ackDeadline, EnableMessageOrdering: true,
		MessageRetentionDuration: durationpb.New(retention),
		ExpirationPolicy:         &pubsubpb.ExpirationPolicy{},
		RetryPolicy:              &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(leastBackoff), MaximumBackoff: durationpb.New(mostBackoff)},
		DeadLetterPolicy:         &pubsubpb.DeadLetterPolicy{DeadLetterTopic: up, MaxDeliveryAttempts: mostAttempts},
	}
}

func made(err error) error {
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}
