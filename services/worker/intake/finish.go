package intake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// commitAnchors records, type by type, how far the phone is synchronised. An
// anchor of an upload that was received before the one recorded stays out.
func (s *Stage) commitAnchors(ctx context.Context, j *uploadWork) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for kind, anchor := range j.envelope.Cursor {
		group.Go(func() error { return s.commitAnchor(ctx, j, kind, anchor) })
	}
	return group.Wait()
}

func (s *Stage) commitAnchor(ctx context.Context, j *uploadWork, kind, anchor string) error {
	key := cursorKey(kind)
	for range tries {
		record, err := s.Store.Cursors.Get(ctx, j.uid, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("read cursor: %w", err)
		}
		before, received := record.Value, j.record.Value.ReceivedAt.UTC()
		after := before
		after.LastSeen = max(before.LastSeen, j.lastSeen[kind])
		if record.Version == 0 || cmp.Or(received.Compare(before.Received), strings.Compare(j.id, before.UploadID)) > 0 {
			after.Anchor, after.UploadID, after.Received = anchor, j.id, received
		}
		if record.Version > 0 && after == before {
			return nil
		}
		_, err = s.Store.Cursors.Put(ctx, j.uid, key, record.Version, after)
		if err == nil || !errors.Is(err, store.ErrConflict) {
			return wrap("write cursor", err)
		}
	}
	return fmt.Errorf("write cursor: %w", store.ErrConflict)
}

// cursorKey is the type as a store's key: bytes that a key cannot hold, and =,
// are written as = and two hexadecimal digits; where that is too long, as a digest.
func cursorKey(kind string) string {
	var key strings.Builder
	for i := range len(kind) {
		switch c := kind[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == ':', c == '-', c == '@':
			key.WriteByte(c)
		default:
			fmt.Fprintf(&key, "=%02X", c)
		}
	}
	if key.Len() > 200 {
		sum := sha256.Sum256([]byte(kind))
		return "==" + hex.EncodeToString(sum[:])
	}
	return key.String()
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
		m.ID = req.ID()
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
