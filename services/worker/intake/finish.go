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
)

// finish marks the upload merged, takes it off the agenda and commits the phone's
// anchors: at once, and as often as other uploads commit theirs first.
func (s *Stage) finish(ctx context.Context, j *uploadWork, touched []health.Day) error {
	merged := func(u *record.Upload) { u.State, u.MergedAt, u.Days = record.UploadMerged, s.Now().UTC(), touched }
	if len(j.envelope.Cursor) == 0 {
		return s.mark(ctx, j, merged, s.done(j))
	}
	for range tries {
		cursors, err := s.Store.Synced(ctx, j.uid)
		if err != nil {
			return fmt.Errorf("read cursors: %w", err)
		}
		with := []store.Change{s.done(j)}
		if after, moved := j.advance(cursors.Value); moved {
			with = append(with, s.Store.Cursors.ToPut(cursors.Key, cursors.Version, after))
		}
		if err = s.mark(ctx, j, merged, with...); err == nil || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("write cursors: %w", store.ErrConflict)
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
		next.LastSeen = max(former.LastSeen, j.lastSeen[kind])
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

// publishBatch is how many requests are published at once.
const publishBatch = 500

// requestAnalyses asks for every window that reads a touched day, but none
// that ends after both today and the last day there is.
func (s *Stage) requestAnalyses(ctx context.Context, j *uploadWork, touched []health.Day) error {
	if len(touched) == 0 {
		return nil
	}
	last, err := s.lastDay(ctx, j)
	if err != nil {
		return err
	}
	ends := map[health.Day]bool{}
	for _, day := range touched {
		first, until := analysis.Touching(day)
		for end := first; end <= min(until, last); end++ {
			ends[end] = true
		}
	}
	var messages []queue.Message
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		req := analysis.Request{UID: j.uid, End: end}
		m, err := queue.JSON(flow.TopicAnalyses, j.uid, req)
		if err != nil {
			return err
		}
		m.NotBefore = s.Now().Add(s.Debounce)
		messages = append(messages, m)
	}
	for batch := range slices.Chunk(messages, publishBatch) {
		if err := s.Queue.Publish(ctx, batch...); err != nil {
			return fmt.Errorf("request analyses: %w", err)
		}
	}
	return nil
}

// lastDay is today where the phone is, or the last day with a record if that is later.
func (s *Stage) lastDay(ctx context.Context, j *uploadWork) (health.Day, error) {
	loc, err := time.LoadLocation(j.envelope.TimeZone)
	if err != nil {
		return 0, fmt.Errorf("find today: %w", err)
	}
	today := health.DayOf(health.InstantOf(s.Now()), loc)
	records, err := s.Store.Days.List(ctx, j.uid, store.Query{Descending: true, Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("find last day: %w", err)
	}
	if len(records) == 0 {
		return today, nil
	}
	last, err := health.ParseDay(records[0].Key)
	if err != nil {
		return 0, fmt.Errorf("find last day: %w", err)
	}
	return max(today, last), nil
}

// publish lets the person's devices know what the upload has come to.
func (s *Stage) publish(ctx context.Context, j *uploadWork) error {
	state := j.record.Value.State
	kind := map[record.UploadState]flow.EventKind{
		record.UploadMerged: flow.UploadMerged, record.UploadFailed: flow.UploadFailed, record.UploadHeld: flow.UploadHeld,
	}[state]
	m, err := queue.JSON(flow.TopicEvents, j.uid, flow.Event{UID: j.uid, Kind: kind, Ref: j.id, Version: string(state)})
	if err != nil {
		return err
	}
	return wrap("publish event", s.Queue.Publish(ctx, m))
}
