package insights

import (
	"context"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// texts are a person's Insights, as far as the newest of them tells: behind it there
// is none, of the week after the newest neither. Who writes one meanwhile is found out
// by the version that is written under.
type texts struct {
	of     store.Collection[record.Insight]
	uid    string
	last   string                        // no key is behind it
	newest *store.Record[record.Insight] // until it is read or written, nil for none
}

// look reads the newest.
func (s *Stage) look(ctx context.Context, uid string) (*texts, error) {
	t := &texts{of: s.Store.Insights, uid: uid}
	newest, err := t.of.List(ctx, uid, store.Query{Descending: true, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(newest) > 0 {
		t.last, t.newest = newest[0].Key, &newest[0]
	}
	return t, nil
}

// get is the Insight of the key.
func (t *texts) get(ctx context.Context, key string) (store.Record[record.Insight], error) {
	switch newest := t.newest; {
	case key > t.last:
		return store.Record[record.Insight]{}, store.ErrNotFound
	case newest != nil && key == newest.Key:
		t.newest = nil
		return *newest, nil
	}
	return t.of.Get(ctx, t.uid, key)
}

// wrote notes that there is an Insight of the key.
func (t *texts) wrote(key string) { t.last = max(t.last, key) }
