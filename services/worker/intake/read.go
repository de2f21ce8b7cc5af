package intake

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/content"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

// patient is at which attempt a body that is damaged, or not there, is given up: a
// minute and a half behind the first.
const patient = 10

// uploadWork is one upload on its way.
type uploadWork struct {
	uid, id  string
	attempt  int // of the message, those that failed counted
	record   store.Record[record.Upload]
	held     store.Record[record.Cursors] // with its digest
	envelope *upload.Envelope
	content  string // the digest of what it says
	days     map[health.Day][]health.Sample
	lastSeen map[string]health.Instant // latest end by type
	deleted  []health.UUID
	taken    []store.Change // demanded by a first change, of a record that says held, that does not end it
	full     []health.Day   // that had no room for what the upload has of them
	began    []health.Day   // that may have had no record before it
	doubted  bool           // what the digest says of days is read of their records
	room     atomic.Int64   // left for samples of days
}

// read decodes the raw body as the ingress did, by the clock of then, so that
// the verdicts are those that were acked.
func (s *Stage) read(ctx context.Context, j *uploadWork) error {
	body, err := s.body(ctx, j)
	switch {
	case err != nil && j.attempt < patient: // what was away may be back
		return fmt.Errorf("read upload: %w", err)
	case errors.Is(err, blob.ErrCorrupt), errors.Is(err, keyring.ErrTampered):
		return &failure{bodyDamaged}
	case errors.Is(err, blob.ErrNotFound):
		return &failure{bodyGone}
	case err != nil:
		return fmt.Errorf("read upload: %w", err)
	}
	inflated, err := upload.Inflate(nil, j.record.Value.Encoding, body)
	if err != nil {
		return unreadable(err)
	}
	j.days, j.lastSeen = map[health.Day][]health.Sample{}, map[string]health.Instant{}
	calendar := timeline.NewCalendar()
	var says *content.Digest // of a body that goes when it is merged
	if len(j.record.Value.Body) > 0 {
		says = content.New()
	}
	var lost error
	j.envelope, err = upload.Decode(inflated, health.InstantOf(j.record.Value.ReceivedAt), func(sample *health.Sample) {
		day, err := calendar.Day(sample)
		if err != nil {
			lost = err
			return
		}
		j.days[day] = append(j.days[day], *sample)
		if says != nil {
			says.Add(sample)
		}
		seen := sample.End
		if seen > j.latest() {
			seen = sample.Start
		}
		j.lastSeen[sample.Type] = max(seen, j.lastSeen[sample.Type])
	})
	if err != nil {
		return unreadable(err)
	}
	if lost != nil { // the decoder knew the zone a moment ago
		return fmt.Errorf("read upload: %w", lost)
	}
	for _, d := range j.envelope.Deleted {
		j.deleted = append(j.deleted, d.UUID)
	}
	if says != nil {
		if j.content, err = says.Sum(j.envelope); err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
	}
	return nil
}

// body is as it was received: in the record, or an object.
func (s *Stage) body(ctx context.Context, j *uploadWork) ([]byte, error) {
	if u := j.record.Value; u.Blob == "" {
		return u.Body, nil
	}
	return s.Objects.Get(ctx, j.uid, j.record.Value.Blob)
}

// latest is the latest that anything of the upload can have been seen, by a clock
// that is a day ahead. The end of a type that nobody knows may be any.
func (j *uploadWork) latest() health.Instant {
	return health.InstantOf(j.record.Value.ReceivedAt.Add(24 * time.Hour))
}

// unreadable is the failure of a body that the ingress accepted, so that only
// another version of the reader comes here.
func unreadable(err error) error {
	var e *upload.Error
	if errors.As(err, &e) {
		return &failure{bodyUnreadable}
	}
	return fmt.Errorf("read upload: %w", err)
}

// unused is the end of an object's name that nobody used before.
func unused() string { return rand.Text()[:16] }
