package gemini

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genai"
)

// metrics are the Writer's. No label is of a person.
type metrics struct {
	requests *prometheus.CounterVec
	duration prometheus.Histogram
	tokens   *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_writer_requests_total",
			Help: "Texts that a language model was to write, by what became of them."}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clarity_writer_duration_seconds",
			Help: "Time of a text that a language model was to write.", Buckets: []float64{.01, .1, .25, .5, 1, 2, 3, 4, 6, 8, 10}}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_writer_tokens_total",
			Help: "Tokens as the language model counts them: of prompts, thoughts and answers."}, []string{"kind"}),
	}
	for _, o := range outcomes() {
		m.requests.WithLabelValues(string(o))
	}
	return m
}

// Describe is prometheus.Collector's.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	m.requests.Describe(to)
	m.duration.Describe(to)
	m.tokens.Describe(to)
}

// Collect is prometheus.Collector's.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	m.requests.Collect(to)
	m.duration.Collect(to)
	m.tokens.Collect(to)
}

func (m *metrics) count(o outcome, took time.Duration) {
	m.requests.WithLabelValues(string(o)).Inc()
	m.duration.Observe(took.Seconds())
}

// used counts what a question cost, also one whose answer cannot be used.
func (m *metrics) used(u *genai.GenerateContentResponseUsageMetadata) {
	if u == nil {
		return
	}
	for kind, n := range map[string]int32{"prompt": u.PromptTokenCount, "thought": u.ThoughtsTokenCount, "answer": u.CandidatesTokenCount} {
		if n > 0 { // a counter takes no less than nothing
			m.tokens.WithLabelValues(kind).Add(float64(n))
		}
	}
}
