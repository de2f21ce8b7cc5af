package reply

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// NDJSON is the media type of replies of a line a record.
const NDJSON = "application/x-ndjson"

// A BodyOutput is a reply that is written by hand.
type BodyOutput struct {
	Body func(huma.Context)
}

// Streams opens replies that outlive their handlers, so many a person.
type Streams struct {
	most    int
	timeout time.Duration
	open    prometheus.Gauge
	busy    sync.WaitGroup

	mu     sync.Mutex
	places map[string]int
}

// NewStreams gives a person that many streams at a time; timeout bounds each
// send. How many are open is registered with r.
func NewStreams(most int, timeout time.Duration, r prometheus.Registerer) (*Streams, error) {
	open := prometheus.NewGauge(prometheus.GaugeOpts{Name: "clarity_streams_open", Help: "Event, insight and export streams open now."})
	if err := r.Register(open); err != nil {
		return nil, fmt.Errorf("register the streams' metrics: %w", err)
	}
	return &Streams{most: most, timeout: timeout, open: open, places: map[string]int{}}, nil
}

// Wait returns once no stream is open.
func (s *Streams) Wait() { s.busy.Wait() }

// Take takes one of the person's places; release gives it back.
func (s *Streams) Take(uid string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[uid] >= s.most {
		return nil, problem.OverLimit(problem.TooManyRequests, "too many streams of this person are open", "streams", int64(s.most)).With("Retry-After", "5")
	}
	s.places[uid]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.places[uid]--; s.places[uid] == 0 {
			delete(s.places, uid)
		}
	}, nil
}

// Reply is a reply that write fills after the handler has returned; end runs
// when it is done.
func (s *Streams) Reply(contentType string, end func(), write func(*StreamWriter)) *BodyOutput {
	return &BodyOutput{func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentType)
		hc.SetStatus(200)
		rc := humafiber.Unwrap(hc).Context()
		conn := rc.Conn()
		s.busy.Add(1)
		s.open.Inc()
		rc.SetBodyStreamWriter(func(to *bufio.Writer) {
			defer s.busy.Done()
			defer s.open.Dec()
			defer end()
			write(&StreamWriter{to: to, conn: conn, timeout: s.timeout})
		})
	}}
}

// A StreamWriter sends to a client as it goes: each Flush has a deadline of its own.
type StreamWriter struct {
	to      *bufio.Writer
	conn    net.Conn
	timeout time.Duration
}

// Write buffers; Flush sends.
func (w *StreamWriter) Write(p []byte) (int, error) { return w.to.Write(p) }

// Send writes the text and flushes.
func (w *StreamWriter) Send(text string) error {
	if _, err := w.to.WriteString(text); err != nil {
		return err
	}
	return w.Flush()
}

// Flush sends what was written.
func (w *StreamWriter) Flush() error {
	if w.conn != nil {
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
	}
	return w.to.Flush()
}
