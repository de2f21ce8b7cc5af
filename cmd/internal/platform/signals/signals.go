// Package signals measures what a process does with its backends, and has what it does
// be traced: calls of drivers, and messages that are sent and handled. It stands between
// the stages and the drivers, and neither knows it.
//
// Labels and attributes are words from written lists: rooms, operations, topics,
// consumers and classes of fault.
package signals

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/trace"
)

// Calls measures calls of drivers.
type Calls struct {
	seconds *prometheus.HistogramVec
	faults  *prometheus.CounterVec
}

// NewCalls has measured none.
func NewCalls() *Calls {
	return &Calls{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "clarity_driver_call_seconds", Help: "Time of a call of a driver, by the room of its contract and the operation.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"room", "op"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clarity_driver_faults_total", Help: "Calls of drivers that ended with a fault, by its class: unavailable, conflict, limit, broken, newer, canceled.",
		}, []string{"room", "op", "class"}),
	}
}

// Describe is prometheus.Collector's.
func (c *Calls) Describe(to chan<- *prometheus.Desc) {
	c.seconds.Describe(to)
	c.faults.Describe(to)
}

// Collect is prometheus.Collector's.
func (c *Calls) Collect(to chan<- prometheus.Metric) {
	c.seconds.Collect(to)
	c.faults.Collect(to)
}

// canceled is the class of a call that its caller did not wait for.
const canceled = "canceled"

// classOf is what kind of fault the error is; "" of an answer, such as that there is no
// such document.
func classOf(err error) string {
	var f *fault.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return canceled
	case errors.As(err, &f):
		return string(f.Class)
	}
	return ""
}

// failing says whether a class of fault is a failure: who was not the first reads again,
// and who does not wait wants nothing.
func failing(class string) bool {
	return class != "" && class != string(fault.Conflict) && class != canceled
}

// measure measures a call that began then and ended so, and is its class of fault.
func (c *Calls) measure(room, op string, began time.Time, err error) (class string) {
	c.seconds.WithLabelValues(room, op).Observe(time.Since(began).Seconds())
	if class = classOf(err); class != "" {
		c.faults.WithLabelValues(room, op, class).Inc()
	}
	return class
}

// begin begins a call, which ends with done. Its span is made when it has ended, where
// its trace is sampled or it failed: a call of a driver is the most that there is of.
func (c *Calls) begin(ctx context.Context, room, op string) (done func(error)) {
	at := time.Now()
	return func(err error) {
		class := c.measure(room, op, at, err)
		above := trace.From(ctx)
		if p, ok := trace.Parse(above.Parent()); !ok || !p.Sampled && !failing(class) {
			return
		}
		s := above.Begin(trace.Start{Name: room + " " + op, Kind: trace.Client, At: at})
		if !failing(class) {
			class = ""
		}
		s.End(class)
	}
}
