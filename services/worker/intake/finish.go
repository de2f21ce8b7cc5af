package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// finish marks the upload merged, takes it off the agenda, commits the phone's
// anchors and has the touched windows be analysed: at once, and as often as others
// write what belongs to it first.
func (s *Stage) finish(ctx context.Context, j *uploadWork, touched []health.Day) error {
	ends, err := s.windows(ctx, j, touched)
	if err != nil {
		return err
	}
	merged := func(u *record.Upload) {
		u.State, u.MergedAt, u.Days, u.Full = record.UploadMerged, s.Now().UTC(), touched, j.full
	}
	for range tries {
		with := []store.Change{s.done(j)}
		if len(j.envelope.Cursor) > 0 {
			cursors, err := s.Store.Synced(ctx, j.uid)
			if err != nil {
				return fmt.Errorf("read cursors: %w", err)
			}
			if after, moved := j.advance(cursors.Value); moved {
				with = append(with, s.Store.Cursors.ToPut(cursors.Key, cursors.Version, after))
			}
		}
		if len(ends) > 0 {
			asking, err := s.Windows.Adding(ctx, j.uid, ends...)
			if err != nil {
				return err
			}
			with = append(with, asking)
		}
		if err = s.mark(ctx, j, merged, with...); err == nil || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("write what was merged: %w", store.ErrConflict)
}

// advance is how far the types are synchronised with the upload, and whether
// that is further than before. An anchor of an upload that was received before
// the one recorded stays out.
func (j *uploadWork) advance(before record.Cursors) (after record.Cursors, moved bool) {
	after.Types = maps.Clone(before.Types)
	if after.Types == nil {
		after.Types = map[string]record.Cursor{}
	}
	for kind, anchor := range j.envelope.Cursor {
		former, known := before.Types[kind]
		next, received := former, j.record.Value.ReceivedAt.UTC()
		if former.LastSeen > j.latest() { // of a release that believed any end
			next.LastSeen = 0
		}
		next.LastSeen = max(next.LastSeen, j.lastSeen[kind])
		if !known || cmp.Or(received.Compare(former.Received), strings.Compare(j.id, former.UploadID)) > 0 {
			next.Anchor, next.UploadID, next.Received = anchor, j.id, received
		}
		if !known || next != former {
			after.Types[kind], moved = next, true
		}
	}
	bound(after.Types)
	return after, moved
}

// The bounds of a person's cursors, which are one document. A phone has about a
// hundred types, with anchors of some hundred bytes.
const (
	maxCursors     = 512
	maxCursorBytes = store.MaxDocument / 2
)

// bound forgets the cursors that were committed first, where there are too many:
// their types are synchronised from the beginning, and merged as what they are.
func bound(types map[string]record.Cursor) {
	oldest := slices.SortedFunc(maps.Keys(types), func(a, b string) int {
		return cmp.Or(types[a].Received.Compare(types[b].Received), strings.Compare(a, b))
	})
	bytes := 0
	for _, kind := range oldest {
		bytes += cursorBytes(kind, types[kind])
	}
	for _, kind := range oldest {
		if len(types) <= maxCursors && bytes <= maxCursorBytes {
			return
		}
		bytes -= cursorBytes(kind, types[kind])
		delete(types, kind)
	}
}

// cursorBytes is about what a cursor takes in its document: text that is no text
// in JSON is up to six times as long there.
func cursorBytes(kind string, c record.Cursor) int {
	text, err := json.Marshal([]string{kind, c.Anchor, c.UploadID})
	if err != nil {
		return maxCursorBytes
	}
	return len(text) + 128
}

// windows are those that read a touched day, but none that ends after both today
// and the last day there is. Where the upload brings later days than there were,
// those that end in the silence before them are asked for with it: nobody did
// while there was nothing later.
func (s *Stage) windows(ctx context.Context, j *uploadWork, touched []health.Day) ([]health.Day, error) {
	if len(touched) == 0 {
		return nil, nil
	}
	today, newest, err := s.lastDays(ctx, j)
	if err != nil {
		return nil, err
	}
	ends := map[health.Day]bool{}
	for _, day := range touched {
		first, until := analysis.Touching(day)
		for end := first; end <= min(until, max(today, newest)); end++ {
			ends[end] = true
		}
	}
	if slices.Contains(j.began, newest) {
		former, next, err := s.silence(ctx, j)
		if err != nil {
			return nil, err
		}
		_, until := analysis.Touching(former)
		for end := former + 1; end <= min(until, next-1); end++ {
			ends[end] = true
		}
	}
	return slices.Sorted(maps.Keys(ends)), nil
}

// lastDays are today where the phone is, and the last day with a record.
func (s *Stage) lastDays(ctx context.Context, j *uploadWork) (today, newest health.Day, err error) {
	loc, err := health.LoadZone(j.envelope.TimeZone)
	if err != nil {
		return 0, 0, fmt.Errorf("find today: %w", err)
	}
	today = health.DayOf(health.InstantOf(s.Now()), loc)
	newest, found, err := s.dayBefore(ctx, j.uid, "")
	if err != nil || !found {
		return today, today, err
	}
	return today, newest, nil
}

// dayBefore is the last day with a record, before the key if one is given.
func (s *Stage) dayBefore(ctx context.Context, uid, key string) (day health.Day, found bool, err error) {
	records, err := s.Store.Days.List(ctx, uid, store.Query{To: key, Descending: true, Limit: 1})
	if err != nil {
		return 0, false, fmt.Errorf("find last day: %w", err)
	}
	if len(records) == 0 {
		return 0, false, nil
	}
	if day, err = health.ParseDay(records[0].Key); err != nil {
		return 0, false, fmt.Errorf("find last day: %w", err)
	}
	return day, true, nil
}

// silence is between the last day that there was before the upload, and the first
// behind it that the upload began; next is no later than former where there is none.
func (s *Stage) silence(ctx context.Context, j *uploadWork) (former, next health.Day, err error) {
	began := slices.Compact(slices.Sorted(slices.Values(j.began)))
	for i := len(began) - 1; i >= 0; i-- {
		if i > 0 && began[i-1] == began[i]-1 {
			continue
		}
		day, found, err := s.dayBefore(ctx, j.uid, began[i].String())
		if err != nil || !found {
			return 0, 0, err
		}
		if i == 0 || day != began[i-1] {
			return day, began[i], nil
		}
	}
	return 0, 0, nil
}

// news is what the person's devices are told of the upload in that state.
func (j *uploadWork) news(state record.UploadState) []flow.Event {
	kind, is := map[record.UploadState]flow.EventKind{
		record.UploadMerged: flow.UploadMerged, record.UploadFailed: flow.UploadFailed, record.UploadHeld: flow.UploadHeld,
	}[state]
	if !is {
		return nil
	}
	return []flow.Event{{Kind: kind, Ref: j.id, Version: string(state)}}
}
