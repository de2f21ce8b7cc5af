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
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

// finish ends an upload whose days are written, as often as others write what belongs
// to it first. It does nothing and reports that they grew where the tombstones are
// others than the days were written by.
func (s *Stage) finish(ctx context.Context, j *uploadWork, m *merging) (grew bool, err error) {
	for range tries {
		o := outcome{touched: j.record.Value.Days, wrote: m.wrote()}
		if o.digest, err = s.digest(ctx, j, m); err != nil {
			return false, err
		}
		if err = s.commit(ctx, j, m, o); !errors.Is(err, store.ErrConflict) {
			return false, err
		}
		if err := s.lookAgain(ctx, j, false); err != nil {
			return false, err
		}
		if j.held.Value.Held.Tombstones != m.tombstones.object {
			return true, nil
		}
	}
	return false, fmt.Errorf("write what was merged: %w", store.ErrConflict)
}

// fail marks the upload failed. A call before may have
// written some of its days: these are analysed as they are now, when it can write no
// more of them.
func (s *Stage) fail(ctx context.Context, j *uploadWork, why reason, with ...store.Change) error {
	if len(j.record.Value.Days) == 0 {
		failed := func(u *record.Upload) { u.State, u.Reason = record.UploadFailed, string(why) }
		return s.mark(ctx, j, failed, with...)
	}
	if err := s.take(ctx, j); err != nil {
		return err
	}
	for range tries {
		if err := s.lookAgain(ctx, j, false); err != nil {
			return err
		}
		m, o := &merging{}, outcome{touched: j.record.Value.Days, failed: why, with: with}
		var err error
		if o.digest, err = s.digest(ctx, j, m); err != nil {
			return err
		}
		if err = s.commit(ctx, j, m, o); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("write what failed: %w", store.ErrConflict)
}

// An outcome is what a merge came to.
type outcome struct {
	failed  reason         // "" where it did not
	with    []store.Change // what belongs to it
	touched []health.Day
	wrote   bool         // a day
	digest  *held.Digest // with the days as they are now
	first   bool         // the windows are believed to be the first that are to be analysed
	// What is not written yet: the records of the days, and what was found.
	days  []store.Change
	found *timeline.Stats
}

// commit marks the upload merged, or failed, commits the phone's anchors with what is held by now, and has the touched windows be analysed: all at
// once, under the version of what was held.
func (s *Stage) commit(ctx context.Context, j *uploadWork, m *merging, o outcome) error {
	with := slices.Concat(o.with, o.days)
	after, moved := j.held.Value, false
	if o.failed == "" {
		after, moved = j.advance(j.held.Value)
	}
	after.Held = o.digest
	if moved || o.wrote || o.digest != j.held.Value.Held {
		with = append(with, s.Store.Cursors.ToPut(j.held.Key, j.held.Version, after))
	}
	ends, err := s.windows(ctx, j, m, o)
	if err != nil {
		return err
	}
	var ask []queue.Message
	if len(ends) > 0 {
		asking, now, err := s.Windows.Adding(ctx, j.uid, o.first && j.breaksSilence(), ends...)
		if err != nil {
			return err
		}
		with, ask = append(with, asking), now
	}
	last := func(u *record.Upload) {
		if o.failed != "" {
			u.State, u.Reason = record.UploadFailed, string(o.failed)
			return
		}
		u.State, u.MergedAt, u.Days, u.Full = record.UploadMerged, s.Now().UTC(), o.touched, j.full
		if len(u.Body) > 0 { // whoever sends it again is told by what it says
			u.Body, u.Content = nil, j.content
		}
		if o.found != nil {
			u.Added, u.Replaced, u.Duplicates = o.found.Added, o.found.Replaced, o.found.Duplicates
		}
	}
	if err := s.mark(ctx, j, last, with...); err != nil || len(ask) == 0 {
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
func (j *uploadWork) breaksSilence() bool {
	return !j.record.Value.Historical && j.record.Value.ReceivedAt.Sub(j.held.Value.Received) >= hush
}

// digest is the digest with the days that the upload touched as they are now. A day
// that the digest does not have as this work found it was written by another: its
// record says how it is.
func (s *Stage) digest(ctx context.Context, j *uploadWork, m *merging) (*held.Digest, error) {
	digest := j.held.Value.Held
	for _, day := range slices.Backward(slices.Sorted(slices.Values(j.record.Value.Days))) {
		if !digest.Covers(day) {
			break
		}
		there, _ := digest.Find(day)
		w := m.find(day)
		switch {
		case w != nil && there.Version == w.record.Version:
		case w != nil && w.record.Version == w.wrote.Version && slices.Contains(w.replaced, there.Version):
			digest = digest.With(w.wrote)
		default:
			r, err := s.Store.Days.Get(ctx, j.uid, day.String())
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read day: %w", err)
			}
			digest = digest.With(r.Value.Held(day, r.Version))
		}
	}
	return digest, nil
}

// find is the work on the day, nil for none.
func (m *merging) find(day health.Day) *dayWork {
	i := slices.IndexFunc(m.works, func(w *dayWork) bool { return w.day == day })
	if i < 0 {
		return nil
	}
	return m.works[i]
}

// wrote says whether a day was written.
func (m *merging) wrote() bool {
	return slices.ContainsFunc(m.works, func(w *dayWork) bool { return len(w.replaced) > 0 })
}

// hint is the day as the digest has it: version 0 where it says that there is none,
// nil where it does not say. A call before this one may have written days, of which
// the digest does not tell: none is believed then, nor where it has misled.
func (j *uploadWork) hint(day health.Day) *held.Day {
	digest := j.held.Value.Held
	if j.doubted || len(j.record.Value.Days) > 0 {
		return nil
	}
	if there, found := digest.Find(day); there.Version != held.Unread && (found || digest.Covers(day)) {
		there.Day = day
		return &there
	}
	return nil
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
func (s *Stage) windows(ctx context.Context, j *uploadWork, m *merging, o outcome) ([]health.Day, error) {
	touched, digest := o.touched, o.digest
	if len(touched) == 0 {
		return nil, nil
	}
	last, newest, err := s.lastDays(j, digest)
	if err != nil {
		return nil, err
	}
	ends := map[health.Day]bool{}
	for _, day := range touched {
		if w := m.find(day); w != nil && len(w.replaced) > 0 && !w.stirs {
			continue
		}
		first, until := analysis.Touching(day)
		for end := first; end <= min(until, last); end++ {
			ends[end] = end >= day || ends[end] || m.reaches(day, end, digest)
		}
	}
	if slices.Contains(j.began, newest) {
		former, next, err := s.silence(ctx, j, digest)
		if err != nil {
			return nil, err
		}
		_, until := analysis.Touching(former)
		for end := former + 1; end <= min(until, next-1); end++ {
			ends[end] = true
		}
	}
	maps.DeleteFunc(ends, func(_ health.Day, asked bool) bool { return !asked })
	return slices.Sorted(maps.Keys(ends)), nil
}

// reaches says whether the day, as this work found it or left it, may hold something
// for the window that ends before it.
func (m *merging) reaches(day, end health.Day, digest *held.Digest) bool {
	window, w := analysis.Request{End: end}, m.find(day)
	if first, _ := window.Reads(); w == nil || len(w.replaced) == 0 || !digest.Covers(first) {
		return true
	}
	return window.Needs(day, w.begins, held.Zone(digest.Days, window.Start(), end))
}

// lastDays are the last day on which a window ends, and the last with a record: a
// window may end today where the phone is.
func (s *Stage) lastDays(j *uploadWork, digest *held.Digest) (last, newest health.Day, err error) {
	loc := time.UTC
	if n := len(digest.Days); n > 0 { // where the phone was last
		if known, err := health.LoadZone(digest.Days[n-1].Zone); err == nil {
			loc = known
		}
	}
	if j.envelope != nil {
		if loc, err = health.LoadZone(j.envelope.TimeZone); err != nil {
			return 0, 0, fmt.Errorf("find today: %w", err)
		}
	}
	last = health.DayOf(health.InstantOf(s.Now()), loc)
	newest = last
	if n := len(digest.Days); n > 0 {
		newest = digest.Days[n-1].Day
	}
	return max(last, newest), newest, nil
}

// dayBefore is the last day with a record before the one.
func (s *Stage) dayBefore(ctx context.Context, uid string, of health.Day, digest *held.Digest) (day health.Day, found bool, err error) {
	if day, found, known := digest.Before(of); known {
		return day, found, nil
	}
	records, err := s.Store.Days.List(ctx, uid, store.Query{To: of.String(), Descending: true, Limit: 1})
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
func (s *Stage) silence(ctx context.Context, j *uploadWork, digest *held.Digest) (former, next health.Day, err error) {
	began := slices.Compact(slices.Sorted(slices.Values(j.began)))
	for i := len(began) - 1; i >= 0; i-- {
		if i > 0 && began[i-1] == began[i]-1 {
			continue
		}
		day, found, err := s.dayBefore(ctx, j.uid, began[i], digest)
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
