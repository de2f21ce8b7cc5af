package ingress

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A dayView is what is held of one local day; the samples are in an export.
type dayView struct {
	Date     string              `json:"date" format:"date"`
	TimeZone string              `json:"timeZone" doc:"IANA zone most of the samples were recorded in"`
	Samples  int                 `json:"samples" minimum:"0"`
	Types    map[string]typeView `json:"types" doc:"by HealthKit type"`
	Digest   string              `json:"digest" doc:"SHA-256 of the day's samples in canonical form: equal content, equal digest"`
	Updated  time.Time           `json:"updated"`
}

type typeView struct {
	Count int       `json:"count" minimum:"0"`
	First time.Time `json:"first" doc:"earliest start"`
	Last  time.Time `json:"last" doc:"latest end"`
}

func viewDay(r store.Record[record.Day]) dayView {
	v := dayView{Date: r.Key, TimeZone: r.Value.Zone, Samples: r.Value.Samples, Digest: r.Value.Digest, Updated: r.Updated.UTC(), Types: map[string]typeView{}}
	for name, t := range r.Value.Types {
		v.Types[name] = typeView{Count: t.Count, First: t.First.Time(), Last: t.Last.Time()}
	}
	return v
}

func (s *Server) listDays(ctx context.Context, in *rangeInput) (*pageOutput[dayView], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	return list(ctx, s.Store.Days, in.page(), q, viewDay)
}

type dayOutput struct{ Body dayView }

func (s *Server) getDay(ctx context.Context, in *dateInput) (*dayOutput, error) {
	r, err := s.Store.Days.Get(ctx, uidOf(ctx), in.Date)
	if err != nil {
		return nil, err
	}
	return &dayOutput{viewDay(r)}, nil
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
	Type      string     `json:"type" example:"HKQuantityTypeIdentifierHeartRate"`
	Cursor    string     `json:"cursor,omitempty" doc:"the phone's anchor that is committed: everything up to it is merged"`
	Committed *time.Time `json:"committed,omitempty" doc:"when the upload that committed the cursor was received"`
	LastSeen  *time.Time `json:"lastSeen,omitempty" doc:"latest end of a merged sample"`
	Coverage  coverage   `json:"coverage"`
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

func (s *Server) getSync(ctx context.Context, in *syncInput) (*syncOutput, error) {
	uid := uidOf(ctx)
	cursors, err := s.Store.Cursors.List(ctx, uid, store.Query{Limit: 1000})
	if err != nil {
		return nil, err
	}
	days, err := s.Store.Days.List(ctx, uid, store.Query{Descending: true, Limit: in.Days})
	if err != nil {
		return nil, err
	}
	types := coverTypes(days)
	for _, c := range cursors {
		t := types[c.Key]
		if t == nil {
			t = &syncType{Type: c.Key, Coverage: coverage{Gaps: []dayRange{}}}
			types[c.Key] = t
		}
		t.Cursor = c.Value.Anchor
		if !c.Value.Received.IsZero() {
			committed := c.Value.Received.UTC()
			t.Committed = &committed
		}
		if seen := c.Value.LastSeen.Time(); c.Value.LastSeen > 0 && (t.LastSeen == nil || seen.After(*t.LastSeen)) {
			t.LastSeen = &seen
		}
	}
	out := &syncOutput{}
	out.Body.Types = make([]syncType, 0, len(types))
	for _, t := range types {
		out.Body.Types = append(out.Body.Types, *t)
	}
	slices.SortFunc(out.Body.Types, func(a, b syncType) int { return strings.Compare(a.Type, b.Type) })
	return out, nil
}

// coverTypes reads the days, newest first, into a coverage a type.
func coverTypes(days []store.Record[record.Day]) map[string]*syncType {
	types := map[string]*syncType{}
	for _, d := range slices.Backward(days) {
		date, err := health.ParseDay(d.Key)
		if err != nil {
			continue // the store's keys are dates
		}
		for name, summary := range d.Value.Types {
			t := types[name]
			if t == nil {
				t = &syncType{Type: name, Coverage: coverage{From: d.Key, To: d.Key, Gaps: []dayRange{}}}
				types[name] = t
			}
			if last, err := health.ParseDay(t.Coverage.To); err == nil && date > last+1 {
				t.Coverage.Gaps = append(t.Coverage.Gaps, dayRange{(last + 1).String(), (date - 1).String()})
			}
			t.Coverage.To = d.Key
			t.Coverage.Days++
			t.Coverage.Samples += summary.Count
			if seen := summary.Last.Time(); t.LastSeen == nil || seen.After(*t.LastSeen) {
				t.LastSeen = &seen
			}
		}
	}
	return types
}
