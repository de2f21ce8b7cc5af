package ingress

import (
	"context"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/store"
)

// A page is a part of a list.
type page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type pageOutput[T any] struct {
	Body page[T]
}

type pageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"most items of the page"`
	Cursor string `query:"cursor" pattern:"^[A-Za-z0-9._:@=-]{1,256}$" doc:"next of the page before; opaque"`
}

type rangeInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"most items of the page"`
	Cursor string `query:"cursor" pattern:"^[A-Za-z0-9._:@=-]{1,256}$" doc:"next of the page before; opaque"`
	From   string `query:"from" format:"date" doc:"first date, inclusive" example:"2026-11-01"`
	To     string `query:"to" format:"date" doc:"last date, inclusive" example:"2026-11-30"`
}

type dateInput struct {
	Date string `path:"date" format:"date" doc:"local date" example:"2026-11-20"`
}

// list reads one page of a collection.
func list[V, T any](ctx context.Context, c store.Collection[V], in pageInput, q store.Query, view func(store.Record[V]) T) (*pageOutput[T], error) {
	q.After, q.Limit = in.Cursor, in.Limit+1
	records, err := c.List(ctx, uidOf(ctx), q)
	if err != nil {
		return nil, err
	}
	out := &pageOutput[T]{Body: page[T]{Items: make([]T, 0, len(records))}}
	if len(records) > in.Limit {
		records = records[:in.Limit]
		out.Body.Next = records[in.Limit-1].Key
	}
	for _, r := range records {
		out.Body.Items = append(out.Body.Items, view(r))
	}
	return out, nil
}

func (in rangeInput) page() pageInput { return pageInput{in.Limit, in.Cursor} }

// query is the newest-first query over a range of dates.
func (in rangeInput) query() (store.Query, error) {
	q := store.Query{From: in.From, Descending: true}
	if in.To != "" {
		last, err := health.ParseDay(in.To)
		if err != nil {
			return q, invalidDate("query.to")
		}
		q.To = (last + 1).String()
	}
	return q, nil
}

func invalidDate(location string) error {
	return problem.New(problem.InvalidRequest, "the request is not what the operation accepts").At(location, "expected a date, yyyy-mm-dd")
}
