package signals

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/trace"
)

// Messages is a queue whose messages carry the trace of who publishes them, and whose
// handlers go on with it and are measured.
type Messages struct {
	queue.Queue
	system string
	traces trace.Recorder
	calls  *Calls
	inHand *prometheus.HistogramVec
}

// NewMessages is the queue over another. system is what OpenTelemetry calls it.
func NewMessages(q queue.Queue, system string, r trace.Recorder, c *Calls) *Messages {
	return &Messages{q, system, r, c, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "clarity_message_seconds", Help: "Time of a message in its handler's hand, by what became of it: done, postponed, failed, retried, dead, fallen.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}, []string{"topic", "consumer", "verdict"})}
}

// Describe is prometheus.Collector's.
func (m *Messages) Describe(to chan<- *prometheus.Desc) { m.inHand.Describe(to) }

// Collect is prometheus.Collector's.
func (m *Messages) Collect(to chan<- prometheus.Metric) { m.inHand.Collect(to) }

// attrs are what a span says of a message: never its key, nor its id.
func (m *Messages) attrs(operation, topic string) []slog.Attr {
	return []slog.Attr{
		slog.String("messaging.system", m.system), slog.String("messaging.destination.name", topic),
		slog.String("messaging.operation.name", operation), slog.String("messaging.operation.type", operation),
	}
}

// Publish publishes the messages, each with a span.
func (m *Messages) Publish(ctx context.Context, msgs ...queue.Message) error {
	sent, spans := slices.Clone(msgs), make([]trace.Span, len(msgs))
	for i := range sent {
		spans[i] = trace.Outgoing(ctx, m.traces, trace.Start{Name: "send " + sent[i].Topic, Kind: trace.Producer, Attrs: m.attrs("send", sent[i].Topic)})
		sent[i].Trace = spans[i].Parent()
	}
	began := time.Now()
	err := m.Queue.Publish(ctx, sent...)
	class := m.calls.measure("queue", "publish", began, err)
	if !failing(class) {
		class = ""
	}
	for _, s := range spans {
		s.End(class)
	}
	return err
}

// What becomes of a message in a handler's hand.
const (
	doneWith  = "done"
	postponed = "postponed"
	failed    = "failed"  // postponed, as it failed for itself
	retried   = "retried" // what it needs is away
	dead      = "dead"
	fallen    = "fallen" // the handler said nothing
)

func wordOf(v queue.Verdict) (word string) {
	v.Match(queue.Cases{
		Ack:   func() { word = doneWith },
		Retry: func(time.Duration, string) { word = retried },
		Postpone: func(time.Duration, string) {
			if word = postponed; v.Failed() {
				word = failed
			}
		},
		Dead: func(string) { word = dead },
	})
	return word
}

// Receive hands out messages, each with a span that goes on with its trace.
func (m *Messages) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	return m.Queue.Receive(ctx, sub, func(ctx context.Context, d queue.Delivery) queue.Verdict {
		began, word := time.Now(), fallen
		s := m.traces.Start(trace.Start{Name: "process " + sub.Topic, Kind: trace.Consumer, Parent: d.Trace,
			Attrs: append(m.attrs("process", sub.Topic), slog.String("messaging.destination.subscription.name", sub.Name))})
		defer func() {
			m.inHand.WithLabelValues(sub.Topic, sub.Name, word).Observe(time.Since(began).Seconds())
			if word == doneWith || word == postponed {
				s.End("")
				return
			}
			s.End(word)
		}()
		v := handle(trace.With(ctx, s), d)
		word = wordOf(v)
		return v
	})
}
