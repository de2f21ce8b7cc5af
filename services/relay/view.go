package relay

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/store"
)

// A view is a document as a feed shows it, and of which version; nil and 0 for none.
type view struct {
	document []byte
	version  int64
}

func (r *Relay) result(ctx context.Context, uid, day string) (view, error) {
	found, err := r.store.Results.Get(ctx, uid, day)
	return viewOf(found.Version, err, struct {
		Date       string          `json:"date"`
		ComputedAt time.Time       `json:"computedAt"`
		Result     analysis.Result `json:"result"`
	}{day, found.Value.ComputedAt, found.Value.Result})
}

func (r *Relay) insight(ctx context.Context, uid, day string) (view, error) {
	found, err := r.store.Insights.Get(ctx, uid, day)
	return viewOf(found.Version, err, struct {
		Date      string           `json:"date"`
		WrittenAt time.Time        `json:"writtenAt"`
		Insight   analysis.Insight `json:"insight"`
	}{day, found.Value.WrittenAt, found.Value.Insight})
}

func viewOf(version int64, err error, what any) (view, error) {
	if errors.Is(err, store.ErrNotFound) {
		return view{}, nil
	}
	if err != nil {
		return view{}, err
	}
	document, err := json.Marshal(what)
	return view{document, version}, err
}
