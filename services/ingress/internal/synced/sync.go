// Package synced tells a phone how far each type of samples has come: what is
// committed of it, and which days hold some.
package synced

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// Needs is what the room needs.
type Needs struct {
	Days  store.Collection[record.Day]
	Store interface {
		Synced(ctx context.Context, uid string) (store.Record[record.Cursors], error)
	}
}

// A Room answers what is asked of synchronisation.
type Room struct{ Needs }

// New is the room.
func New(n Needs) *Room { return &Room{n} }

// Routes are the room's operations.
func (r *Room) Routes() []route.Route {
	return []route.Route{
		{Method: "GET", Path: "/v1/sync", ID: "getSync", Tag: "uploads", Summary: "What is synchronised, a type at a time",
			Detail: "For each HealthKit type: the cursor last committed, when it was last seen, and which of the recent days hold samples of it. A gap is a run of days without any between two that have some.",
			Mount:  route.Typed(r.getSync)},
	}
}

// Exported are the cursors of an export, a line a type.
func Exported(from interface {
	Synced(ctx context.Context, uid string) (store.Record[record.Cursors], error)
}) []reply.Section {
	return []reply.Section{{Name: "cursor", Each: func(ctx context.Context, uid, after string, line reply.Line) error {
		cursors, err := from.Synced(ctx, uid)
		if err != nil {
			return err
		}
		for _, kind := range slices.Sorted(maps.Keys(cursors.Value.Types)) {
			if kind <= after {
				continue
			}
			if err := line("cursor", kind, cursors.Value.Types[kind]); err != nil {
				return err
			}
		}
		return nil
	}}}
}

type syncInput struct {
	Days int `query:"days" minimum:"1" maximum:"366" default:"90" doc:"how many of the newest days with data to look at"`
}

type syncView struct {
	Types []syncType `json:"types" nullable:"false" doc:"in the order of their names"`
}

type syncOutput struct{ Body syncView }

// A syncType is how far one type is synchronised.
type syncType struct {
	Type      string      `json:"type" example:"HKQuantityTypeIdentifierHeartRate"`
	Cursor    string      `json:"cursor,omitempty" doc:"the phone's anchor that is committed: everything up to it is merged"`
	Committed *reply.Time `json:"committed,omitempty" doc:"when the upload that committed the cursor was received"`
	LastSeen  *reply.Time `json:"lastSeen,omitempty" doc:"latest end of a merged sample"`
	Coverage  coverage    `json:"coverage"`
}

type coverage struct {
	From    string     `json:"from,omitempty" format:"date" doc:"first day with samples, among those looked at"`
	To      string     `json:"to,omitempty" format:"date" doc:"last day with samples"`
	Days    int        `json:"days" minimum:"0" doc:"days with samples"`
	Samples int        `json:"samples" minimum:"0"`
	Gaps    []dayRange `json:"gaps" nullable:"false" doc:"runs of days without samples between from and to"`
}

type dayRange struct {
	From string `json:"from" format:"date"`
	To   string `json:"to" format:"date"`
}

func (r *Room) getSync(ctx context.Context, in *syncInput) (*syncOutput, error) {
	uid := reply.UID(ctx)
	cursors, err := r.Store.Synced(ctx, uid)
	if err != nil {
		return nil, err
	}
	days, err := r.Days.List(ctx, uid, store.Query{Descending: true, Limit: in.Days})
	if err != nil {
		return nil, err
	}
	types := coverTypes(days)
	for name, c := range cursors.Value.Types {
		types.entry(name).commit(c)
	}
	out := &syncOutput{}
	out.Body.Types = make([]syncType, 0, len(types))
	for _, t := range types {
		out.Body.Types = append(out.Body.Types, *t)
	}
	slices.SortFunc(out.Body.Types, func(a, b syncType) int { return strings.Compare(a.Type, b.Type) })
	return out, nil
}

// syncTypes are the types by name.
type syncTypes map[string]*syncType

// entry is the type of that name, made where it is not there.
func (s syncTypes) entry(name string) *syncType {
	t := s[name]
	if t == nil {
		t = &syncType{Type: name, Coverage: coverage{Gaps: []dayRange{}}}
		s[name] = t
	}
	return t
}

func (t *syncType) commit(c record.Cursor) {
	t.Cursor = c.Anchor
	t.Committed = reply.TimeOrNil(c.Received)
	if c.LastSeen > 0 {
		t.see(c.LastSeen)
	}
}

func (t *syncType) see(at health.Instant) {
	if t.LastSeen == nil || at.Time().After(time.Time(*t.LastSeen)) {
		t.LastSeen = reply.TimeOrNil(at.Time())
	}
}

// cover enters a day, which is later than those before.
func (t *syncType) cover(date health.Day, s record.TypeSummary) {
	c := &t.Coverage
	if c.From == "" {
		c.From = date.String()
	}
	if last, err := health.ParseDay(c.To); err == nil && date > last+1 {
		c.Gaps = append(c.Gaps, dayRange{(last + 1).String(), (date - 1).String()})
	}
	c.To = date.String()
	c.Days++
	c.Samples += s.Count
	t.see(s.Last)
}

// coverTypes reads the days, newest first, into a coverage a type.
func coverTypes(days []store.Record[record.Day]) syncTypes {
	types := syncTypes{}
	for _, d := range slices.Backward(days) {
		date, err := health.ParseDay(d.Key)
		if err != nil {
			continue // the store's keys are dates
		}
		for name, summary := range d.Value.Types {
			types.entry(name).cover(date, summary)
		}
	}
	return types
}
