package results

import (
	"context"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A weekView is a Result and when it was computed.
type weekView struct {
	Date       string          `json:"date" format:"date" doc:"the window's last day"`
	ComputedAt reply.Time      `json:"computedAt"`
	Result     analysis.Result `json:"result"`
}

func viewWeek(r store.Record[record.Result]) weekView {
	return weekView{Date: r.Key, ComputedAt: reply.Time(r.Value.ComputedAt), Result: whole(r.Value.Result)}
}

// whole is the result without a null where a list or an object belongs.
func whole(r analysis.Result) analysis.Result {
	for _, f := range []*analysis.Family{&r.Wear, &r.Sleep, &r.Circadian, &r.Activity, &r.Cardio} {
		if *f == nil {
			*f = analysis.Family{}
		}
	}
	r.Nights, r.Days = reply.OrEmpty(r.Nights), reply.OrEmpty(r.Days)
	r.Insufficient, r.Lineage.Chunks = reply.OrEmpty(r.Insufficient), reply.OrEmpty(r.Lineage.Chunks)
	return r
}

func (r *Room) listWeeks(ctx context.Context, in *reply.RangeInput) (*reply.PageOutput[weekView], error) {
	return reply.ListRange(ctx, r.Results, *in, nil, viewWeek)
}

type weekOutput struct{ Body weekView }

func (r *Room) getWeek(ctx context.Context, in *reply.DateInput) (*weekOutput, error) {
	found, err := r.Results.Get(ctx, reply.UID(ctx), in.Date)
	if err != nil {
		return nil, err
	}
	return &weekOutput{viewWeek(found)}, nil
}
