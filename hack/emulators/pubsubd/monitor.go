package main

import (
	"context"
	"path"
	"strings"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"google.golang.org/genproto/googleapis/api/metric"
	"google.golang.org/genproto/googleapis/api/monitoredres"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// monitor serves the one metric of google.monitoring.v3.MetricService.
type monitor struct {
	monitoringpb.UnimplementedMetricServiceServer
	b *broker
}

const undelivered = "pubsub.googleapis.com/subscription/num_undelivered_messages"

// ListTimeSeries has a point of now for each subscription of the project.
func (m *monitor) ListTimeSeries(_ context.Context, r *monitoringpb.ListTimeSeriesRequest) (*monitoringpb.ListTimeSeriesResponse, error) {
	if r.GetFilter() != `metric.type = "`+undelivered+`"` {
		return nil, status.Error(codes.Unimplemented, "another filter than metric.type = \""+undelivered+"\"")
	}
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	now := timestamppb.New(m.b.now())
	res := &monitoringpb.ListTimeSeriesResponse{}
	for name, s := range m.b.subs {
		if !strings.HasPrefix(name, r.GetName()+"/") {
			continue
		}
		res.TimeSeries = append(res.TimeSeries, &monitoringpb.TimeSeries{
			Metric:   &metric.Metric{Type: undelivered},
			Resource: &monitoredres.MonitoredResource{Type: "pubsub_subscription", Labels: map[string]string{"subscription_id": path.Base(name)}},
			Points: []*monitoringpb.Point{{
				Interval: &monitoringpb.TimeInterval{EndTime: now},
				Value:    &monitoringpb.TypedValue{Value: &monitoringpb.TypedValue_Int64Value{Int64Value: int64(len(s.items))}},
			}},
		})
	}
	return res, nil
}
