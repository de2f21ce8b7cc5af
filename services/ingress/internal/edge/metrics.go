package edge

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
	byRoute  map[Route]*routeMetrics
	none     *routeMetrics
	panics   prometheus.Counter
}

type routeMetrics struct {
	classes  [6]prometheus.Counter // by the status' first digit
	duration prometheus.Observer
}

// Buckets are the bounds of a request's seconds, in every histogram of them.
func Buckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func newMetrics(r prometheus.Registerer, routes []Route) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "clarity_http_request_seconds", Help: "Time from the headers to the reply's head.", Buckets: Buckets()}, []string{"route", "method"}),
		panics:   prometheus.NewCounter(prometheus.CounterOpts{Name: "clarity_http_panics_total", Help: "Requests that ended in a panic."}),
		byRoute:  map[Route]*routeMetrics{},
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.panics} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the requests' metrics: %w", err)
		}
	}
	for _, route := range routes {
		m.byRoute[route] = m.of(route)
	}
	m.none = m.of(Route{Method: "any", Path: "none"})
	return m, nil
}

func (m *metrics) of(r Route) *routeMetrics {
	one := &routeMetrics{duration: m.duration.WithLabelValues(r.Path, r.Method)}
	for class := 1; class <= 5; class++ {
		one.classes[class] = m.requests.WithLabelValues(r.Path, r.Method, strconv.Itoa(class)+"xx")
	}
	return one
}

func (m *metrics) request(r Route, status int, took time.Duration) {
	of := m.none
	if known, ok := m.byRoute[r]; ok {
		of = known
	}
	if class := status / 100; class >= 1 && class <= 5 {
		of.classes[class].Inc()
	}
	of.duration.Observe(took.Seconds())
}
