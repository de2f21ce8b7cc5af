// Package events lets a person's devices follow what happens, as it happens.
package events

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/ingress/internal/streams"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
)

const eventsDetail = "Server-sent events: `id` names the event to come back behind: text, which sorts as the events came; `event` is one of `upload.merged`, `upload.failed`,\n" +
	"`upload.held`, `result.stored`, `result.withdrawn`, `insight.ready`, `insight.withdrawn`, `export.ready`, `export.failed`, `reset`, `data` a JSON object {\"ref\", \"version\", \"at\"}: what to fetch, never what it holds.\n\n" +
	"With Last-Event-ID the stream goes on behind that event (0000000000000000: from the first); without, it begins now.\n" +
	"`reset` says that events are missing between the last one seen and this stream, because they are not kept any more or because\n" +
	"what was seen is not what is here (a backup was restored, or the account was erased and began anew): read again what you show.\n" +
	"Its `id` is where the stream goes on, its `ref` and `version` are empty.\n\n" +
	"Of a person eight streams are open at a time; a ninth ends the oldest. Treat an event that you do not know as none.\n" +
	"Quiet streams carry a comment as a sign of life. The platform ends a stream after some minutes, when the token expires, when\n" +
	"the account is erased and when it shuts down: connect again with the last id seen."

// Needs is what the events need.
type Needs struct {
	Events   store.Collection[notice.Page]
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

// mostAtOnce is more events than are ever told at once.
const mostAtOnce = 64

// Exported are the events of an export, as far as they are kept.
func Exported(events store.Collection[notice.Page]) []reply.Section {
	return []reply.Section{{Name: "event", Each: func(ctx context.Context, uid, after string, line reply.Line) error {
		seen, begin := uint64(0), ""
		if after != "" {
			seen = before(after) + 1
			begin = key(seen - min(seen, mostAtOnce)) // others that were told with it follow
		}
		return reply.EachRecord(ctx, events, uid, begin, func(r store.Record[notice.Page]) error {
			for i, e := range r.Value.All() {
				n := before(r.Key) + 1 + uint64(i)
				if n <= seen {
					continue
				}
				if err := line("event", key(n), exportedEvent{string(e.Kind), eventView{Ref: e.Ref, Version: e.Version, At: reply.Time(e.At)}}); err != nil {
					return err
				}
			}
			return nil
		})
	}}}
}

type exportedEvent struct {
	Event string `json:"event"`
	eventView
}

type eventsInput struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"25" pattern:"^([0-9a-f]{16}(-[0-9a-f]{8})?)?$" doc:"the id of the last event seen; none if empty" example:"0000000000000000"`
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
			"id":    line("what Last-Event-ID takes; it sorts as the events came"),
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
	account, err := r.Accounts.Get(ctx, uid)
	s := stream{uid: uid, life: account.Life}
	if err == nil {
		err = r.begin(ctx, &s, in.LastEventID)
	}
	if err == nil {
		s.behind, err = r.Events.Tail(opened, uid, key(s.after))
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
	life   int // the person's, of which it tells
	to     *streams.Writer
	after  uint64 // the event it goes on behind
	mark   string // that event's, "" where it is not at hand
	page   string // the document that event is in, where others of it follow; else ""
	missed bool   // events lie between the last that the device saw and that
	behind <-chan struct{}
}

// begin finds where a stream begins for a device that saw the event last: the
// numbers of a person are consecutive, so that what is missing shows, and the mark
// shows another event of that number. An id of the releases before has none.
func (r *Room) begin(ctx context.Context, s *stream, last string) error {
	if last == "" {
		return r.beginNow(ctx, s)
	}
	number, mark, _ := strings.Cut(last, "-")
	seen, err := strconv.ParseUint(number, 16, 64)
	if err != nil {
		return err
	}
	page, err := r.page(ctx, s.uid, after(seen))
	if err != nil {
		return err
	}
	switch {
	case page.key == "": // it is not kept any more, or none is there
		oldest, err := r.Events.List(ctx, s.uid, store.Query{Limit: 1})
		if err != nil {
			return err
		}
		for _, o := range oldest {
			s.after = before(o.Key)
		}
		s.missed = s.after != seen || mark != ""
		return nil
	case seen > page.last, mark != "" && mark != page.mark(seen): // it never came from here
		s.missed = true
		return r.beginNow(ctx, s)
	case seen < page.last: // others that were told with it follow
		s.page = page.key
	}
	s.after, s.mark = seen, page.mark(seen)
	return nil
}

// beginNow has the stream begin behind the newest event.
func (r *Room) beginNow(ctx context.Context, s *stream) error {
	page, err := r.page(ctx, s.uid, "")
	if err == nil && page.key != "" {
		s.after, s.mark = page.last, page.mark(page.last)
	}
	return err
}

// A page is where events that were told at once are.
type page struct {
	key    string
	last   uint64 // the number of the last
	events []notice.Event
}

// mark is that of the event of the number, one of the page's.
func (p page) mark(n uint64) string { return mark(n, p.events[n-before(p.key)-1]) }

// mark tells an event from others that have its number in another life of the
// person or in another copy of the data: what is told of at that moment.
func mark(n uint64, e notice.Event) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s\x00%s\x00%d", n, e.Kind, e.Ref, e.Version, e.At.UnixNano()))
	return hex.EncodeToString(sum[:4])
}

// id is how a device names the event of the number and the mark.
func id(n uint64, mark string) string {
	if mark == "" {
		return key(n)
	}
	return key(n) + "-" + mark
}

// page is the one whose first number is the greatest below the key: of all where
// that is "". There may be none.
func (r *Room) page(ctx context.Context, uid, below string) (page, error) {
	found, err := r.Events.List(ctx, uid, store.Query{To: below, Descending: true, Limit: 1})
	if err != nil || len(found) == 0 {
		return page{}, err
	}
	all := found[0].Value.All()
	return page{found[0].Key, before(found[0].Key) + uint64(len(all)), all}, nil
}

// key is the number as the store has it.
func key(n uint64) string { return fmt.Sprintf("%016x", n) }

// after is the key behind the number's, "" where there is none.
func after(n uint64) string {
	if n == math.MaxUint64 {
		return ""
	}
	return key(n + 1)
}

// before is the number that lies before the key's: the store's keys are numbers, from 1 on.
func before(key string) uint64 {
	n, err := strconv.ParseUint(key, 16, 64)
	if err != nil || n == 0 {
		return 0
	}
	return n - 1
}

// lifetime is how long a stream of the subject may stay open.
func (r *Room) lifetime(subject identity.Subject) time.Duration {
	if subject.Expires.IsZero() {
		return r.Lifetime
	}
	return min(r.Lifetime, subject.Expires.Sub(r.Now()))
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
			if s.to.Send(": \n\n") != nil {
				return
			}
		}
		if account, err := r.Accounts.Get(ctx, s.uid); err != nil || account.Active() != nil || account.Life != s.life {
			return // its numbers begin anew
		}
	}
}

// perPage is how many documents of events are read at a time.
const perPage = 100

// catchUp sends one page of events and says how many documents it was.
func (r *Room) catchUp(ctx context.Context, s *stream) (int, error) {
	query := store.Query{After: key(s.after), Limit: perPage}
	if s.page != "" {
		query = store.Query{From: s.page, Limit: perPage}
	}
	pages, err := r.Events.List(ctx, s.uid, query)
	if err != nil {
		return 0, err
	}
	for _, p := range pages {
		first := before(p.Key) + 1
		if first > s.after+1 { // it was so slow that they are gone
			s.after, s.mark = first-1, ""
			if err := r.reset(*s); err != nil {
				return 0, err
			}
		}
		for i, e := range p.Value.All() {
			n := first + uint64(i)
			if n <= s.after {
				continue
			}
			m := mark(n, e)
			if err := send(s.to, id(n, m), string(e.Kind), eventView{e.Ref, e.Version, reply.Time(e.At)}); err != nil {
				return 0, err
			}
			s.after, s.mark = n, m
		}
	}
	s.page = ""
	return len(pages), nil
}

// reset tells the device that events are missing, and where the stream goes on.
func (r *Room) reset(s stream) error {
	return send(s.to, id(s.after, s.mark), "reset", eventView{At: reply.Time(r.Now())})
}

func send(w *streams.Writer, id, kind string, v eventView) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Send("id: " + id + "\nevent: " + kind + "\ndata: " + string(data) + "\n\n")
}
