// Package events lets a person's devices follow what happens, as it happens.
package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

const eventsDetail = "Server-sent events: `id` is a sequence number of 16 hexadecimal digits, `event` one of `upload.merged`, `result.stored`,\n" +
	"`insight.ready`, `export.ready`, `data` a JSON object {\"ref\", \"version\", \"at\"}: what to fetch, never what it holds.\n\n" +
	"With Last-Event-ID the stream goes on behind that event (0000000000000000: from the first); without, it begins now.\n" +
	"Quiet streams carry a comment as a sign of life. The platform ends a stream after some minutes, when the token expires and\n" +
	"when it shuts down: connect again with the last id seen."

// Needs is what the events need.
type Needs struct {
	Events   store.Collection[record.Event]
	Accounts interface {
		Get(ctx context.Context, uid string) (record.Account, error)
	}
	Streams   *reply.Streams
	Now       func() time.Time
	Lifetime  time.Duration // a stream is ended after this; a client takes it up again
	Heartbeat time.Duration // between two signs of life on a quiet stream
}

// A Room answers what is asked of events.
type Room struct{ Needs }

// New is the room.
func New(n Needs) *Room { return &Room{n} }

// Routes are the room's operations.
func (r *Room) Routes() []route.Route {
	return []route.Route{{Method: "GET", Path: "/v1/events", ID: "streamEvents", Tag: "events", Summary: "Follow what happens, as it happens",
		Detail: eventsDetail, Stream: true, Mount: route.Typed(r.streamEvents),
		Text: &route.Text{Kind: "text/event-stream", Summary: "A stream of server-sent events", Schema: eventSchema()}}}
}

type eventsInput struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"16" pattern:"^([0-9a-f]{16})?$" doc:"the last event seen; none if empty" example:"0000000000000000"`
}

// An eventView is the data of one event.
type eventView struct {
	Ref     string    `json:"ref" doc:"the upload id, the window's last day, or the export id"`
	Version string    `json:"version" doc:"tells one state of ref from the next"`
	At      time.Time `json:"at"`
}

// eventSchema describes one event of a stream: its fields are lines of text.
func eventSchema() *huma.Schema {
	line := func(detail string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: detail} }
	return &huma.Schema{
		Type: huma.TypeObject, Description: "one event of the stream", Required: []string{"id", "event", "data"},
		Properties: map[string]*huma.Schema{
			"id":    line("sequence number, 16 hexadecimal digits"),
			"event": line("upload.merged, result.stored, insight.ready or export.ready"),
			"data":  line(`JSON: {"ref", "version", "at"}`),
		},
	}
}

func (r *Room) streamEvents(ctx context.Context, in *eventsInput) (*reply.BodyOutput, error) {
	subject := reply.Subject(ctx)
	release, err := r.Streams.Take(subject.UID)
	if err != nil {
		return nil, err
	}
	opened, cancel := context.WithTimeout(ctx, r.lifetime(subject))
	if in.LastEventID == "" {
		in.LastEventID, err = r.newestEvent(ctx, subject.UID)
	}
	var behind <-chan struct{}
	if err == nil {
		behind, err = r.Events.Tail(opened, subject.UID, in.LastEventID)
	}
	if err != nil {
		cancel()
		release()
		return nil, fmt.Errorf("open an event stream: %w", err)
	}
	return r.Streams.Reply("text/event-stream", func() { cancel(); release() }, func(w *reply.StreamWriter) {
		r.follow(opened, w, subject.UID, in.LastEventID, behind)
	}), nil
}

// lifetime is how long a stream of the subject may stay open.
func (r *Room) lifetime(subject identity.Subject) time.Duration {
	if subject.Expires.IsZero() {
		return r.Lifetime
	}
	return min(r.Lifetime, subject.Expires.Sub(r.Now()))
}

func (r *Room) newestEvent(ctx context.Context, uid string) (string, error) {
	newest, err := r.Events.List(ctx, uid, store.Query{Descending: true, Limit: 1})
	if err != nil || len(newest) == 0 {
		return "", err
	}
	return newest[0].Key, nil
}

// follow sends what lies behind the event `after`, and what comes, until ctx ends.
func (r *Room) follow(ctx context.Context, w *reply.StreamWriter, uid, after string, behind <-chan struct{}) {
	beat := time.NewTicker(r.Heartbeat)
	defer beat.Stop()
	if w.Send("retry: 1000\n\n") != nil {
		return
	}
	for {
		events, err := r.Events.List(ctx, uid, store.Query{After: after, Limit: 100})
		if err != nil {
			return // the client connects again and learns why
		}
		for _, e := range events {
			data, err := json.Marshal(eventView{e.Value.Ref, e.Value.Version, e.Value.At.UTC()})
			if err != nil || w.Send("id: "+e.Key+"\nevent: "+string(e.Value.Kind)+"\ndata: "+string(data)+"\n\n") != nil {
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
		case <-behind:
		case <-beat.C:
			if account, err := r.Accounts.Get(ctx, uid); err != nil || account.Active() != nil || w.Send(": \n\n") != nil {
				return
			}
		}
	}
}
