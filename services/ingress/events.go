package ingress

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

const eventsDetail = "Server-sent events: `id` is a sequence number of 16 hexadecimal digits, `event` one of `upload.merged`, `result.stored`,\n" +
	"`insight.ready`, `export.ready`, `data` a JSON object {\"ref\", \"version\", \"at\"}: what to fetch, never what it holds.\n\n" +
	"With Last-Event-ID the stream goes on behind that event (0000000000000000: from the first); without, it begins now.\n" +
	"Quiet streams carry a comment as a sign of life. The platform ends a stream after some minutes, when the token expires and\n" +
	"when it shuts down: connect again with the last id seen."

type eventsInput struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"16" pattern:"^([0-9a-f]{16})?$" doc:"the last event seen; none if empty" example:"0000000000000000"`
}

// An eventView is the data of one event.
type eventView struct {
	Ref     string    `json:"ref" doc:"the upload id, the window's last day, or the export id"`
	Version string    `json:"version" doc:"tells one state of ref from the next"`
	At      time.Time `json:"at"`
}

func (s *Server) streamEvents(ctx context.Context, in *eventsInput) (*bodyOutput, error) {
	subject, _ := ctx.Value(subjectKey{}).(identity.Subject)
	release, ok := s.streams.open(subject.UID)
	if !ok {
		return nil, s.tooManyStreams()
	}
	opened, cancel := context.WithTimeout(ctx, s.lifetime(subject))
	changed, err := s.Store.Events.Watch(opened, subject.UID)
	if err == nil && in.LastEventID == "" {
		in.LastEventID, err = s.newestEvent(ctx, subject.UID)
	}
	if err != nil {
		cancel()
		release()
		return nil, fmt.Errorf("open an event stream: %w", err)
	}
	return s.streaming("text/event-stream", func() { cancel(); release() }, func(w *wire) {
		s.follow(opened, w, subject.UID, in.LastEventID, changed)
	}), nil
}

// lifetime is how long a stream of the subject may stay open.
func (s *Server) lifetime(subject identity.Subject) time.Duration {
	life := s.Limits.StreamLifetime
	if !subject.Expires.IsZero() {
		life = min(life, subject.Expires.Sub(s.Now()))
	}
	return life
}

func (s *Server) newestEvent(ctx context.Context, uid string) (string, error) {
	newest, err := s.Store.Events.List(ctx, uid, store.Query{Descending: true, Limit: 1})
	if err != nil || len(newest) == 0 {
		return "", err
	}
	return newest[0].Key, nil
}

// follow sends what lies behind the event `after`, and what comes, until ctx ends.
func (s *Server) follow(ctx context.Context, w *wire, uid, after string, changed <-chan struct{}) {
	beat := time.NewTicker(s.Limits.Heartbeat)
	defer beat.Stop()
	if w.send("retry: 1000\n\n") != nil {
		return
	}
	for {
		events, err := s.Store.Events.List(ctx, uid, store.Query{After: after, Limit: 100})
		if err != nil {
			return // the client connects again and learns why
		}
		for _, e := range events {
			data, err := json.Marshal(eventView{e.Value.Ref, e.Value.Version, e.Value.At.UTC()})
			if err != nil || w.send("id: "+e.Key+"\nevent: "+string(e.Value.Kind)+"\ndata: "+string(data)+"\n\n") != nil {
				return
			}
			after = e.Key
		}
		if len(events) == 100 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-beat.C:
			if who, err := s.people.get(ctx, uid); err != nil || who.erased || w.send(": \n\n") != nil {
				return
			}
		}
	}
}

func (s *Server) tooManyStreams() *problem.Problem {
	return problem.OverLimit(problem.TooManyRequests, "too many streams of this person are open", "streams", int64(s.Limits.StreamsPerUser)).With("Retry-After", "5")
}

// A wire sends to a client as it goes: each send is flushed, under a deadline
// of its own.
type wire struct {
	to      *bufio.Writer
	conn    net.Conn
	timeout time.Duration
}

func (w *wire) send(text string) error {
	if _, err := w.to.WriteString(text); err != nil {
		return err
	}
	return w.flush()
}

func (w *wire) flush() error {
	if w.conn != nil {
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
	}
	return w.to.Flush()
}

// streaming is a reply that write fills after the handler has returned; end
// runs when it is done.
func (s *Server) streaming(contentType string, end func(), write func(*wire)) *bodyOutput {
	return &bodyOutput{func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentType)
		hc.SetStatus(200)
		rc := humafiber.Unwrap(hc).Context()
		conn := rc.Conn()
		s.busy.Add(1)
		s.metrics.streams.Inc()
		rc.SetBodyStreamWriter(func(to *bufio.Writer) {
			defer s.busy.Done()
			defer s.metrics.streams.Dec()
			defer end()
			write(&wire{to: to, conn: conn, timeout: s.Limits.WriteTimeout})
		})
	}}
}

// streams bounds the open streams of a person.
type streams struct {
	most   int
	mu     sync.Mutex
	places map[string]int
}

func newStreams(most int) *streams { return &streams{most: most, places: map[string]int{}} }

// open takes a place; release gives it back.
func (s *streams) open(uid string) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[uid] >= s.most {
		return nil, false
	}
	s.places[uid]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.places[uid]--; s.places[uid] == 0 {
			delete(s.places, uid)
		}
	}, true
}

// deliver tells the person's devices of something, by way of the feed.
func (s *Server) deliver(ctx context.Context, d flow.Event) error {
	m, err := queue.JSON(flow.TopicEvents, d.UID, d)
	if err == nil {
		err = s.Queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("publish an event: %w", err)
	}
	return nil
}
