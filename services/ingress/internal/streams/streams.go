// Package streams are replies that outlive their handlers, and the places that a
// person has for them.
package streams

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
)

// Streams opens replies that outlive their handlers.
type Streams struct {
	timeout time.Duration
	open    prometheus.Gauge

	// No WaitGroup, which belongs to the run of a simulator that it was first used in.
	mu   sync.Mutex
	busy int
	idle chan struct{} // closed when none is open; nil where nobody waits for it
}

// New are streams of which each send takes at most the timeout. How many
// are open is registered with r.
func New(timeout time.Duration, r prometheus.Registerer) (*Streams, error) {
	open := prometheus.NewGauge(prometheus.GaugeOpts{Name: "clarity_streams_open", Help: "Event and export streams open now."})
	if err := r.Register(open); err != nil {
		return nil, fmt.Errorf("register the streams' metrics: %w", err)
	}
	return &Streams{timeout: timeout, open: open}, nil
}

// Wait returns once no stream is open.
func (s *Streams) Wait() {
	s.mu.Lock()
	if s.busy == 0 {
		s.mu.Unlock()
		return
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	<-idle
}

// opens notes that one is open.
func (s *Streams) opens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy++
	s.open.Inc()
}

// closes notes that one is done.
func (s *Streams) closes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open.Dec()
	if s.busy--; s.busy == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Reply is a reply that write fills after the handler has returned; end runs
// when it is done.
func (s *Streams) Reply(contentType string, end func(), write func(*Writer)) *reply.BodyOutput {
	return &reply.BodyOutput{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentType)
		hc.SetStatus(200)
		rc := humafiber.Unwrap(hc).Context()
		conn := rc.Conn()
		s.opens()
		rc.SetBodyStreamWriter(func(to *bufio.Writer) {
			defer s.closes()
			defer end()
			write(&Writer{to: to, conn: conn, timeout: s.timeout})
		})
	}}
}

// Sized is a reply of so many bytes, which are read from what is given: where that
// ends early, the connection breaks, so that nobody takes it for the whole. Each read
// has the time of a send; end runs when it is done.
func (s *Streams) Sized(status int, headers map[string]string, size int, from io.Reader, end func()) *reply.BodyOutput {
	return &reply.BodyOutput{Body: func(hc huma.Context) {
		for name, value := range headers {
			hc.SetHeader(name, value)
		}
		hc.SetStatus(status)
		rc := humafiber.Unwrap(hc).Context()
		s.opens()
		rc.Response.SetBodyStream(&sized{Reader: from, conn: rc.Conn(), timeout: s.timeout, end: sync.OnceFunc(func() {
			end()
			s.closes()
		})}, size)
	}}
}

// sized is the body of a reply, until it is closed.
type sized struct {
	io.Reader
	conn    net.Conn
	timeout time.Duration
	end     func()
}

func (b *sized) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.conn != nil && err == nil {
		err = b.conn.SetWriteDeadline(time.Now().Add(b.timeout))
	}
	return n, err
}

func (b *sized) Close() error { b.end(); return nil }

// A Writer sends to a client as it goes: each Flush has a deadline of its own.
type Writer struct {
	to      *bufio.Writer
	conn    net.Conn
	timeout time.Duration
}

// Write buffers; Flush sends.
func (w *Writer) Write(p []byte) (int, error) { return w.to.Write(p) }

// Send writes the text and flushes.
func (w *Writer) Send(text string) error {
	if _, err := w.to.WriteString(text); err != nil {
		return err
	}
	return w.Flush()
}

// Flush sends what was written.
func (w *Writer) Flush() error {
	if w.conn != nil {
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
	}
	return w.to.Flush()
}
