package pubsub

import (
	"context"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"

	"github.com/clarity-loop/clarity/services/queue"
)

// Dialing is the configuration whose clients dial with the options, too.
func (cfg Config) Dialing(options ...grpc.DialOption) Config {
	cfg.dial = append(cfg.dial, options...)
	return cfg
}

// Counting is the configuration that asks the Cloud Monitoring at the address.
func (cfg Config) Counting(address string) Config {
	cfg.counter = address
	return cfg
}

// PublishRaw publishes a message as it is.
func PublishRaw(q *Queue, topic string, m *pubsubpb.PubsubMessage) error {
	_, err := q.client.TopicAdminClient.Publish(context.Background(), &pubsubpb.PublishRequest{Topic: q.names.topic(topic), Messages: []*pubsubpb.PubsubMessage{m}})
	return err
}

// Wanted is what there has to be for the consumers, in a project P without a prefix.
func Wanted(consumers queue.Consumers) ([]*pubsubpb.Topic, []*pubsubpb.Subscription) {
	return names{project: "P"}.all(consumers)
}
