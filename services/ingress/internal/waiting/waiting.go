// Package waiting is a part of an export: the samples and deletions of the uploads
// that are in no day yet, since nobody has merged them, or they are held.
package waiting

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/damaged"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// Held is where they are read.
type Held struct {
	Uploads store.Collection[record.Upload]
	Objects interface {
		Get(ctx context.Context, uid, name string) ([]byte, error)
	}
}

// Section are the samples and deletions of the uploads that are in no day yet. It
// comes behind the days: an upload that is merged meanwhile is in one of the two, or
// in both.
func (h Held) Section() reply.Section {
	return reply.Section{Name: clarityexport.KindHeld, Each: func(ctx context.Context, uid, after string, line reply.Line) error {
		return reply.EachRecord(ctx, h.Uploads, uid, after, func(u store.Record[record.Upload]) error {
			if u.Value.State != record.UploadHeld && u.Value.State != record.UploadReceived {
				return nil
			}
			err := h.upload(ctx, uid, u, line)
			if err != nil {
				err = damaged.Say(line, clarityexport.KindHeld, u.Key, err)
			}
			if err != nil {
				return fmt.Errorf("read an upload that waits: %w", err)
			}
			return nil
		})
	}}
}

func (h Held) upload(ctx context.Context, uid string, u store.Record[record.Upload], line reply.Line) error {
	body := u.Value.Body
	if u.Value.Blob != "" {
		var err error
		if body, err = h.Objects.Get(ctx, uid, u.Value.Blob); err != nil {
			return err
		}
	}
	inflated, err := upload.Inflate(nil, u.Value.Encoding, body)
	if err != nil {
		return unreadable(err)
	}
	var failed error
	var many []manyPoints
	envelope, err := upload.Decode(inflated, health.InstantOf(u.Value.ReceivedAt), func(s *health.Sample) {
		if points, ok := series.Of(s); ok { // with what was sent, below
			many = append(many, manyPoints{points.Digest, s.Zone})
		} else if failed == nil {
			view := clarityexport.Of(s)
			failed = line(clarityexport.KindHeld, u.Key, clarityexport.Held{Sample: &view})
		}
	})
	switch {
	case err != nil:
		return unreadable(err)
	case failed != nil:
		return failed
	}
	for _, m := range many {
		held := clarityexport.Held{Series: &clarityexport.Series{TimeZone: m.zone, Series: envelope.Series[m.digest]}}
		if err := line(clarityexport.KindHeld, u.Key, held); err != nil {
			return err
		}
	}
	for _, d := range envelope.Deleted {
		if err := line(clarityexport.KindHeld, u.Key, clarityexport.Held{Deleted: &clarityexport.Deletion{UUID: d.UUID.String(), Type: d.Type}}); err != nil {
			return err
		}
	}
	return nil
}

// unreadable says that no retry reads the body: it was read when it came.
func unreadable(err error) error { return errors.Join(blob.ErrCorrupt, err) }

// manyPoints is one of the upload's series, and the zone that decides its day.
type manyPoints struct{ digest, zone string }
