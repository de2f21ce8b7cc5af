// Package events lets a person's devices follow what happens, as it happens.
package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/ingress/internal/streams"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

const eventsDetail = "Server-sent events: `id` is a sequence number of 16 hexadecimal digits, `event` one of `upload.merged`, `upload.failed`,\n" +
	"`upload.held`, `result.stored`, `result.withdrawn`, `insight.ready`, `insight.withdrawn`, `export.ready`, `export.failed`, `reset`, `data` a JSON object {\"ref\", \"version\", \"at\"}: what to fetch, never what it holds.\n\n" +
	"With Last-Event-ID the stream goes on behind that event (0000000000000000: from the first); without, it begins now.\n" +
	"`reset` says that events are missing between the last one seen and this stream, because they are not kept any more or because\n" +
	"they never came from here: read again what you show. Its `id` is where the stream goes on, its `ref` and `version` are empty.\n\n" +
	"Of a person eight streams are open at a time; a ninth ends the oldest. Treat an event that you do not know as none.\n" +
	"Quiet streams carry a comment as a sign of life. The platform ends a stream after some minutes, when the token expires and\n" +
	"when it shuts down: connect again with the last id seen."

// Needs is what the events need.
type Needs struct {
	Events   store.Collection[record.Event]
	Accounts interface {
		Get(ctx context.Context, uid string) (record.Account, error)
	}
	Streams   *streams.Streams
	Places    *streams.Places // of event streams
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

// Exported are the events of an export, as far as they are kept.
func Exported(events store.Collection[record.Event]) []reply.Section {
	return []reply.Section{reply.Exported(events, "event", func(e store.Record[record.Event]) exportedEvent {
		return exportedEvent{string(e.Value.Kind), eventView{Ref: e.Value.Ref, Version: e.Value.Version, At: reply.Time(e.Value.At)}}
	})}
}

type exportedEvent struct {
	Event string `json:"event"`
	eventView
}

type eventsInput struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"16" pattern:"^([0-9a-f]{16})?$" doc:"the last event seen; none if empty" example:"0000000000000000"`
}

// An eventView is the data of one event.
type eventView struct {
	Ref     string     `json:"ref" doc:"the upload id, the window's last day, or the export id"`
	Version string     `json:"version" doc:"tells one state of ref from the next"`
	At      reply.Time `json:"at"`
}

// eventSchema describes one event of a stream: its fields are lines of text.
func eventSchema() *huma.Schema {
	line := func(detail string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: detail} }
	return &huma.Schema{
		Type: huma.TypeObject, Description: "one event of the stream", Required: []string{"id", "event", "data"},
		Properties: map[string]*huma.Schema{
			"id":    line("sequence number, 16 hexadecimal digits"),
			"event": line("upload.merged, upload.failed, upload.held, result.stored, result.withdrawn, insight.ready, insight.withdrawn, export.ready, export.failed or reset; others may come"),
			"data": {Type: huma.TypeString, Description: `JSON: {"ref", "version", "at"}`, Extensions: map[string]any{
				"contentMediaType": "application/json", "contentSchema": dataSchema(),
			}},
		},
	}
}

// dataSchema describes what a line of data holds as JSON, of an event of any name.
func dataSchema() *huma.Schema {
	text := func(detail string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: detail} }
	return &huma.Schema{
		Type: huma.TypeObject, Description: "what an event is of", Required: []string{"ref", "version", "at"},
		Properties: map[string]*huma.Schema{
			"ref":     text("of upload events the upload id, of results and insights the window's last day, of exports the export id; empty in a reset"),
			"version": text("tells one state of ref from the next"),
			"at":      {Type: huma.TypeString, Format: "date-time"},
		},
	}
}

// errReplaced is why a stream ends whose place a newer one of the person took.
var errReplaced = errors.New("a newer stream took the place")

func (r *Room) streamEvents(ctx context.Context, in *eventsInput) (*reply.BodyOutput, error) {
	uid := reply.UID(ctx)
	opened, leave := context.WithCancelCause(ctx)
	opened, cancel := context.WithTimeout(opened, r.lifetime(reply.Subject(ctx)))
	release := r.Places.Replace(uid, func() { leave(errReplaced) })
	end := func() { cancel(); leave(nil); release() }
	s := stream{uid: uid}
	err := r.begin(ctx, &s, in.LastEventID)
	if err == nil {
		s.behind, err = r.Events.Tail(opened, uid, s.after)
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("open an event stream: %w", err)
	}
	return r.Streams.Reply("text/event-stream", end, func(w *streams.Writer) {
		s.to = w
		r.follow(opened, s)
	}), nil
}

// A stream is one device's.
type stream struct {
	uid    string
	to     *streams.Writer
	after  string // the event it goes on behind
	missed bool   // events lie between the last that the device saw and that
	behind <-chan struct{}
}

// begin finds where a stream begins for a device that saw the event last: the
// numbers of a person are consecutive, so that what is missing shows.
func (r *Room) begin(ctx context.Context, s *stream, last string) error {
	if last != "" {
		next, err := r.Events.List(ctx, s.uid, store.Query{After: last, Limit: 1})
		if err != nil {
			return err
		}
		if len(next) > 0 {
			s.after = before(next[0].Key)
			s.missed = s.after != last
			return nil
		}
	}
	newest, err := r.newestEvent(ctx, s.uid)
	if err != nil {
		return err
	}
	s.after = cmp.Or(newest, firstEvent)
	s.missed = last > s.after
	if last != "" && last < s.after { // it came meanwhile
		s.after = last
	}
	return nil
}

// firstEvent is what lies before every event.
const firstEvent = "0000000000000000"

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

// follow sends what lies behind where the stream goes on, and what comes, until
// ctx ends.
func (r *Room) follow(ctx context.Context, s stream) {
	beat := time.NewTicker(r.Heartbeat)
	defer beat.Stop()
	defer func() {
		if errors.Is(context.Cause(ctx), errReplaced) {
			_ = s.to.Send("retry: 60000\n\n") // whoever still listens does not take the place back at once
		}
	}()
	if s.to.Send("retry: 1000\n\n") != nil || s.missed && r.reset(s) != nil {
		return
	}
	for {
		n, err := r.catchUp(ctx, &s)
		if err != nil {
			return // the client connects again and learns why
		}
		if n == perPage {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.behind:
		case <-beat.C:
			if account, err := r.Accounts.Get(ctx, s.uid); err != nil || account.Active() != nil || s.to.Send(": \n\n") != nil {
				return
			}
		}
	}
}

// perPage is how many events are read at a time.
const perPage = 100

// catchUp sends one page of events and says how many it holds.
func (r *Room) catchUp(ctx context.Context, s *stream) (int, error) {
	events, err := r.Events.List(ctx, s.uid, store.Query{After: s.after, Limit: perPage})
	if err != nil {
		return 0, err
	}
	if len(events) > 0 && before(events[0].Key) != s.after { // it was so slow that they are gone
		s.after = before(events[0].Key)
		if err := r.reset(*s); err != nil {
			return 0, err
		}
	}
	for _, e := range events {
		if err := send(s.to, e.Key, string(e.Value.Kind), eventView{e.Value.Ref, e.Value.Version, reply.Time(e.Value.At)}); err != nil {
			return 0, err
		}
		s.after = e.Key
	}
	return len(events), nil
}

// reset tells the device that events are missing, and where the stream goes on.
func (r *Room) reset(s stream) error {
	return send(s.to, s.after, "reset", eventView{At: reply.Time(r.Now())})
}

// before is the number that lies before the key's.
func before(key string) string {
	n, err := strconv.ParseUint(key, 16, 64)
	if err != nil || n == 0 {
		return firstEvent // the store's keys are numbers, from 1 on
	}
	return fmt.Sprintf("%016x", n-1)
}

func send(w *streams.Writer, id, kind string, v eventView) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Send("id: " + id + "\nevent: " + kind + "\ndata: " + string(data) + "\n\n")
}
