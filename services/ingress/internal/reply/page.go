package reply

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/store"
)

// A Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

// A PageOutput is the reply that holds a Page.
type PageOutput[T any] struct {
	Body Page[T]
}

// A PageInput asks for a page.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"most items of the page"`
	Cursor string `query:"cursor" pattern:"^[A-Za-z0-9._:@=-]{1,256}$" doc:"next of the page before; opaque"`
}

// A RangeInput asks for a page of what lies between two dates.
type RangeInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"most items of the page"`
	Cursor string `query:"cursor" pattern:"^[A-Za-z0-9._:@=-]{1,256}$" doc:"next of the page before; opaque"`
	From   string `query:"from" format:"date" doc:"first date, inclusive" example:"2026-11-01"`
	To     string `query:"to" format:"date" doc:"last date, inclusive" example:"2026-11-30"`
}

// A DateInput names one date.
type DateInput struct {
	Date string `path:"date" format:"date" doc:"local date" example:"2026-11-20"`
}

// readOn is how many records are read at a time to make up for those that are not shown.
const readOn = 100

// List reads one page of a collection of the person's who asks: of the records that
// shows says are; nil shows all. A cursor is a key of the collection: isKey says what
// can be one.
func List[V, T any](ctx context.Context, c store.Collection[V], in PageInput, q store.Query, isKey func(string) bool, shows func(store.Record[V]) bool, view func(store.Record[V]) T) (*PageOutput[T], error) {
	if in.Cursor != "" && !isKey(in.Cursor) {
		return nil, noCursor()
	}
	out := &PageOutput[T]{Body: Page[T]{Items: []T{}}}
	q.After, q.Limit = in.Cursor, in.Limit+1
	for {
		records, err := c.List(ctx, UID(ctx), q)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if shows == nil || shows(r) {
				if len(out.Body.Items) == in.Limit {
					out.Body.Next = q.After
					return out, nil
				}
				out.Body.Items = append(out.Body.Items, view(r))
			}
			q.After = r.Key
		}
		if len(records) < q.Limit {
			return out, nil
		}
		q.Limit = readOn
	}
}

// ListRange reads one page of a collection whose keys are dates, newest first.
func ListRange[V, T any](ctx context.Context, c store.Collection[V], in RangeInput, shows func(store.Record[V]) bool, view func(store.Record[V]) T) (*PageOutput[T], error) {
	q, err := in.Query()
	if err != nil {
		return nil, err
	}
	isDate := func(cursor string) bool { _, err := health.ParseDay(cursor); return err == nil }
	return List(ctx, c, PageInput{in.Limit, in.Cursor}, q, isDate, shows, view)
}

// Query is the newest-first query over the dates.
func (in RangeInput) Query() (store.Query, error) {
	q := store.Query{From: in.From, Descending: true}
	if in.To != "" {
		last, err := health.ParseDay(in.To)
		if err != nil {
			return q, Invalid("query.to", "expected a date, yyyy-mm-dd")
		}
		if q.To = (last + 1).String(); len(q.To) > len(in.To) {
			q.To = "" // behind 9999-12-31 no date sorts
		}
	}
	return q, nil
}

// noCursor refuses a cursor that no page gave.
func noCursor() *problem.Problem { return Invalid("query.cursor", "expected next of the page before") }

// OrEmpty is the list, empty where it was nil: no reply holds a null list.
func OrEmpty[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// NewID is an id that nobody can guess.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
