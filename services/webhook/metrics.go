package webhook

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How an event ends.
const (
	endTaken   = "taken"
	endGivenUp = "given_up"
)

// What became of a request, beside the reasons.
const (
	attemptTaken = "taken"
	attemptGone  = "gone"
)

// metrics are the stage's. No label is of a tenant, an endpoint or a person.
type metrics struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
	ages     *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_webhook_attempts_total",
			Help: "Requests to servers of tenants, by what became of them: taken, status (another answer), gone, or why there was no answer."}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clarity_webhook_attempt_seconds",
			Help: "Time of a request to a server of a tenant.", Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}}),
		ages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "clarity_webhook_event_age_seconds",
			Help: "Time from an event to its being taken by a server of a tenant, or given up.", Buckets: []float64{.1, .5, 1, 5, 30, 60, 300, 900, 3600, 14400, 43200, 86400}}, []string{"outcome"}),
	}
	for _, outcome := range []string{attemptTaken, attemptGone, reasonStatus, reasonTimeout, reasonConnection, reasonCertificate, reasonName, reasonNotPublic, reasonAddress} {
		m.attempts.WithLabelValues(outcome)
	}
	for _, outcome := range []string{endTaken, endGivenUp} {
		m.ages.WithLabelValues(outcome)
	}
	return m
}

// attempt counts a request.
func (m *metrics) attempt(came answer, took time.Duration) {
	outcome := came.reason
	switch {
	case came.well():
		outcome = attemptTaken
	case came.status == http.StatusGone:
		outcome = attemptGone
	}
	m.attempts.WithLabelValues(outcome).Inc()
	m.duration.Observe(took.Seconds())
}

// ended counts an event that nobody sends any more.
func (m *metrics) ended(how string, age time.Duration) {
	m.ages.WithLabelValues(how).Observe(max(age, 0).Seconds())
}

func awayDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_webhook_circuits_open", "Servers of tenants that this process leaves alone for a while, as they take nothing.", nil, nil)
}

func waitingDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_webhook_waiting_seconds", "For how long the server of a tenant takes nothing that has taken nothing for the longest, as this process knows: what is for it waits; 0 where all take what comes.", nil, nil)
}

// Describe is prometheus.Collector's.
func (s *Stage) Describe(to chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{s.metrics.attempts, s.metrics.duration, s.metrics.ages} {
		c.Describe(to)
	}
	to <- awayDesc()
	to <- waitingDesc()
}

// Collect is prometheus.Collector's.
func (s *Stage) Collect(to chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{s.metrics.attempts, s.metrics.duration, s.metrics.ages} {
		c.Collect(to)
	}
	n, since := s.circuits.away()
	waiting := 0.0
	if n > 0 {
		waiting = max(s.Now().Sub(since), 0).Seconds()
	}
	to <- prometheus.MustNewConstMetric(awayDesc(), prometheus.GaugeValue, float64(n))
	to <- prometheus.MustNewConstMetric(waitingDesc(), prometheus.GaugeValue, waiting)
}
