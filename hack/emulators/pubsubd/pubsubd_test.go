package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	monitoring "cloud.google.com/go/monitoring/apiv3/v2"
	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

var background = context.Background()

const (
	project = "projects/test"
	topic   = project + "/topics/uploads"
	sub     = project + "/subscriptions/uploads.intake"
)

// serve serves what the directory has, until the test ends or the function returned
// is called.
func serve(t *testing.T, dir string) (address string, stop func()) {
	t.Helper()
	b, err := open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server, b)
	go func() { _ = server.Serve(l) }()
	stop = sync.OnceFunc(func() {
		server.Stop()
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func options(address string) []option.ClientOption {
	return []option.ClientOption{option.WithEndpoint(address), option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))}
}

// connect is the official client.
func connect(t *testing.T, address string) *pubsub.Client {
	t.Helper()
	c, err := pubsub.NewClient(background, "test", options(address)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// prepare makes the topic and an ordered subscription.
func prepare(t *testing.T, c *pubsub.Client, change ...func(*pubsubpb.Subscription)) {
	t.Helper()
	if _, err := c.TopicAdminClient.CreateTopic(background, &pubsubpb.Topic{Name: topic}); err != nil {
		t.Fatal(err)
	}
	s := &pubsubpb.Subscription{Name: sub, Topic: topic, EnableMessageOrdering: true}
	for _, f := range change {
		f(s)
	}
	if _, err := c.SubscriptionAdminClient.CreateSubscription(background, s); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, c *pubsub.Client, key string, bodies ...string) {
	t.Helper()
	r := &pubsubpb.PublishRequest{Topic: topic}
	for _, body := range bodies {
		r.Messages = append(r.Messages, &pubsubpb.PubsubMessage{Data: []byte(body), OrderingKey: key})
	}
	if _, err := c.TopicAdminClient.Publish(background, r); err != nil {
		t.Fatal(err)
	}
}

// A told is what a handler was given, and when.
type told struct {
	*pubsub.Message
	at time.Time
}

// receive runs the client's Receive until the function returned is called.
func receive(t *testing.T, c *pubsub.Client, most int, handle func(*pubsub.Message)) (got chan told, stop func()) {
	t.Helper()
	got = make(chan told, 1000)
	s := c.Subscriber(sub)
	s.ReceiveSettings.MaxOutstandingMessages = most
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
			got <- told{m, time.Now()}
			handle(m)
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Receive: %v", err)
		}
	})
	t.Cleanup(stop)
	return got, stop
}

func next(t *testing.T, got <-chan told) told {
	t.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

func expect(t *testing.T, got <-chan told, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if m := next(t, got); string(m.Data) != body {
			t.Fatalf("%q comes, want %q", m.Data, body)
		}
	}
}

func ack(m *pubsub.Message) { m.Ack() }

// What holds of Google's fake holds here: these cases pass over both.
func TestAsPstest(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *pubsub.Client){
		"messages of a key come in order":  testOrder,
		"a refused message comes first":    testRefused,
		"two clients share a subscription": testShared,
		"two subscriptions get all":        testTwo,
		"pull":                             testPull,
		"what is illegal":                  testIllegal,
		"lists":                            testLists,
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("pubsubd", func(t *testing.T) {
				address, _ := serve(t, t.TempDir())
				test(t, connect(t, address))
			})
			t.Run("pstest", func(t *testing.T) {
				server := pstest.NewServer()
				t.Cleanup(func() { _ = server.Close() })
				test(t, connect(t, server.Addr))
			})
		})
	}
}

func testOrder(t *testing.T, c *pubsub.Client) {
	prepare(t, c)
	publish(t, c, "a", "1", "2", "3")
	got, _ := receive(t, c, 10, ack)
	expect(t, got, "1", "2", "3")
}

func testRefused(t *testing.T, c *pubsub.Client) {
	prepare(t, c)
	publish(t, c, "a", "1", "2")
	first := true
	got, _ := receive(t, c, 10, func(m *pubsub.Message) {
		if first {
			first = false
			m.Nack()
			return
		}
		m.Ack()
	})
	expect(t, got, "1")
	for {
		if string(next(t, got).Data) == "1" { // what was sent with it may come in between
			return
		}
	}
}

func testShared(t *testing.T, c *pubsub.Client) {
	prepare(t, c)
	for i := range 20 {
		publish(t, c, fmt.Sprint(i), "x")
	}
	one, _ := receive(t, c, 1, func(m *pubsub.Message) { time.Sleep(20 * time.Millisecond); m.Ack() })
	two, _ := receive(t, c, 1, func(m *pubsub.Message) { time.Sleep(20 * time.Millisecond); m.Ack() })
	keys := map[string]bool{}
	for len(keys) < 20 {
		select {
		case m := <-one:
			keys[m.OrderingKey] = true
		case m := <-two:
			keys[m.OrderingKey] = true
		case <-time.After(10 * time.Second):
			t.Fatalf("%d of 20 come", len(keys))
		}
	}
}

func testTwo(t *testing.T, c *pubsub.Client) {
	prepare(t, c)
	other := &pubsubpb.Subscription{Name: project + "/subscriptions/uploads.other", Topic: topic}
	if _, err := c.SubscriptionAdminClient.CreateSubscription(background, other); err != nil {
		t.Fatal(err)
	}
	publish(t, c, "a", "1")
	for _, name := range []string{sub, other.Name} {
		res, err := c.SubscriptionAdminClient.Pull(background, &pubsubpb.PullRequest{Subscription: name, MaxMessages: 5})
		if err != nil || len(res.ReceivedMessages) != 1 {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
}

func testPull(t *testing.T, c *pubsub.Client) {
	prepare(t, c)
	publish(t, c, "a", "1")
	publish(t, c, "b", "2")
	res, err := c.SubscriptionAdminClient.Pull(background, &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 1})
	if err != nil || len(res.ReceivedMessages) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	if err := c.SubscriptionAdminClient.Acknowledge(background, &pubsubpb.AcknowledgeRequest{Subscription: sub, AckIds: []string{res.ReceivedMessages[0].AckId}}); err != nil {
		t.Fatal(err)
	}
	again, err := c.SubscriptionAdminClient.Pull(background, &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 5})
	if err != nil || len(again.ReceivedMessages) != 1 || again.ReceivedMessages[0].Message.OrderingKey == res.ReceivedMessages[0].Message.OrderingKey {
		t.Errorf("%v, %v", again, err)
	}
}

func testIllegal(t *testing.T, c *pubsub.Client) {
	prepare(t, c)
	tests := map[string]struct {
		call func() error
		want codes.Code
	}{
		"a topic again": {func() error {
			_, err := c.TopicAdminClient.CreateTopic(background, &pubsubpb.Topic{Name: topic})
			return err
		}, codes.AlreadyExists},
		"a subscription again": {func() error {
			_, err := c.SubscriptionAdminClient.CreateSubscription(background, &pubsubpb.Subscription{Name: sub, Topic: topic})
			return err
		}, codes.AlreadyExists},
		"a subscription of no topic": {func() error {
			_, err := c.SubscriptionAdminClient.CreateSubscription(background, &pubsubpb.Subscription{Name: sub + "x", Topic: topic + "x"})
			return err
		}, codes.NotFound},
		"publish to no topic": {func() error {
			_, err := c.TopicAdminClient.Publish(background, &pubsubpb.PublishRequest{Topic: topic + "x", Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x")}}})
			return err
		}, codes.NotFound},
		"get of no topic": {func() error {
			_, err := c.TopicAdminClient.GetTopic(background, &pubsubpb.GetTopicRequest{Topic: topic + "x"})
			return err
		}, codes.NotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.call(); status.Code(err) != tt.want {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func testLists(t *testing.T, c *pubsub.Client) {
	prepare(t, c)
	s, err := c.SubscriptionAdminClient.ListSubscriptions(background, &pubsubpb.ListSubscriptionsRequest{Project: project}).Next()
	if err != nil || s.GetName() != sub || s.GetTopic() != topic {
		t.Errorf("%v, %v", s, err)
	}
	of, err := c.TopicAdminClient.ListTopicSubscriptions(background, &pubsubpb.ListTopicSubscriptionsRequest{Topic: topic}).Next()
	if err != nil || of != sub {
		t.Errorf("%v, %v", of, err)
	}
	if err := c.TopicAdminClient.DeleteTopic(background, &pubsubpb.DeleteTopicRequest{Topic: topic}); err != nil {
		t.Fatal(err)
	}
	s, err = c.SubscriptionAdminClient.GetSubscription(background, &pubsubpb.GetSubscriptionRequest{Subscription: sub})
	if err != nil || s.GetTopic() != "_deleted-topic_" {
		t.Errorf("%v, %v", s, err)
	}
	if err := c.SubscriptionAdminClient.DeleteSubscription(background, &pubsubpb.DeleteSubscriptionRequest{Subscription: sub}); err != nil {
		t.Error(err)
	}
}

// What Google's fake does not do.

func TestARefusedMessageBacksOff(t *testing.T) {
	address, _ := serve(t, "")
	c := connect(t, address)
	prepare(t, c, func(s *pubsubpb.Subscription) {
		s.RetryPolicy = &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(400 * time.Millisecond), MaximumBackoff: durationpb.New(time.Second)}
	})
	publish(t, c, "a", "x")
	got, _ := receive(t, c, 10, func(m *pubsub.Message) { m.Nack() })
	before := next(t, got).at
	for _, least := range []time.Duration{400 * time.Millisecond, 800 * time.Millisecond, time.Second, time.Second} {
		at := next(t, got).at
		if waited := at.Sub(before); waited < least || waited > least+700*time.Millisecond {
			t.Errorf("it comes again after %v, want %v", waited, least)
		}
		before = at
	}
}

func TestADeadLetterLetsItsKeyGoOn(t *testing.T) {
	address, _ := serve(t, t.TempDir())
	c := connect(t, address)
	lost := &pubsubpb.Topic{Name: topic + ".lost"}
	if _, err := c.TopicAdminClient.CreateTopic(background, lost); err != nil {
		t.Fatal(err)
	}
	of := project + "/subscriptions/uploads.lost"
	if _, err := c.SubscriptionAdminClient.CreateSubscription(background, &pubsubpb.Subscription{Name: of, Topic: lost.Name}); err != nil {
		t.Fatal(err)
	}
	prepare(t, c, func(s *pubsubpb.Subscription) {
		s.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: lost.Name, MaxDeliveryAttempts: 5}
	})
	publish(t, c, "a", "poison", "behind it")
	var attempts []int
	got, _ := receive(t, c, 1, func(m *pubsub.Message) {
		if string(m.Data) == "poison" {
			attempts = append(attempts, *m.DeliveryAttempt)
			m.Nack()
			return
		}
		m.Ack()
	})
	expect(t, got, "poison", "poison", "poison", "poison", "poison", "behind it")
	if fmt.Sprint(attempts) != "[1 2 3 4 5]" {
		t.Errorf("attempts %v", attempts)
	}
	res, err := c.SubscriptionAdminClient.Pull(background, &pubsubpb.PullRequest{Subscription: of, MaxMessages: 5})
	if err != nil || len(res.GetReceivedMessages()) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	if m := res.GetReceivedMessages()[0].GetMessage(); string(m.GetData()) != "poison" || m.GetAttributes()["CloudPubSubDeadLetterSourceSubscription"] != sub {
		t.Errorf("the dead letter is %v", m)
	}
}

// While a client has messages of a key no other is given any, though it has no room.
func TestAKeyIsInOneHand(t *testing.T) {
	address, _ := serve(t, "")
	c := connect(t, address)
	prepare(t, c)
	let := make(chan struct{})
	one, _ := receive(t, c, 2, func(m *pubsub.Message) { <-let; m.Ack() })
	publish(t, c, "a", "1", "2", "3", "4")
	expect(t, one, "1")
	two, _ := receive(t, c, 10, ack)
	publish(t, c, "b", "other")
	expect(t, two, "other")
	select {
	case m := <-two:
		t.Errorf("%q comes to the other client", m.Data)
	case <-time.After(300 * time.Millisecond):
	}
	close(let)
	expect(t, one, "2") // the rest may go to either
}

// A client takes no more than it has room for, and no key has all turns.
func TestTurnsAndRoom(t *testing.T) {
	address, _ := serve(t, "")
	c := connect(t, address)
	prepare(t, c)
	publish(t, c, "much", strings.Split(strings.Repeat("m", 60), "")...)
	publish(t, c, "little", "l")
	res, err := c.SubscriptionAdminClient.Pull(background, &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 4})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, m := range res.GetReceivedMessages() {
		found = found || m.GetMessage().GetOrderingKey() == "little"
	}
	if len(res.GetReceivedMessages()) != 4 || !found {
		t.Errorf("of 4 asked for: %v", res)
	}
}

// What is acked is gone, what is not comes again, and no ID comes twice, over a stop.
func TestItOutlivesAStop(t *testing.T) {
	dir := t.TempDir()
	address, stop := serve(t, dir)
	c := connect(t, address)
	prepare(t, c)
	publish(t, c, "a", "1", "2")
	publish(t, c, "b", "3")
	res, err := c.SubscriptionAdminClient.Pull(background, &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 10})
	if err != nil || len(res.GetReceivedMessages()) != 3 {
		t.Fatalf("%v, %v", res, err)
	}
	ids, kept := map[string]bool{}, ""
	for _, m := range res.GetReceivedMessages() {
		ids[m.GetMessage().GetMessageId()] = true
		if string(m.GetMessage().GetData()) == "1" {
			kept = m.GetAckId()
		}
	}
	if err := c.SubscriptionAdminClient.Acknowledge(background, &pubsubpb.AcknowledgeRequest{Subscription: sub, AckIds: []string{kept}}); err != nil {
		t.Fatal(err)
	}
	stop()
	address, _ = serve(t, dir)
	c = connect(t, address)
	publish(t, c, "a", "4")
	got, _ := receive(t, c, 10, ack)
	bodies := map[string]bool{}
	for len(bodies) < 3 {
		m := next(t, got)
		bodies[string(m.Data)] = true
		if string(m.Data) == "4" && ids[m.ID] {
			t.Errorf("the ID %s comes twice", m.ID)
		}
	}
	if bodies["1"] {
		t.Error("what was acked comes again")
	}
}

// Who let a deadline pass is not given the message again while another could have it.
func TestADeadlineThatPasses(t *testing.T) {
	now := time.Now()
	b, err := open("", func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	s := newSubscription(&pubsubpb.Subscription{Name: sub, EnableMessageOrdering: true})
	one := &pull{client: "one", lease: time.Second, given: make(chan struct{}, 1)}
	two := &pull{client: "two", lease: time.Second, given: make(chan struct{}, 1)}
	s.pulls = []*pull{one, two}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[sub] = s
	s.add(&message{id: 1, proto: &pubsubpb.PubsubMessage{OrderingKey: "a"}})
	b.turn()
	now = now.Add(2 * time.Second)
	b.turn()
	now = now.Add(2 * time.Second)
	s.pulls = s.pulls[1:]
	b.turn()
	if len(one.out) != 1 || len(two.out) != 2 {
		t.Errorf("the one got it %d times, the other %d, want 1 and, for want of another, 2", len(one.out), len(two.out))
	}
}

// An ack that comes late counts, unless somebody else has the message by then.
func TestALateAck(t *testing.T) {
	b, err := open("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := newSubscription(&pubsubpb.Subscription{Name: sub, EnableMessageOrdering: true})
	b.subs[sub] = s
	i := s.add(&message{id: 1, proto: &pubsubpb.PubsubMessage{OrderingKey: "a"}})
	now := time.Now()
	s.give(i, "one", now.Add(time.Second))
	first := i.ackID()
	if b.refused(s, i, now); s.named(first) != i {
		t.Error("an ack before it is handed out again does not count")
	}
	s.give(i, "two", now.Add(time.Second))
	if s.named(first) != nil {
		t.Error("an ack of who has lost it counts")
	}
}

func TestWhatIsNotThereIsRefused(t *testing.T) {
	address, _ := serve(t, "")
	c := connect(t, address)
	prepare(t, c)
	for name, s := range map[string]*pubsubpb.Subscription{
		"a filter":            {Filter: `attributes.a = "b"`},
		"exactly once":        {EnableExactlyOnceDelivery: true},
		"push":                {PushConfig: &pubsubpb.PushConfig{PushEndpoint: "https://example.com"}},
		"transforms":          {MessageTransforms: []*pubsubpb.MessageTransform{{}}},
		"a deadline too soon": {AckDeadlineSeconds: 1},
		"too many attempts":   {DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topic, MaxDeliveryAttempts: 101}},
		"a backoff too long":  {RetryPolicy: &pubsubpb.RetryPolicy{MaximumBackoff: durationpb.New(time.Hour)}},
	} {
		s.Name, s.Topic = sub+"x", topic
		_, err := c.SubscriptionAdminClient.CreateSubscription(background, s)
		if code := status.Code(err); code != codes.Unimplemented && code != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]*pubsubpb.PubsubMessage{
		"nothing":              {OrderingKey: "a"},
		"a key too long":       {Data: []byte("x"), OrderingKey: strings.Repeat("k", 1025)},
		"an attribute of ours": {Attributes: map[string]string{"googx": "y"}},
		"an attribute too":     {Attributes: map[string]string{"x": strings.Repeat("y", 1025)}},
	} {
		_, err := c.TopicAdminClient.Publish(background, &pubsubpb.PublishRequest{Topic: topic, Messages: []*pubsubpb.PubsubMessage{m}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("a message of %s: %v", name, err)
		}
	}
	if _, err := c.SubscriptionAdminClient.Pull(background, &pubsubpb.PullRequest{Subscription: sub + "x", MaxMessages: 1}); status.Code(err) != codes.NotFound {
		t.Errorf("a pull of no subscription: %v", err)
	}
	_, err := c.SubscriptionAdminClient.UpdateSubscription(background, &pubsubpb.UpdateSubscriptionRequest{
		Subscription: &pubsubpb.Subscription{Name: sub, Filter: "x"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"filter"}},
	})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("an update of the filter: %v", err)
	}
}

func TestMonitoringCounts(t *testing.T) {
	address, _ := serve(t, "")
	c := connect(t, address)
	prepare(t, c)
	publish(t, c, "a", "1", "2")
	m, err := monitoring.NewMetricClient(background, options(address)...)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	series, err := m.ListTimeSeries(background, &monitoringpb.ListTimeSeriesRequest{Name: project, Filter: `metric.type = "` + undelivered + `"`}).Next()
	if err != nil || series.GetResource().GetLabels()["subscription_id"] != "uploads.intake" || series.GetPoints()[0].GetValue().GetInt64Value() != 2 {
		t.Errorf("%v, %v", series, err)
	}
}
