package ingress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

const createExportDetail = `An export is a ticket: nothing is copied now. Its download reads everything at that moment and streams it, so that no
second copy of anyone's health data lies about.`

const downloadDetail = `NDJSON, a line a record: {"kind", "key", "value"}, kind being profile, consent, upload, cursor, day, sample, result or
insight. The samples of a day follow its day line. The last line is {"kind": "end", "lines": n}: a download without it is
incomplete and may be repeated.`

// An exportView is a ticket to a download.
type exportView struct {
	ExportID  string    `json:"exportId"`
	State     string    `json:"state" enum:"pending,ready,failed"`
	CreatedAt time.Time `json:"createdAt"`
	Download  string    `json:"download" format:"uri-reference" doc:"where everything can be downloaded"`
}

func viewExport(r store.Record[record.Export]) exportView {
	return exportView{ExportID: r.Key, State: r.Value.State, CreatedAt: r.Value.CreatedAt.UTC(), Download: "/v1/exports/" + r.Key + "/download"}
}

type createExportOutput struct {
	Location string `header:"Location" doc:"the export"`
	Body     exportView
}

func (s *Server) createExport(ctx context.Context, _ *struct{}) (*createExportOutput, error) {
	uid, id := uidOf(ctx), newID()
	e := record.Export{State: "ready", CreatedAt: s.Now().UTC(), ReadyAt: s.Now().UTC()}
	err := s.people.storing(ctx, uid, func() error {
		_, err := s.Store.Exports.Put(ctx, uid, id, 0, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := s.Audit.Append(ctx, audit.Event{Action: audit.ExportCreated, UID: uid, ActorUID: uid, Object: id, Outcome: "ok"}); err != nil {
		return nil, fmt.Errorf("audit an export: %w", err)
	}
	if err := s.deliver(ctx, flow.Event{UID: uid, Kind: flow.ExportReady, Ref: id, Version: "1"}); err != nil {
		return nil, err
	}
	return &createExportOutput{Location: "/v1/exports/" + id, Body: viewExport(store.Record[record.Export]{Key: id, Value: e})}, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func (s *Server) listExports(ctx context.Context, in *pageInput) (*pageOutput[exportView], error) {
	return list(ctx, s.Store.Exports, *in, store.Query{}, viewExport)
}

type exportInput struct {
	ExportID string `path:"exportId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
}

type exportOutput struct{ Body exportView }

func (s *Server) getExport(ctx context.Context, in *exportInput) (*exportOutput, error) {
	r, err := s.Store.Exports.Get(ctx, uidOf(ctx), in.ExportID)
	if err != nil {
		return nil, err
	}
	return &exportOutput{viewExport(r)}, nil
}

func (s *Server) downloadExport(ctx context.Context, in *exportInput) (*bodyOutput, error) {
	subject, _ := ctx.Value(subjectKey{}).(identity.Subject)
	if _, err := s.Store.Exports.Get(ctx, subject.UID, in.ExportID); err != nil {
		return nil, err
	}
	release, ok := s.streams.open(subject.UID)
	if !ok {
		return nil, s.tooManyStreams()
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limits.StreamLifetime)
	return s.streaming(ndjson, func() { cancel(); release() }, func(w *wire) {
		x := &exporter{s: s, uid: subject.UID, w: w, out: json.NewEncoder(w.to)}
		if err := x.everything(ctx); err != nil && !x.clientGone {
			s.Logger.LogAttrs(ctx, slog.LevelError, "export ended early", slog.String("err", anonymous(ctx, err)))
		}
	}), nil
}

// An exporter writes a person's records, a line each.
type exporter struct {
	s          *Server
	uid        string
	w          *wire
	out        *json.Encoder
	lines      int
	clientGone bool
}

// An exportLine is one record of an export.
type exportLine struct {
	Kind  string `json:"kind" enum:"profile,consent,upload,cursor,day,sample,result,insight,end"`
	Key   string `json:"key,omitempty"`
	Value any    `json:"value,omitempty"`
	Lines int    `json:"lines,omitempty" doc:"on the last line: how many came before it"`
}

func (x *exporter) everything(ctx context.Context) error {
	st := x.s.Store
	steps := []func(context.Context) error{
		func(ctx context.Context) error {
			return exportAll(ctx, x, st.Profiles, record.ProfileKey, func(r store.Record[record.Profile]) any { return viewProfile(r.Value, r.Version).Body })
		},
		func(ctx context.Context) error {
			return exportAll(ctx, x, st.Consents, "consent", func(r store.Record[record.Consent]) any { return viewConsent(r.Key, r.Value) })
		},
		func(ctx context.Context) error {
			return exportAll(ctx, x, st.Uploads, "upload", func(r store.Record[record.Upload]) any { return viewUpload(r) })
		},
		func(ctx context.Context) error {
			return exportAll(ctx, x, st.Cursors, "cursor", func(r store.Record[record.Cursor]) any { return r.Value })
		},
		x.days,
		func(ctx context.Context) error {
			return exportAll(ctx, x, st.Results, "result", func(r store.Record[record.Result]) any { return viewWeek(r) })
		},
		func(ctx context.Context) error {
			return exportAll(ctx, x, st.Insights, "insight", func(r store.Record[record.Insight]) any { return viewInsight(r) })
		},
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := x.line(exportLine{Kind: "end", Lines: x.lines}); err != nil {
		return err
	}
	return x.flush()
}

func (x *exporter) line(l exportLine) error {
	x.lines++
	if x.lines%64 == 0 {
		if err := x.flush(); err != nil {
			return err
		}
	}
	err := x.out.Encode(l)
	x.clientGone = x.clientGone || err != nil
	return err
}

func (x *exporter) flush() error {
	err := x.w.flush()
	x.clientGone = x.clientGone || err != nil
	return err
}

func exportAll[V any](ctx context.Context, x *exporter, c store.Collection[V], kind string, view func(store.Record[V]) any) error {
	return eachRecord(ctx, c, x.uid, func(r store.Record[V]) error {
		return x.line(exportLine{Kind: kind, Key: r.Key, Value: view(r)})
	})
}

// eachRecord walks a collection of the person's in pages.
func eachRecord[V any](ctx context.Context, c store.Collection[V], uid string, do func(store.Record[V]) error) error {
	const perPage = 100
	for after := ""; ; {
		records, err := c.List(ctx, uid, store.Query{After: after, Limit: perPage})
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := do(r); err != nil {
				return err
			}
			after = r.Key
		}
		if len(records) < perPage {
			return nil
		}
	}
}

// days writes each day and its samples.
func (x *exporter) days(ctx context.Context) error {
	return eachRecord(ctx, x.s.Store.Days, x.uid, func(r store.Record[record.Day]) error {
		if err := x.line(exportLine{Kind: "day", Key: r.Key, Value: viewDay(r)}); err != nil {
			return err
		}
		samples, err := x.s.Samples(ctx, x.uid, r.Value)
		if err != nil {
			return fmt.Errorf("read the samples of a day: %w", err)
		}
		for i := range samples {
			if err := x.line(exportLine{Kind: "sample", Key: r.Key, Value: viewSample(&samples[i])}); err != nil {
				return err
			}
		}
		return nil
	})
}

// A sampleView is a sample as it is exported.
type sampleView struct {
	UUID          string          `json:"uuid"`
	Type          string          `json:"type"`
	Start         time.Time       `json:"start"`
	End           time.Time       `json:"end"`
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
		UUID: s.UUID.String(), Type: s.Type, Start: s.Start.Time(), End: s.End.Time(), TimeZone: s.Zone,
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
