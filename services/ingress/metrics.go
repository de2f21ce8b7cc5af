package ingress

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are counted by route template, method and status class: a written-out
// list, so that no client can add a series.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	byRoute  map[*route]*routeMetrics
	none     *routeMetrics

	ack     prometheus.Histogram
	uploads *prometheus.CounterVec
	samples *prometheus.CounterVec
	bytes   prometheus.Counter
	streams prometheus.Gauge
	panics  prometheus.Counter

	accepted, rejected prometheus.Counter
}

type routeMetrics struct {
	classes  [6]prometheus.Counter // by the status' first digit
	duration prometheus.Observer
}

// uploadOutcomes are the values of the uploads' label.
func uploadOutcomes() []string {
	return []string{"accepted", "repeated", "conflict", "refused", "failed"}
}

func newMetrics(r *prometheus.Registry, table []route) (*metrics, error) {
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "clarity_http_request_seconds", Help: "Time from the headers to the reply's head.", Buckets: seconds}, []string{"route", "method"}),
		ack:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clarity_upload_ack_seconds", Help: "Time from an upload's headers to its 202, durable.", Buckets: seconds}),
		uploads:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_uploads_total", Help: "Uploads by outcome."}, []string{"outcome"}),
		samples:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_upload_entries_total", Help: "Samples and deletions of acked uploads by verdict."}, []string{"verdict"}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "clarity_upload_bytes_total", Help: "Bytes of acked uploads as received."}),
		streams:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "clarity_streams_open", Help: "Event, insight and export streams open now."}),
		panics:   prometheus.NewCounter(prometheus.CounterOpts{Name: "clarity_http_panics_total", Help: "Requests that ended in a panic."}),
		byRoute:  map[*route]*routeMetrics{},
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.ack, m.uploads, m.samples, m.bytes, m.streams, m.panics} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the ingress metrics: %w", err)
		}
	}
	for i := range table {
		m.byRoute[&table[i]] = m.of(table[i].path, table[i].method)
	}
	m.none = m.of("none", "any")
	for _, outcome := range uploadOutcomes() {
		m.uploads.WithLabelValues(outcome)
	}
	m.accepted, m.rejected = m.samples.WithLabelValues("accepted"), m.samples.WithLabelValues("rejected")
	return m, nil
}

func (m *metrics) of(path, method string) *routeMetrics {
	r := &routeMetrics{duration: m.duration.WithLabelValues(path, method)}
	for class := 1; class <= 5; class++ {
		r.classes[class] = m.requests.WithLabelValues(path, method, strconv.Itoa(class)+"xx")
	}
	return r
}

func (m *metrics) request(r *route, status int, took time.Duration) {
	of := m.none
	if known, ok := m.byRoute[r]; ok {
		of = known
	}
	if class := status / 100; class >= 1 && class <= 5 {
		of.classes[class].Inc()
	}
	of.duration.Observe(took.Seconds())
}
