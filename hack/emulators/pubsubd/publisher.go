package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// publisher serves google.pubsub.v1.Publisher.
type publisher struct {
	pubsubpb.UnimplementedPublisherServer
	b *broker
}

// named refuses a name that the service does.
func named(kind, name string) error {
	parts := strings.Split(name, "/")
	if len(parts) != 4 || parts[0] != "projects" || parts[1] == "" || parts[2] != kind || !legal.MatchString(parts[3]) || strings.HasPrefix(parts[3], "goog") {
		return status.Errorf(codes.InvalidArgument, "invalid name of %s", kind)
	}
	return nil
}

var legal = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)

func notFound(what string) error { return status.Errorf(codes.NotFound, "%s not found", what) }

func (p *publisher) CreateTopic(_ context.Context, t *pubsubpb.Topic) (*pubsubpb.Topic, error) {
	if err := named("topics", t.GetName()); err != nil {
		return nil, err
	}
	if t.GetSchemaSettings() != nil || t.GetIngestionDataSourceSettings() != nil || len(t.GetMessageTransforms()) > 0 {
		return nil, status.Error(codes.Unimplemented, "schemas, ingestion and transforms")
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if p.b.topics[t.GetName()] != nil {
		return nil, status.Error(codes.AlreadyExists, "topic exists")
	}
	if err := p.b.disk.apply(keepTopic(t)); err != nil {
		return nil, err
	}
	p.b.topics[t.GetName()] = t
	return t, nil
}

func (p *publisher) GetTopic(_ context.Context, r *pubsubpb.GetTopicRequest) (*pubsubpb.Topic, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	t := p.b.topics[r.GetTopic()]
	if t == nil {
		return nil, notFound("topic")
	}
	return t, nil
}

func (p *publisher) ListTopics(_ context.Context, r *pubsubpb.ListTopicsRequest) (*pubsubpb.ListTopicsResponse, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	res := &pubsubpb.ListTopicsResponse{}
	for _, name := range slices.Sorted(maps.Keys(p.b.topics)) {
		if strings.HasPrefix(name, r.GetProject()+"/") {
			res.Topics = append(res.Topics, p.b.topics[name])
		}
	}
	return res, nil
}

func (p *publisher) ListTopicSubscriptions(_ context.Context, r *pubsubpb.ListTopicSubscriptionsRequest) (*pubsubpb.ListTopicSubscriptionsResponse, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	res := &pubsubpb.ListTopicSubscriptionsResponse{}
	for _, name := range slices.Sorted(maps.Keys(p.b.subs)) {
		if p.b.subs[name].proto.GetTopic() == r.GetTopic() {
			res.Subscriptions = append(res.Subscriptions, name)
		}
	}
	return res, nil
}

func (p *publisher) DeleteTopic(_ context.Context, r *pubsubpb.DeleteTopicRequest) (*emptypb.Empty, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if p.b.topics[r.GetTopic()] == nil {
		return nil, notFound("topic")
	}
	changes := []change{dropTopic(r.GetTopic())}
	for _, s := range p.b.subs {
		if s.proto.GetTopic() == r.GetTopic() {
			s.proto = proto.Clone(s.proto).(*pubsubpb.Subscription)
			s.proto.Topic = "_deleted-topic_"
			changes = append(changes, keepSubscription(s.proto))
		}
	}
	delete(p.b.topics, r.GetTopic())
	return &emptypb.Empty{}, p.b.disk.apply(changes...)
}

func (p *publisher) Publish(_ context.Context, r *pubsubpb.PublishRequest) (*pubsubpb.PublishResponse, error) {
	if n := len(r.GetMessages()); n < 1 || n > 1000 {
		return nil, status.Errorf(codes.InvalidArgument, "%d messages are not within 1 to 1000", n)
	}
	if proto.Size(r) > 10e6 {
		return nil, status.Error(codes.InvalidArgument, "the request is over 10 MB")
	}
	for _, m := range r.GetMessages() {
		if why := illegal(m); why != "" {
			return nil, status.Error(codes.InvalidArgument, why)
		}
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if p.b.topics[r.GetTopic()] == nil {
		return nil, notFound("topic")
	}
	var changes []change
	res, now := &pubsubpb.PublishResponse{}, p.b.now()
	for _, m := range r.GetMessages() {
		changes = append(changes, p.b.publish(r.GetTopic(), m, now)...)
		res.MessageIds = append(res.MessageIds, m.GetMessageId())
	}
	if err := p.b.disk.apply(changes...); err != nil {
		panic(fmt.Errorf("write the database: %w", err)) // memory and disk would differ
	}
	p.b.changed()
	return res, nil
}

// illegal says why the service would refuse the message, or "".
func illegal(m *pubsubpb.PubsubMessage) string {
	switch {
	case len(m.GetData()) == 0 && len(m.GetAttributes()) == 0:
		return "a message has data or an attribute"
	case len(m.GetOrderingKey()) > 1024:
		return "an ordering key is over 1024 bytes"
	case len(m.GetAttributes()) > 100:
		return "a message has more than 100 attributes"
	}
	for k, v := range m.GetAttributes() {
		if k == "" || len(k) > 256 || len(v) > 1024 || strings.HasPrefix(k, "goog") {
			return "an attribute is too long, or reserved"
		}
	}
	return ""
}
