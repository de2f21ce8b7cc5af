package results

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/clarity-loop/clarity/services/health"
	ofpoints "github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A dayView is what is held of one local day; the samples are in an export.
type dayView struct {
	Date     string              `json:"date" format:"date"`
	TimeZone string              `json:"timeZone" doc:"IANA zone most of the samples were recorded in"`
	Samples  int                 `json:"samples" minimum:"0"`
	Types    map[string]typeView `json:"types" doc:"by HealthKit type"`
	Digest   string              `json:"digest" doc:"SHA-256 of the day's samples in canonical form: equal content, equal digest"`
	Series   []daySeries         `json:"series,omitempty" nullable:"false" doc:"those of the samples that are many points; absent where there is none"`
	Updated  reply.Time          `json:"updated"`
}

type typeView struct {
	Count int        `json:"count" minimum:"0"`
	First reply.Time `json:"first" doc:"earliest start"`
	Last  reply.Time `json:"last" doc:"latest end"`
}

func viewDay(r store.Record[record.Day]) dayView {
	v := dayView{Date: r.Key, TimeZone: r.Value.Zone, Samples: r.Value.Samples, Digest: r.Value.Digest, Series: viewSeries(r.Key, r.Value.Series), Updated: reply.Time(r.Updated), Types: map[string]typeView{}}
	for name, t := range r.Value.Types {
		v.Types[name] = typeView{Count: t.Count, First: reply.Time(t.First.Time()), Last: reply.Time(t.Last.Time())}
	}
	return v
}

func (r *Room) listDays(ctx context.Context, in *reply.RangeInput) (*reply.PageOutput[dayView], error) {
	return reply.ListRange(ctx, r.Days, *in, viewDay)
}

type dayOutput struct{ Body dayView }

func (r *Room) getDay(ctx context.Context, in *reply.DateInput) (*dayOutput, error) {
	found, err := r.Days.Get(ctx, reply.UID(ctx), in.Date)
	if err != nil {
		return nil, err
	}
	return &dayOutput{viewDay(found)}, nil
}

// exportDays are each day and its samples, as lines of an export.
func (r *Room) exportDays(ctx context.Context, uid string, line reply.Line) error {
	return reply.EachRecord(ctx, r.Days, uid, func(d store.Record[record.Day]) error {
		if err := line("day", d.Key, viewDay(d)); err != nil {
			return err
		}
		samples, err := r.Samples(ctx, uid, d.Value.Chunk)
		if err != nil {
			return fmt.Errorf("read the samples of a day: %w", err)
		}
		for i := range samples {
			if _, ok := ofpoints.Of(&samples[i]); ok {
				continue // with its points, below
			}
			if err := line("sample", d.Key, viewSample(&samples[i])); err != nil {
				return err
			}
		}
		return r.exportSeries(ctx, uid, d, line)
	})
}

// A sampleView is a sample as it is exported.
type sampleView struct {
	UUID          string          `json:"uuid"`
	Type          string          `json:"type"`
	Start         reply.Time      `json:"start"`
	End           reply.Time      `json:"end"`
	TimeZone      string          `json:"timeZone"`
	Value         float64         `json:"value"`
	Unit          string          `json:"unit,omitempty"`
	OriginalValue float64         `json:"originalValue"`
	OriginalUnit  string          `json:"originalUnit,omitempty"`
	Source        sourceView      `json:"source"`
	UserEntered   bool            `json:"userEntered,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	Raw           json.RawMessage `json:"raw,omitempty"`
}

type sourceView struct {
	BundleID    string `json:"bundleId,omitempty"`
	Name        string `json:"name,omitempty"`
	ProductType string `json:"productType,omitempty"`
	OSVersion   string `json:"osVersion,omitempty"`
}

func viewSample(s *health.Sample) sampleView {
	return sampleView{
		UUID: s.UUID.String(), Type: s.Type, Start: reply.Time(s.Start.Time()), End: reply.Time(s.End.Time()), TimeZone: s.Zone,
		Value: s.Value, Unit: s.Unit, OriginalValue: s.OriginalValue, OriginalUnit: s.OriginalUnit,
		Source: sourceView(s.Source), UserEntered: s.UserEntered, Metadata: rawJSON(s.Metadata), Raw: rawJSON(s.Raw),
	}
}

// rawJSON is the text as JSON, or absent.
func rawJSON(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}
