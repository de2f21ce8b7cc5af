package pubsub_test

import (
	"context"
	"net"
	"path"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/genproto/googleapis/api/monitoredres"
	"google.golang.org/grpc"

	"github.com/clarity-loop/clarity/services/queue/pubsub"
)

// A door counts the messages without an ack where the clients go in and out, in
// place of Cloud Monitoring: at once, and for a peer that has none.
type door struct {
	monitoringpb.UnimplementedMetricServiceServer

	mu      sync.Mutex
	unacked map[string]map[string]bool // by subscription and message
	acks    map[string]string          // the message of each ack ID
}

// counted is the configuration whose messages are counted at its clients' door.
func counted(t *testing.T, cfg pubsub.Config) pubsub.Config {
	t.Helper()
	d := &door{unacked: map[string]map[string]bool{}, acks: map[string]string{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	monitoringpb.RegisterMetricServiceServer(server, d)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return cfg.Counting(l.Addr().String()).Dialing(grpc.WithUnaryInterceptor(d.pass), grpc.WithStreamInterceptor(d.stream))
}

func (d *door) pass(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if err := call(ctx, method, request, reply, c, options...); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch r := request.(type) {
	case *pubsubpb.Subscription:
		if d.unacked[r.GetName()] == nil {
			d.unacked[r.GetName()] = map[string]bool{}
		}
	case *pubsubpb.PublishRequest:
		for sub, unacked := range d.unacked {
			if topic, _, _ := strings.Cut(path.Base(sub), "."); topic != path.Base(r.GetTopic()) {
				continue
			}
			for _, id := range reply.(*pubsubpb.PublishResponse).GetMessageIds() {
				unacked[id] = true
			}
		}
	case *pubsubpb.AcknowledgeRequest:
		for _, id := range r.GetAckIds() {
			delete(d.unacked[r.GetSubscription()], d.acks[id])
		}
	}
	return nil
}

func (d *door) stream(ctx context.Context, desc *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, c, method, options...)
	return &doorStream{s, d}, err
}

type doorStream struct {
	grpc.ClientStream
	door *door
}

func (s *doorStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if r, is := m.(*pubsubpb.StreamingPullResponse); is && err == nil {
		s.door.mu.Lock()
		defer s.door.mu.Unlock()
		for _, one := range r.GetReceivedMessages() {
			s.door.acks[one.GetAckId()] = one.GetMessage().GetMessageId()
		}
	}
	return err
}

// ListTimeSeries answers as Cloud Monitoring does.
func (d *door) ListTimeSeries(context.Context, *monitoringpb.ListTimeSeriesRequest) (*monitoringpb.ListTimeSeriesResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := &monitoringpb.ListTimeSeriesResponse{}
	for sub, unacked := range d.unacked {
		all.TimeSeries = append(all.TimeSeries, &monitoringpb.TimeSeries{
			Resource: &monitoredres.MonitoredResource{Type: "pubsub_subscription", Labels: map[string]string{"subscription_id": path.Base(sub)}},
			Points:   []*monitoringpb.Point{{Value: &monitoringpb.TypedValue{Value: &monitoringpb.TypedValue_Int64Value{Int64Value: int64(len(unacked))}}}},
		})
	}
	return all, nil
}
