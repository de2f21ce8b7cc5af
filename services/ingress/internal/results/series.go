package results

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	"github.com/clarity-loop/clarity/services/ingress/internal/damaged"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/points"
	"github.com/clarity-loop/clarity/services/store"
)

// A daySeries names one of a day's samples that are many points.
type daySeries struct {
	UUID   string     `json:"uuid" format:"uuid"`
	Type   string     `json:"type" doc:"HealthKit's: docs/api/types.md"`
	Start  reply.Time `json:"start"`
	End    reply.Time `json:"end"`
	Parent string     `json:"parent,omitempty" format:"uuid" doc:"the sample that it is of, with which it goes"`
	Points int        `json:"points" minimum:"0"`
	Digest string     `json:"digest" doc:"SHA-256 of the series as compact JSON"`
	Where  string     `json:"where" format:"uri-reference" doc:"where its points are"`
}

func viewSeries(day string, of []points.Reference) (all []daySeries) {
	for _, s := range of {
		all = append(all, daySeries{
			UUID: s.UUID, Type: s.Type, Start: reply.Time(s.Start.Time()), End: reply.Time(s.End.Time()), Parent: s.Parent, Points: s.Points,
			Digest: s.Digest, Where: "/v1/days/" + day + "/series/" + s.UUID,
		})
	}
	return all
}

type seriesInput struct {
	reply.DateInput
	UUID string `path:"uuid" format:"uuid" doc:"of the series, in lower case" example:"0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d"`
}

// A sampleSeries is a series as it was sent.
type sampleSeries struct{ json.RawMessage }

// Schema is that of what is uploaded: the room of the uploads enters it.
func (sampleSeries) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Ref: "#/components/schemas/SampleSeries"}
}

type seriesOutput struct{ Body sampleSeries }

// getSeries gives the points of one series of a day. A chunk may be replaced between
// the two reads: the object of what is still there lies where the record of then says.
func (r *Room) getSeries(ctx context.Context, in *seriesInput) (*seriesOutput, error) {
	uid := reply.UID(ctx)
	day, err := r.Days.Get(ctx, uid, in.Date)
	if err != nil {
		return nil, err
	}
	for _, s := range day.Value.Series {
		if s.UUID != in.UUID {
			continue
		}
		content, err := readPoints(ctx, r.Series, uid, s)
		return &seriesOutput{sampleSeries{content}}, err
	}
	return nil, store.ErrNotFound
}

// seriesReader reads the JSON of one series from its object.
type seriesReader func(ctx context.Context, uid, object string, of health.UUID) ([]byte, error)

func readPoints(ctx context.Context, read seriesReader, uid string, s points.Reference) ([]byte, error) {
	of, err := health.ParseUUID(s.UUID)
	if err != nil {
		return nil, fmt.Errorf("read a day's series: %w", err)
	}
	return read(ctx, uid, s.Blob, of)
}

// series are the day's, a line each, as they can be uploaded again.
func (h Held) series(ctx context.Context, uid string, d store.Record[record.Day], line reply.Line) error {
	for _, s := range d.Value.Series {
		content, err := readPoints(ctx, h.Series, uid, s)
		if err != nil {
			if err = damaged.Say(line, clarityexport.KindSeries, d.Key, err); err != nil {
				return fmt.Errorf("read the series of a day: %w", err)
			}
			continue
		}
		if err := line(clarityexport.KindSeries, d.Key, clarityexport.Series{TimeZone: s.Zone, Series: content}); err != nil {
			return err
		}
	}
	return nil
}
