package account

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/store"
)

// The codes of exports.
const (
	TooManyExports problem.Code = "429 too_many_exports"
	ExportPending  problem.Code = "409 export_pending"
	ExportFailed   problem.Code = "409 export_failed"
)

const createExportDetail = `An export is a copy of everything held of the person, made beside the request: the event export.ready
says that it can be downloaded, export.failed that it cannot be made. It is kept for a week, sealed with the person's key, and goes
with an erasure. A person has three at a time.`

// An exportView is how far an export has come.
type exportView struct {
	ExportID  string         `json:"exportId"`
	State     string         `json:"state" enum:"pending,ready,failed" doc:"pending: it is being made; ready: complete, but for what a line of the kind unreadable stands for; failed: see reason"`
	Reason    string         `json:"reason,omitempty" doc:"stable code of the failure: unreadable, too_large, or ask_again of an export of a release that copied nothing"`
	CreatedAt reply.Time     `json:"createdAt"`
	ReadyAt   *reply.Time    `json:"readyAt,omitempty"`
	ExpiresAt *reply.Time    `json:"expiresAt,omitempty" doc:"when it goes; absent while it is pending"`
	Bytes     int            `json:"bytes" minimum:"0" doc:"written so far; of a ready one its length"`
	Parts     int            `json:"parts" minimum:"0" doc:"objects written so far"`
	Lines     map[string]int `json:"lines" doc:"written so far, by kind"`
	Digest    string         `json:"digest,omitempty" doc:"SHA-256 of a ready one, hexadecimal"`
	Download  string         `json:"download" format:"uri-reference" doc:"where a ready one can be downloaded"`
}

// askAgain is the reason of an export of the releases before, which was a ticket.
const askAgain = "ask_again"

func viewExport(r store.Record[record.Export]) exportView {
	e := r.Value
	v := exportView{
		ExportID: r.Key, State: string(e.State), Reason: e.Reason, CreatedAt: reply.Time(e.CreatedAt), ReadyAt: reply.TimeOrNil(e.ReadyAt), ExpiresAt: reply.TimeOrNil(e.ExpiresAt),
		Bytes: e.Bytes, Parts: len(e.Parts), Lines: maps.Clone(e.Lines), Digest: e.Digest, Download: "/v1/exports/" + r.Key + "/download",
	}
	if v.Lines == nil {
		v.Lines = map[string]int{}
	}
	if e.Slot == 0 {
		v.State, v.Reason, v.ReadyAt = string(exported.Failed), askAgain, nil
	}
	return v
}

type createExportOutput struct {
	Location string `header:"Location" doc:"the export"`
	Body     exportView
}

func (r *Room) createExport(ctx context.Context, _ *struct{}) (*createExportOutput, error) {
	uid, id := reply.UID(ctx), reply.NewID()
	e := record.Export{State: exported.Pending, CreatedAt: r.Now().UTC()}
	var err error
	for range exported.Slots + 1 { // another request may take the slot that was free
		err = r.Cache.Storing(ctx, uid, func(demand store.Change) error {
			changes, err := r.begin(ctx, uid, id, &e)
			if err != nil {
				return err
			}
			_, err = r.Standing.Batch(ctx, uid, append(changes, demand)...)
			return err
		})
		if !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := r.Audit.Append(ctx, audit.Event{Action: audit.ExportCreated, UID: uid, ActorUID: uid, Own: id, Outcome: "ok"}); err != nil {
		return nil, fmt.Errorf("audit an export: %w", err)
	}
	return &createExportOutput{Location: "/v1/exports/" + id, Body: viewExport(store.Record[record.Export]{Key: id, Value: e})}, nil
}

// begin is what an export begins with: its record, and a place on the agenda that no
// other has.
func (r *Room) begin(ctx context.Context, uid, id string, e *record.Export) ([]store.Change, error) {
	for slot := 1; slot <= exported.Slots; slot++ {
		_, err := r.Agenda.Get(ctx, uid, agenda.ExportKey(slot))
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		e.Slot = slot
		errand := agenda.Errand{Kind: agenda.Export, Ref: id, Since: e.CreatedAt}
		return []store.Change{r.Exports.ToPut(id, 0, *e), r.Agenda.ToPut(agenda.ExportKey(slot), 0, errand).At(e.CreatedAt)}, nil
	}
	return nil, problem.OverLimit(TooManyExports, "there are as many exports as are kept; delete one, or wait until one is over", "exports", exported.Slots)
}

func (r *Room) listExports(ctx context.Context, in *reply.PageInput) (*reply.PageOutput[exportView], error) {
	out, err := reply.List(ctx, r.Exports, *in, store.Query{}, func(cursor string) bool { return len(cursor) == 32 }, nil, func(e store.Record[record.Export]) *exportView {
		if e.Value.Over(r.Now()) {
			return nil
		}
		v := viewExport(e)
		return &v
	})
	if err != nil {
		return nil, err
	}
	page := &reply.PageOutput[exportView]{Body: reply.Page[exportView]{Items: []exportView{}, Next: out.Body.Next}}
	for _, v := range slices.DeleteFunc(out.Body.Items, func(v *exportView) bool { return v == nil }) {
		page.Body.Items = append(page.Body.Items, *v)
	}
	return page, nil
}

type exportInput struct {
	ExportID string `path:"exportId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
}

type exportOutput struct{ Body exportView }

// export is the person's, unless its time is over.
func (r *Room) export(ctx context.Context, id string) (store.Record[record.Export], error) {
	found, err := r.Exports.Get(ctx, reply.UID(ctx), id)
	if err == nil && found.Value.Over(r.Now()) {
		err = store.ErrNotFound
	}
	return found, err
}

func (r *Room) getExport(ctx context.Context, in *exportInput) (*exportOutput, error) {
	found, err := r.export(ctx, in.ExportID)
	if err != nil {
		return nil, err
	}
	return &exportOutput{viewExport(found)}, nil
}

// deleteExport has the export's time be over now: its objects go behind the reply.
func (r *Room) deleteExport(ctx context.Context, in *exportInput) (*struct{}, error) {
	uid := reply.UID(ctx)
	for range exportTries {
		found, err := r.export(ctx, in.ExportID)
		if err != nil {
			return nil, err
		}
		if found.Value.Slot == 0 {
			return nil, r.Exports.Delete(ctx, uid, in.ExportID, found.Version)
		}
		now := r.Now().UTC()
		found.Value.ExpiresAt = now
		errand := agenda.Errand{Kind: agenda.Export, Ref: found.Key, Since: now}
		_, err = r.Standing.Batch(ctx, uid, r.Exports.ToPut(found.Key, found.Version, found.Value), r.Agenda.ToPut(agenda.ExportKey(found.Value.Slot), store.Any, errand).At(now))
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	return nil, store.ErrConflict
}

// exportTries is how often an export is deleted that is being written.
const exportTries = 8

// Exported is what is held of a person's own decisions, for an export.
func Exported(profiles store.Collection[record.Profile], consents store.Collection[record.Consent]) []reply.Section {
	return []reply.Section{
		reply.Exported(profiles, record.ProfileKey, func(p store.Record[record.Profile]) profileView { return viewProfile(p.Value, p.Version).Body }),
		reply.Exported(consents, "consent", func(c store.Record[record.Consent]) consentView { return viewConsent(c.Key, c.Value) }),
	}
}

// ExportedExports are the exports that there are of a person.
func ExportedExports(exports store.Collection[record.Export]) reply.Section {
	return reply.Exported(exports, "export", viewExport)
}
