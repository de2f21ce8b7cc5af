package gate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	clocktesting "k8s.io/utils/clock/testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
)

// The step began at the hour; it is ten minutes old. Scrapes come every 15 s.
var (
	stepBegan = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	now       = stepBegan.Add(10 * time.Minute)
)

const scrape = 15 * time.Second

// A world is what workers told about versions, scrape by scrape.
type world struct {
	families map[string][]string // by metric family
	kinds    map[string]string
}

func newWorld() *world { return &world{map[string][]string{}, map[string]string{}} }

// count adds a counter that is scraped from one moment to another, told from the step's beginning.
func (w *world) count(metric, labels string, from, to time.Duration, value func(at time.Duration) float64) {
	w.add(strings.TrimSuffix(metric, "_total"), "counter", metric, labels, from, to, value)
}

func (w *world) add(family, kind, metric, labels string, from, to time.Duration, value func(at time.Duration) float64) {
	w.kinds[family] = kind
	for at := from; at <= to; at += scrape {
		w.families[family] = append(w.families[family],
			fmt.Sprintf("%s{%s} %v %d", metric, labels, value(at), stepBegan.Add(at).Unix()))
	}
}

// histogram adds one: how many of the observations so far are within each bound, and their sum.
func (w *world) histogram(metric, labels string, from, to time.Duration, bounds []string, shares []float64, total func(time.Duration) float64, mean float64) {
	for i, bound := range append(slices.Clone(bounds), "+Inf") {
		share := 1.0
		if i < len(shares) {
			share = shares[i]
		}
		w.add(metric, "histogram", metric+"_bucket", labels+fmt.Sprintf(",le=%q", bound), from, to, func(at time.Duration) float64 { return share * total(at) })
	}
	w.add(metric, "histogram", metric+"_count", labels, from, to, total)
	w.add(metric, "histogram", metric+"_sum", labels, from, to, func(at time.Duration) float64 { return mean * total(at) })
}

func (w *world) openMetrics() string {
	var b strings.Builder
	for family, lines := range w.families {
		fmt.Fprintf(&b, "# TYPE %s %s\n%s\n", family, w.kinds[family], strings.Join(lines, "\n"))
	}
	return b.String()
}

// requests adds a worker's counter of requests.
func (w *world) requests(model, worker, role, outcome string, from, to time.Duration, value func(time.Duration) float64) {
	w.count(traffic.MetricRequests, labelsOf(model, worker)+fmt.Sprintf(",role=%q,outcome=%q", role, outcome), from, to, value)
}

// replies adds a worker's histogram of reply times with the bounds 0.1, 0.25 and 1.
func (w *world) replies(model, worker, role string, from, to time.Duration, shares []float64, total func(time.Duration) float64) {
	w.histogram(traffic.MetricDuration, labelsOf(model, worker)+fmt.Sprintf(",role=%q", role), from, to, []string{"0.1", "0.25", "1.0"}, shares, total, 0.05)
}

func labelsOf(model, worker string) string {
	return fmt.Sprintf("model=%q,version=\"v2\",instance=%q", model, worker)
}

// minutes is a rate: so many a minute since the step began, on top of what was there.
func minutes(n float64, before float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 { return before + n*max(at, 0).Minutes() }
}

func constant(n float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return n }
}

func question(model string) gate.Question {
	return gate.Question{Model: model, Version: "v2", Baseline: "v1", Since: stepBegan, Now: now}
}

func newGates(t *testing.T, url string, change ...func(*gate.Config)) *gate.Prometheus {
	t.Helper()
	g, _ := newGatesAndClock(t, url, change...)
	return g
}

func newGatesAndClock(t *testing.T, url string, change ...func(*gate.Config)) (*gate.Prometheus, *clocktesting.FakePassiveClock) {
	t.Helper()
	config := gate.Config{URL: url}
	for _, c := range change {
		c(&config)
	}
	clock := clocktesting.NewFakePassiveClock(now)
	g, err := gate.New(config, clock)
	if err != nil {
		t.Fatal(err)
	}
	return g, clock
}

func atMost(source v1alpha1.GateSource, limit string) v1alpha1.Gate {
	q := resource.MustParse(limit)
	return v1alpha1.Gate{Name: "gate", Source: source, Max: &q, OnInsufficientData: v1alpha1.InsufficientWait}
}

func atLeast(source v1alpha1.GateSource, limit string) v1alpha1.Gate {
	g := atMost(source, limit)
	g.Min, g.Max = g.Max, nil
	return g
}

func policy(g v1alpha1.Gate, p v1alpha1.InsufficientDataPolicy) v1alpha1.Gate {
	g.OnInsufficientData = p
	return g
}

func latency() v1alpha1.GateSource {
	return v1alpha1.GateSource{Latency: &v1alpha1.LatencySource{Percentile: "p99"}}
}
func errorRate() v1alpha1.GateSource {
	return v1alpha1.GateSource{ErrorRate: &v1alpha1.ErrorRateSource{}}
}
func nan() v1alpha1.GateSource { return v1alpha1.GateSource{NaN: &v1alpha1.NaNSource{}} }
func drift(output string) v1alpha1.GateSource {
	return v1alpha1.GateSource{ShadowDrift: &v1alpha1.ShadowDriftSource{Output: output}}
}
func promQL(query string) v1alpha1.GateSource {
	return v1alpha1.GateSource{Prometheus: &v1alpha1.PrometheusSource{Query: query}}
}

func duration(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
