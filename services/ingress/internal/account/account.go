// Package account is what a person decides about their account: profile,
// consents, a copy of everything, and its end. It destroys nothing: it marks the
// account, and the stage of erasures does the work.
package account

import (
	"context"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/ingress/internal/streams"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

// The codes of a write whose If-Match is old or missing.
const (
	PreconditionFailed   problem.Code = "412 precondition_failed"
	PreconditionRequired problem.Code = "428 precondition_required"
)

// Needs is what the account needs.
type Needs struct {
	Profiles store.Collection[record.Profile]
	Consents store.Collection[record.Consent]
	Exports  store.Collection[record.Export]
	Accounts store.Collection[record.Account]
	Agenda   store.Collection[agenda.Errand]
	// Objects are people's own, sealed.
	Objects interface {
		Get(ctx context.Context, uid, name string) ([]byte, error)
	}
	// Standing is changed by what a person decides; a store.Store does.
	Standing interface {
		Errand(kind agenda.Kind, since, now time.Time) store.Change
		Preferring(ctx context.Context, uid string, prefixes []string) (store.Change, error)
		Batch(ctx context.Context, uid string, changes ...store.Change) ([]int64, error)
		Answer(ctx context.Context, uid, purpose string, answer func(before record.Consent) record.Consent) (record.Consent, error)
		MarkErased(ctx context.Context, uid string, at time.Time, grace time.Duration, receiptID string) (store.Record[record.Account], error)
		ChangeAccount(ctx context.Context, uid string, before store.Record[record.Account], to record.Account, due time.Time, also ...store.Change) (store.Record[record.Account], error)
	}
	// Keys let who was erased come back, and name their receipts.
	Keys interface {
		Pseudonym(ctx context.Context, uid string) (string, error)
		Renew(ctx context.Context, uid string, life int) error
	}
	// Grace is how long an erasure can be taken back.
	Grace, StreamLifetime time.Duration
	Audit                 interface {
		Append(ctx context.Context, e audit.Event) error
	}
	// Cache remembers for a moment how people stand, and has what is stored rest on it.
	Cache interface {
		Storing(ctx context.Context, uid string, write func(demand store.Change) error) error
		Forget(uid string)
	}
	Streams  *streams.Streams
	Places   *streams.Places // of downloads
	Failures reply.Failures
	Now      func() time.Time
}

// A Room answers what a person decides.
type Room struct{ Needs }

// receiptPath is where an erasure's receipt is.
const receiptPath = "/v1/account/receipt"

// New is the room.
func New(n Needs) *Room { return &Room{n} }

// Routes are the room's operations.
func (r *Room) Routes() []route.Route {
	missing := []problem.Code{problem.NotFound}
	return []route.Route{
		{Method: "GET", Path: "/v1/profile", ID: "getProfile", Tag: "person", Summary: "The profile", Detail: "Where none was written yet, an empty one with the ETag \"0\".", Audit: audit.DataRead, Mount: route.Typed(r.getProfile)},
		{Method: "PUT", Path: "/v1/profile", ID: "putProfile", Tag: "person", Summary: "Replace the profile", Detail: "If-Match holds the ETag that was read: what another device wrote meanwhile is not lost.",
			Body: route.JSONBody, Problems: []problem.Code{PreconditionFailed, PreconditionRequired}, Mount: route.Typed(r.putProfile)},
		{Method: "GET", Path: "/v1/consents", ID: "listConsents", Tag: "person", Summary: "Every purpose and its answer", Mount: route.Typed(r.listConsents)},
		{Method: "PUT", Path: "/v1/consents/{purpose}", ID: "putConsent", Tag: "person", Summary: "Agree to a purpose, or withdraw",
			Detail: "Withdrawing from `processing` stops uploads and analysis at once; what was uploaded and not yet merged is held, for 90 days at most. Agreeing again takes it up.",
			Body:   route.JSONBody, Fresh: true, Problems: []problem.Code{problem.VersionConflict}, Mount: route.Typed(r.putConsent)},
		{Method: "POST", Path: "/v1/exports", ID: "createExport", Tag: "person", Summary: "Ask for a copy of everything", Detail: createExportDetail, Status: 201, Fresh: true, Problems: []problem.Code{TooManyExports}, Mount: route.Typed(r.createExport)},
		{Method: "GET", Path: "/v1/exports", ID: "listExports", Tag: "person", Summary: "List exports", Mount: route.Typed(r.listExports)},
		{Method: "GET", Path: "/v1/exports/{exportId}", ID: "getExport", Tag: "person", Summary: "One export", Problems: missing, Mount: route.Typed(r.getExport)},
		{Method: "DELETE", Path: "/v1/exports/{exportId}", ID: "deleteExport", Tag: "person", Summary: "Delete an export", Detail: "Its copy goes at once, and its place is free a moment later.", Status: 204, Problems: []problem.Code{problem.NotFound, problem.VersionConflict}, Mount: route.Typed(r.deleteExport)},
		{Method: "GET", Path: "/v1/exports/{exportId}/download", ID: "downloadExport", Tag: "person", Summary: "Download everything held of the person", Detail: downloadDetail,
			Stream: true, Resumable: true, Fresh: true, Audit: audit.DataRead, Problems: []problem.Code{problem.NotFound, ExportPending, ExportFailed, RangeNotSatisfiable}, Mount: route.Typed(r.downloadExport),
			Text: &route.Text{Kind: reply.NDJSON, Summary: "Everything held of the person", Detail: "a line a record, then the line that says end"}},
		{Method: "DELETE", Path: "/v1/account", ID: "eraseAccount", Tag: "person", Summary: "Erase the account", Detail: eraseDetail, Status: 202, ErasedToo: true, Fresh: true,
			Problems: []problem.Code{FreshSignInRequired, problem.VersionConflict}, Mount: route.Typed(r.eraseAccount)},
		{Method: "POST", Path: "/v1/account", ID: "beginAnew", Tag: "person", Summary: "Come back after an erasure", Detail: returnDetail, Status: 204, ErasedToo: true, Fresh: true,
			Problems: []problem.Code{ErasureRunning}, Mount: route.Typed(r.beginAnew)},
		{Method: "GET", Path: receiptPath, ID: "getErasureReceipt", Tag: "person", Summary: "The receipt of an erasure", Detail: receiptDetail, ErasedToo: true, Pending: "It has not ended yet", Problems: missing, Mount: route.Typed(r.getErasureReceipt)},
	}
}
