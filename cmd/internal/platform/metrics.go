package platform

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
)

// newRegistry has the process, the collector, calls of drivers and the queue's depth,
// where there is a queue; the stages add theirs.
func newRegistry(q queue.Gauge, calls prometheus.Collector) (*prometheus.Registry, error) {
	all := []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), calls}
	if q != nil {
		all = append(all, depths{q})
	}
	r := prometheus.NewRegistry()
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return r, nil
}

// depths counts the queue's messages when it is asked.
type depths struct{ queue queue.Gauge }

func depthDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_queue_messages", "Messages of a topic for one of its consumers, by state: waiting, leased, dead.", []string{"topic", "consumer", "state"}, nil)
}

// Describe is prometheus.Collector's.
func (depths) Describe(to chan<- *prometheus.Desc) { to <- depthDesc() }

// Collect is prometheus.Collector's.
func (d depths) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for topic, names := range flow.Consumers() {
		for _, name := range names {
			depth, err := d.queue.Depth(ctx, topic, name)
			if err != nil {
				to <- prometheus.NewInvalidMetric(depthDesc(), err)
				continue
			}
			for state, n := range map[string]int{"waiting": depth.Waiting, "leased": depth.Leased, "dead": depth.Dead} {
				to <- prometheus.MustNewConstMetric(depthDesc(), prometheus.GaugeValue, float64(n), topic, name, state)
			}
		}
	}
}
