package results

import (
	"context"

	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
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
	Measured string              `json:"measured,omitempty" doc:"digest of the samples that results are made of, as a result's lineage names it; absent where a release before wrote the day"`
	Series   []daySeries         `json:"series,omitempty" nullable:"false" doc:"those of the samples that are many points; absent where there is none"`
	Updated  reply.Time          `json:"updated"`
}

type typeView struct {
	Count int        `json:"count" minimum:"0"`
	First reply.Time `json:"first" doc:"earliest start"`
	Last  reply.Time `json:"last" doc:"latest end"`
}

func viewDay(r store.Record[record.Day]) dayView {
	v := dayView{Date: r.Key, TimeZone: r.Value.Zone, Samples: r.Value.Samples, Digest: r.Value.Digest, Series: viewSeries(r.Key, r.Value.Series), Updated: reply.Time(r.Updated), Types: map[string]typeView{}}
	if m := r.Value.Measured; m != nil {
		v.Measured = m.Input
	}
	for name, t := range r.Value.Types {
		v.Types[name] = typeView{Count: t.Count, First: reply.Time(t.First.Time()), Last: reply.Time(t.Last.Time())}
	}
	return v
}

func (r *Room) listDays(ctx context.Context, in *reply.RangeInput) (*reply.PageOutput[dayView], error) {
	return reply.ListRange(ctx, r.Days, *in, holds, viewDay)
}

// holds says whether there is something of the day: where all of its samples were
// deleted, it is no more there than a day of which nothing came.
func holds(d store.Record[record.Day]) bool { return d.Value.Samples > 0 }

type dayOutput struct{ Body dayView }

func (r *Room) getDay(ctx context.Context, in *reply.DateInput) (*dayOutput, error) {
	found, err := r.Days.Get(ctx, reply.UID(ctx), in.Date)
	if err == nil && !holds(found) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &dayOutput{viewDay(found)}, nil
}
