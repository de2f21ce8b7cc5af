package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// subscriber serves google.pubsub.v1.Subscriber.
type subscriber struct {
	pubsubpb.UnimplementedSubscriberServer
	b *broker
}

// checked refuses what the service does, and what is not there.
func checked(s *pubsubpb.Subscription) error {
	if err := named("subscriptions", s.GetName()); err != nil {
		return err
	}
	if s.GetFilter() != "" || s.GetEnableExactlyOnceDelivery() || s.GetPushConfig().GetPushEndpoint() != "" || s.GetBigqueryConfig() != nil || s.GetCloudStorageConfig() != nil || len(s.GetMessageTransforms()) > 0 {
		return status.Error(codes.Unimplemented, "filters, exactly-once delivery, transforms, and what is no pull")
	}
	if s.GetAckDeadlineSeconds() == 0 {
		s.AckDeadlineSeconds = 10
	}
	if d := s.GetAckDeadlineSeconds(); d < 10 || d > 600 {
		return status.Errorf(codes.InvalidArgument, "an ack deadline of %d s", d)
	}
	if p := s.GetDeadLetterPolicy(); p != nil && (p.GetMaxDeliveryAttempts() < 5 || p.GetMaxDeliveryAttempts() > 100) {
		return status.Errorf(codes.InvalidArgument, "%d delivery attempts are not within 5 to 100", p.GetMaxDeliveryAttempts())
	}
	if p := s.GetRetryPolicy(); p != nil {
		least, most := p.GetMinimumBackoff().AsDuration(), p.GetMaximumBackoff().AsDuration()
		if least < 0 || most > 600*time.Second || least > most {
			return status.Error(codes.InvalidArgument, "a backoff that is not within 0 to 600 s")
		}
	}
	return nil
}

func (s *subscriber) CreateSubscription(_ context.Context, r *pubsubpb.Subscription) (*pubsubpb.Subscription, error) {
	if err := checked(r); err != nil {
		return nil, err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.subs[r.GetName()] != nil {
		return nil, status.Error(codes.AlreadyExists, "subscription exists")
	}
	if s.b.topics[r.GetTopic()] == nil {
		return nil, notFound("topic")
	}
	if p := r.GetDeadLetterPolicy(); p != nil && s.b.topics[p.GetDeadLetterTopic()] == nil {
		return nil, notFound("topic of dead letters")
	}
	r.State = pubsubpb.Subscription_ACTIVE
	if err := s.b.disk.apply(keepSubscription(r)); err != nil {
		return nil, err
	}
	s.b.subs[r.GetName()] = newSubscription(r)
	return r, nil
}

func (s *subscriber) GetSubscription(_ context.Context, r *pubsubpb.GetSubscriptionRequest) (*pubsubpb.Subscription, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	found := s.b.subs[r.GetSubscription()]
	if found == nil {
		return nil, notFound("subscription")
	}
	return found.proto, nil
}

// UpdateSubscription changes how long and how often, and nothing else.
func (s *subscriber) UpdateSubscription(_ context.Context, r *pubsubpb.UpdateSubscriptionRequest) (*pubsubpb.Subscription, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	found := s.b.subs[r.GetSubscription().GetName()]
	if found == nil {
		return nil, notFound("subscription")
	}
	next := proto.Clone(found.proto).(*pubsubpb.Subscription)
	for _, path := range r.GetUpdateMask().GetPaths() {
		switch path {
		case "ack_deadline_seconds":
			next.AckDeadlineSeconds = r.GetSubscription().GetAckDeadlineSeconds()
		case "retry_policy":
			next.RetryPolicy = r.GetSubscription().GetRetryPolicy()
		case "dead_letter_policy":
			next.DeadLetterPolicy = r.GetSubscription().GetDeadLetterPolicy()
		default:
			return nil, status.Errorf(codes.Unimplemented, "an update of %s", path)
		}
	}
	if err := checked(next); err != nil {
		return nil, err
	}
	found.proto = next
	return next, s.b.disk.apply(keepSubscription(next))
}

func (s *subscriber) ListSubscriptions(_ context.Context, r *pubsubpb.ListSubscriptionsRequest) (*pubsubpb.ListSubscriptionsResponse, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	res := &pubsubpb.ListSubscriptionsResponse{}
	for _, name := range slices.Sorted(maps.Keys(s.b.subs)) {
		if strings.HasPrefix(name, r.GetProject()+"/") {
			res.Subscriptions = append(res.Subscriptions, s.b.subs[name].proto)
		}
	}
	return res, nil
}

func (s *subscriber) DeleteSubscription(_ context.Context, r *pubsubpb.DeleteSubscriptionRequest) (*emptypb.Empty, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	found := s.b.subs[r.GetSubscription()]
	if found == nil {
		return nil, notFound("subscription")
	}
	changes := dropSubscription(r.GetSubscription())
	for _, i := range slices.Collect(maps.Values(found.items)) {
		changes = append(changes, s.b.remove(found, i)...)
	}
	delete(s.b.subs, r.GetSubscription())
	return &emptypb.Empty{}, s.b.disk.apply(changes...)
}

func (s *subscriber) Acknowledge(_ context.Context, r *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.settle(r.GetSubscription(), r.GetAckIds(), nil, nil)
}

func (s *subscriber) ModifyAckDeadline(_ context.Context, r *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	seconds := make([]int32, len(r.GetAckIds()))
	for i := range seconds {
		seconds[i] = r.GetAckDeadlineSeconds()
	}
	return &emptypb.Empty{}, s.settle(r.GetSubscription(), nil, r.GetAckIds(), seconds)
}

// settle acks messages and moves the deadlines of others. What is not in the
// caller's hands any more is left alone.
func (s *subscriber) settle(subscription string, acked, modified []string, seconds []int32) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	found := s.b.subs[subscription]
	if found == nil {
		return notFound("subscription")
	}
	now := s.b.now()
	var changes []change
	for _, id := range acked {
		if i := found.named(id); i != nil {
			changes = append(changes, s.b.remove(found, i)...)
		}
	}
	for n, id := range modified {
		if seconds[n] < 0 || seconds[n] > 600 {
			return status.Errorf(codes.InvalidArgument, "an ack deadline of %d s", seconds[n])
		}
		i := found.named(id)
		switch {
		case i == nil || !i.out():
		case seconds[n] == 0:
			changes = append(changes, s.b.refused(found, i, now)...)
		default:
			i.deadline = now.Add(time.Duration(seconds[n]) * time.Second)
		}
	}
	if err := s.b.disk.apply(changes...); err != nil {
		panic(fmt.Errorf("write the database: %w", err)) // memory and disk would differ
	}
	s.b.changed()
	return nil
}

// pullWait is how long a Pull waits for the first message.
const pullWait = 5 * time.Second

func (s *subscriber) Pull(ctx context.Context, r *pubsubpb.PullRequest) (*pubsubpb.PullResponse, error) {
	if r.GetMaxMessages() < 1 {
		return nil, status.Error(codes.InvalidArgument, "max_messages is less than one")
	}
	p := &pull{client: fmt.Sprintf("pull %p", r), most: int(r.GetMaxMessages()), given: make(chan struct{}, 1)}
	found, err := s.join(r.GetSubscription(), p, 0)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.given:
	case <-ctx.Done():
	case <-time.After(pullWait):
	}
	given := s.take(found, p)
	s.leave(found, p)
	return &pubsubpb.PullResponse{ReceivedMessages: given.GetReceivedMessages()}, nil
}

func (s *subscriber) join(name string, p *pull, seconds int32) (*subscription, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	found := s.b.subs[name]
	if found == nil {
		return nil, notFound("subscription")
	}
	if seconds == 0 {
		seconds = found.proto.GetAckDeadlineSeconds()
	}
	if seconds < 10 || seconds > 600 {
		return nil, status.Errorf(codes.InvalidArgument, "an ack deadline of %d s", seconds)
	}
	p.lease = time.Duration(seconds) * time.Second
	found.pulls = append(found.pulls, p)
	s.b.changed()
	return found, nil
}

// leave ends the asking. What was not sent yet waits again.
func (s *subscriber) leave(found *subscription, p *pull) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	found.pulls = slices.DeleteFunc(found.pulls, func(other *pull) bool { return other == p })
	for _, m := range p.out {
		if i := found.named(m.GetAckId()); i != nil {
			found.back(i)
		}
	}
	s.b.changed()
}

// take is what was handed out since.
func (s *subscriber) take(found *subscription, p *pull) *pubsubpb.StreamingPullResponse {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	res := &pubsubpb.StreamingPullResponse{
		ReceivedMessages: p.out,
		SubscriptionProperties: &pubsubpb.StreamingPullResponse_SubscriptionProperties{
			MessageOrderingEnabled: found.proto.GetEnableMessageOrdering(),
		},
	}
	p.out = nil
	return res
}

func (s *subscriber) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	p := &pull{client: first.GetClientId(), most: int(first.GetMaxOutstandingMessages()), given: make(chan struct{}, 1)}
	if p.client == "" {
		p.client = fmt.Sprintf("stream %p", p)
	}
	found, err := s.join(first.GetSubscription(), p, first.GetStreamAckDeadlineSeconds())
	if err != nil {
		return err
	}
	defer s.leave(found, p)
	ended := make(chan error, 1)
	go func() { ended <- s.listen(stream, first, p) }()
	for {
		select {
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.b.quit:
			return status.Error(codes.Unavailable, "the server ends")
		case <-p.given:
			if err := stream.Send(s.take(found, p)); err != nil {
				return err
			}
		}
	}
}

// listen does what the client says on the stream. One that says nothing asks
// whether the server is there.
func (s *subscriber) listen(stream pubsubpb.Subscriber_StreamingPullServer, first *pubsubpb.StreamingPullRequest, p *pull) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if seconds := r.GetStreamAckDeadlineSeconds(); seconds >= 10 && seconds <= 600 {
			s.b.mu.Lock()
			p.lease = time.Duration(seconds) * time.Second
			s.b.mu.Unlock()
		}
		if len(r.GetModifyDeadlineAckIds()) != len(r.GetModifyDeadlineSeconds()) {
			return status.Error(codes.InvalidArgument, "deadlines and their ids differ in number")
		}
		if len(r.GetAckIds())+len(r.GetModifyDeadlineAckIds()) > 0 {
			if err := s.settle(first.GetSubscription(), r.GetAckIds(), r.GetModifyDeadlineAckIds(), r.GetModifyDeadlineSeconds()); err != nil {
				return err
			}
			continue
		}
		select {
		case p.given <- struct{}{}: // an empty response
		default:
		}
	}
}
