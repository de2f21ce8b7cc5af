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
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

// finish ends an upload whose days are written, as often as others write first what
// belongs to it.
func (s *Stage) finish(ctx context.Context, j *uploadWork, touched []health.Day) error {
	for range tries {
		cursors, err := s.Store.Synced(ctx, j.uid)
		if err != nil {
			return fmt.Errorf("read cursors: %w", err)
		}
		ends, err := s.windows(ctx, j, touched)
		if err != nil {
			return err
		}
		if err = s.commit(ctx, j, cursors, outcome{touched: touched, ends: ends}); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("write what was merged: %w", store.ErrConflict)
}

// An outcome is what a merge came to.
type outcome struct {
	touched []health.Day
	ends    []health.Day // of the windows that are to be analysed
	// What is not written yet: the records of the days, and what was found.
	days  []store.Change
	found *timeline.Stats
}

// commit marks the upload merged, takes it off the agenda, commits the phone's
// anchors and has the touched windows be analysed, all at once and as long as nobody
// else has written the cursors: with each change of a day they are written, too.
func (s *Stage) commit(ctx context.Context, j *uploadWork, cursors store.Record[record.Cursors], o outcome) error {
	with := append(slices.Clone(o.days), s.done(j))
	after, moved := j.advance(cursors.Value)
	if moved || len(o.touched) > 0 {
		with = append(with, s.Store.Cursors.ToPut(cursors.Key, cursors.Version, after))
	}
	var ask []queue.Message
	if len(o.ends) > 0 {
		asking, now, err := s.Windows.Adding(ctx, j.uid, j.breaksSilence(cursors.Value), o.ends...)
		if err != nil {
			return err
		}
		with, ask = append(with, asking), now
	}
	merged := func(u *record.Upload) {
		u.State, u.MergedAt, u.Days, u.Full = record.UploadMerged, s.Now().UTC(), o.touched, j.full
		if o.found != nil {
			u.Added, u.Replaced, u.Duplicates = o.found.Added, o.found.Replaced, o.found.Duplicates
		}
	}
	if err := s.mark(ctx, j, merged, with...); err != nil || len(ask) == 0 {
		return err
	}
	if err := s.Queue.Publish(ctx, ask...); err != nil {
		return fmt.Errorf("ask for the analysis: %w", err) // or it falls due
	}
	return nil
}

// hush is how long nothing must have come of a person whose next upload is analysed
// at once: they look, and no burst is on its way.
const hush = 30 * time.Minute

// breaksSilence says whether the upload is the first of the person for a while.
func (j *uploadWork) breaksSilence(before record.Cursors) bool {
	return !j.record.Value.Historical && j.record.Value.ReceivedAt.Sub(before.Received) >= hush
}

// advance is how far the types are synchronised with the upload, and whether
// that is further than before. An anchor of an upload that was received before
// the one recorded stays out.
func (j *uploadWork) advance(before record.Cursors) (after record.Cursors, moved bool) {
	after = before
	if after.Types = maps.Clone(before.Types); after.Types == nil {
		after.Types = map[string]record.Cursor{}
	}
	if received := j.record.Value.ReceivedAt.UTC(); received.After(before.Received) {
		after.Received = received
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

// lastDays are today where the phone is, and the last day that there is: with a
// record, or with one that the upload begins.
func (s *Stage) lastDays(ctx context.Context, j *uploadWork) (today, newest health.Day, err error) {
	loc, err := health.LoadZone(j.envelope.TimeZone)
	if err != nil {
		return 0, 0, fmt.Errorf("find today: %w", err)
	}
	today = health.DayOf(health.InstantOf(s.Now()), loc)
	newest, found, err := s.dayBefore(ctx, j.uid, "")
	if err != nil {
		return today, today, err
	}
	for _, day := range j.began {
		if !found || day > newest {
			newest, found = day, true
		}
	}
	if !found {
		newest = today
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
		switch {
		case err != nil:
			return 0, 0, err
		case i > 0 && (!found || day <= began[i-1]): // which the upload began
			continue
		case found:
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
