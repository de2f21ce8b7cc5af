package wake

import "github.com/prometheus/client_golang/prometheus"

// What became of a wake.
const (
	outcomeWoken   = "woken"   // the service has taken it
	outcomeGone    = "gone"    // the token is of no device any more
	outcomeRefused = "refused" // the service does not take it
	outcomeFailed  = "failed"  // it is tried again
	outcomeSpared  = "spared"  // another wakes of it, too
	outcomeLate    = "late"    // it is given up
)

// metrics are the stage's. No label is of a person or a device.
type metrics struct{ wakes *prometheus.CounterVec }

func newMetrics() *metrics {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_wakes_total",
		Help: "Messages that wake devices, by what became of them: woken, gone, refused, failed (and tried again), spared (another wakes of it, too), late."}, []string{"outcome"})}
	for _, o := range []string{outcomeWoken, outcomeGone, outcomeRefused, outcomeFailed, outcomeSpared, outcomeLate} {
		m.wakes.WithLabelValues(o)
	}
	return m
}

func (m *metrics) count(outcome string) { m.wakes.WithLabelValues(outcome).Inc() }

// Describe is prometheus.Collector's.
func (s *Stage) Describe(to chan<- *prometheus.Desc) { s.metrics.wakes.Describe(to) }

// Collect is prometheus.Collector's.
func (s *Stage) Collect(to chan<- prometheus.Metric) { s.metrics.wakes.Collect(to) }
