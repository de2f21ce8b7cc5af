package pubsub_test

import (
	"context"
	"path"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/genproto/googleapis/api/monitoredres"
	"google.golang.org/grpc"

	"github.com/clarity-loop/clarity/services/queue/pubsub"
)

// overPstest is a place in Google's own fake, which has no Cloud Monitoring: what
// that would count is counted at the clients' door.
func overPstest(t *testing.T) pubsub.Config {
	t.Helper()
	door := &door{unacked: map[string]map[string]bool{}}
	server := pstest.NewServerWithCallback(0, func(s *grpc.Server) { monitoringpb.RegisterMetricServiceServer(s, door) })
	t.Cleanup(func() { _ = server.Close() })
	return pubsub.Config{Project: "test", Emulator: server.Addr}.Dialing(grpc.WithUnaryInterceptor(door.pass))
}

// A door counts the messages without an ack.
type door struct {
	monitoringpb.UnimplementedMetricServiceServer

	mu      sync.Mutex
	unacked map[string]map[string]bool // by subscription and message
}

func (d *door) pass(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption) error {
	err := call(ctx, method, request, reply, c, options...)
	if err != nil {
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
			message, _, _ := strings.Cut(id, ":")
			delete(d.unacked[r.GetSubscription()], message)
		}
	}
	return nil
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
