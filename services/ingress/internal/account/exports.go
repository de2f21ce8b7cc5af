package account

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/streams"
	"github.com/clarity-loop/clarity/services/queue"
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
	ExportID  string     `json:"exportId"`
	State     string     `json:"state" enum:"pending,ready,failed"`
	CreatedAt reply.Time `json:"createdAt"`
	Download  string     `json:"download" format:"uri-reference" doc:"where everything can be downloaded"`
}

func viewExport(r store.Record[record.Export]) exportView {
	return exportView{ExportID: r.Key, State: r.Value.State, CreatedAt: reply.Time(r.Value.CreatedAt), Download: "/v1/exports/" + r.Key + "/download"}
}

type createExportOutput struct {
	Location string `header:"Location" doc:"the export"`
	Body     exportView
}

func (r *Room) createExport(ctx context.Context, _ *struct{}) (*createExportOutput, error) {
	uid, id := reply.UID(ctx), reply.NewID()
	e := record.Export{State: "ready", CreatedAt: r.Now().UTC(), ReadyAt: r.Now().UTC()}
	err := r.Cache.Storing(ctx, uid, func(demand store.Change) error {
		_, err := r.Standing.Batch(ctx, uid, r.Exports.ToPut(id, 0, e), demand)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.Audit.Append(ctx, audit.Event{Action: audit.ExportCreated, UID: uid, ActorUID: uid, Object: id, Outcome: "ok"}); err != nil {
		return nil, fmt.Errorf("audit an export: %w", err)
	}
	if err := r.publishReady(ctx, uid, id); err != nil {
		return nil, err
	}
	return &createExportOutput{Location: "/v1/exports/" + id, Body: viewExport(store.Record[record.Export]{Key: id, Value: e})}, nil
}

// publishReady tells the person's devices of the export.
func (r *Room) publishReady(ctx context.Context, uid, id string) error {
	m, err := queue.JSON(flow.TopicEvents, uid, flow.Event{UID: uid, Kind: flow.ExportReady, Ref: id, Version: "1"})
	if err == nil {
		err = r.Queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("publish that an export is ready: %w", err)
	}
	return nil
}

func (r *Room) listExports(ctx context.Context, in *reply.PageInput) (*reply.PageOutput[exportView], error) {
	return reply.List(ctx, r.Exports, *in, store.Query{}, func(cursor string) bool { return len(cursor) == 32 }, viewExport)
}

type exportInput struct {
	ExportID string `path:"exportId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
}

type exportOutput struct{ Body exportView }

func (r *Room) getExport(ctx context.Context, in *exportInput) (*exportOutput, error) {
	found, err := r.Exports.Get(ctx, reply.UID(ctx), in.ExportID)
	if err != nil {
		return nil, err
	}
	return &exportOutput{viewExport(found)}, nil
}

func (r *Room) downloadExport(ctx context.Context, in *exportInput) (*reply.BodyOutput, error) {
	uid := reply.UID(ctx)
	if _, err := r.Exports.Get(ctx, uid, in.ExportID); err != nil {
		return nil, err
	}
	release, err := r.Places.Take(uid)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.StreamLifetime)
	return r.Streams.Reply(reply.NDJSON, func() { cancel(); release() }, func(w *streams.Writer) {
		x := &exporter{to: w, out: json.NewEncoder(w)}
		if err := x.everything(ctx, uid, r.exported()); err != nil && !x.clientGone {
			r.Failures.Tell(ctx, "export ended early", err)
		}
	}), nil
}

// exported is everything held of a person, in the order of an export.
func (r *Room) exported() []reply.Records {
	return append([]reply.Records{
		reply.Exported(r.Profiles, record.ProfileKey, func(p store.Record[record.Profile]) profileView { return viewProfile(p.Value, p.Version).Body }),
		reply.Exported(r.Consents, "consent", func(c store.Record[record.Consent]) consentView { return viewConsent(c.Key, c.Value) }),
	}, r.Exported...)
}

// An exporter writes a person's records, a line each.
type exporter struct {
	to         *streams.Writer
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

func (x *exporter) everything(ctx context.Context, uid string, parts []reply.Records) error {
	keep := func(kind, key string, value any) error {
		return x.line(exportLine{Kind: kind, Key: key, Value: value})
	}
	for _, part := range parts {
		if err := part(ctx, uid, keep); err != nil {
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
	err := x.to.Flush()
	x.clientGone = x.clientGone || err != nil
	return err
}
