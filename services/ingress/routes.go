package ingress

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// A route is one operation of the API.
type route struct {
	method, path string
	id           string // OpenAPI operationId
	tag          string
	summary      string
	detail       string
	access       access
	body         bodyKind
	stream       bool // the reply outlives the handler: no deadline for the whole
	erasedToo    bool // answered for an erased account, too
	status       int  // of success; 200 if 0
	audit        audit.Action
	problems     []problem.Code // beside those every such route has
	mount        func(*Server, *route, huma.Operation)
}

// access says whose token a route takes.
type access int

const (
	personal access = iota // a person's own; a token with a role is refused
	anyone                 // any verified token
	public                 // none
)

// bodyKind says what a request carries.
type bodyKind int

const (
	noBody bodyKind = iota
	jsonBody
	uploadBody
)

// routes is every route of the API, in the order of the documentation.
func (s *Server) routes() []route {
	const put, get, post, del = fiber.MethodPut, fiber.MethodGet, fiber.MethodPost, fiber.MethodDelete
	table := []route{
		{method: put, path: "/v1/uploads/{uploadId}", id: "putUpload", tag: "uploads", summary: "Upload a batch of samples", detail: putUploadDetail,
			body: uploadBody, status: 202, mount: (*Server).mountUpload,
			problems: []problem.Code{problem.MalformedEncoding, problem.ConsentRequired, problem.UploadConflict, problem.InvalidEnvelope, problem.UnsupportedSchema, problem.TooDeep}},
		{method: get, path: "/v1/uploads", id: "listUploads", tag: "uploads", summary: "List uploads", mount: typed((*Server).listUploads)},
		{method: get, path: "/v1/uploads/{uploadId}", id: "getUpload", tag: "uploads", summary: "How far an upload has come", problems: missing(), mount: typed((*Server).getUpload)},
		{method: get, path: "/v1/sync", id: "getSync", tag: "uploads", summary: "What is synchronised, a type at a time",
			detail: "For each HealthKit type: the cursor last committed, when it was last seen, and which of the recent days hold samples of it. A gap is a run of days without any between two that have some.",
			mount:  typed((*Server).getSync)},

		{method: get, path: "/v1/days", id: "listDays", tag: "results", summary: "List local days, newest first", audit: audit.DataRead, mount: typed((*Server).listDays)},
		{method: get, path: "/v1/days/{date}", id: "getDay", tag: "results", summary: "What is held of one local day", audit: audit.DataRead, problems: missing(), mount: typed((*Server).getDay)},
		{method: get, path: "/v1/weeks", id: "listWeeks", tag: "results", summary: "List results, newest window first", audit: audit.DataRead, mount: typed((*Server).listWeeks)},
		{method: get, path: "/v1/weeks/{date}", id: "getWeek", tag: "results", summary: "The result of the seven days that end with a date", audit: audit.DataRead, problems: missing(), mount: typed((*Server).getWeek)},
		{method: get, path: "/v1/trends", id: "getTrends", tag: "results", summary: "Each metric over time, beside the person's own baseline", detail: trendsDetail, audit: audit.DataRead, mount: typed((*Server).getTrends)},

		{method: get, path: "/v1/insights", id: "listInsights", tag: "insights", summary: "List insights, newest first", audit: audit.DataRead, mount: typed((*Server).listInsights)},
		{method: get, path: "/v1/insights/{date}", id: "getInsight", tag: "insights", summary: "The insight of the window that ends with a date", audit: audit.DataRead, problems: missing(), mount: typed((*Server).getInsight)},
		{method: post, path: "/v1/insights", id: "writeInsight", tag: "insights", summary: "Put a window's facts into words, now", detail: writeInsightDetail,
			body: jsonBody, audit: audit.DataRead, problems: append(missing(), problem.ConsentRequired, problem.BudgetSpent), mount: typed((*Server).writeInsight)},
		{method: get, path: "/v1/events", id: "streamEvents", tag: "events", summary: "Follow what happens, as it happens", detail: eventsDetail, stream: true, mount: typed((*Server).streamEvents)},

		{method: get, path: "/v1/profile", id: "getProfile", tag: "person", summary: "The profile", detail: "Where none was written yet, an empty one with the ETag \"0\".", audit: audit.DataRead, mount: typed((*Server).getProfile)},
		{method: put, path: "/v1/profile", id: "putProfile", tag: "person", summary: "Replace the profile", detail: "If-Match holds the ETag that was read: what another device wrote meanwhile is not lost.",
			body: jsonBody, problems: []problem.Code{problem.PreconditionFailed, problem.PreconditionRequired}, mount: typed((*Server).putProfile)},
		{method: get, path: "/v1/consents", id: "listConsents", tag: "person", summary: "Every purpose and its answer", mount: typed((*Server).listConsents)},
		{method: put, path: "/v1/consents/{purpose}", id: "putConsent", tag: "person", summary: "Agree to a purpose, or withdraw",
			detail: "Withdrawing from `processing` stops uploads and analysis at once; what was uploaded and not yet merged is held. Agreeing again takes it up.",
			body:   jsonBody, problems: []problem.Code{problem.VersionConflict}, mount: typed((*Server).putConsent)},
		{method: post, path: "/v1/exports", id: "createExport", tag: "person", summary: "Ask for a copy of everything", detail: createExportDetail, status: 201, mount: typed((*Server).createExport)},
		{method: get, path: "/v1/exports", id: "listExports", tag: "person", summary: "List exports", mount: typed((*Server).listExports)},
		{method: get, path: "/v1/exports/{exportId}", id: "getExport", tag: "person", summary: "One export", problems: missing(), mount: typed((*Server).getExport)},
		{method: get, path: "/v1/exports/{exportId}/download", id: "downloadExport", tag: "person", summary: "Download everything held of the person", detail: downloadDetail,
			stream: true, audit: audit.DataRead, problems: missing(), mount: typed((*Server).downloadExport)},
		{method: del, path: "/v1/account", id: "eraseAccount", tag: "person", summary: "Erase the account", detail: eraseDetail, erasedToo: true, mount: typed((*Server).eraseAccount)},
		{method: get, path: "/v1/account/receipt", id: "getErasureReceipt", tag: "person", summary: "The receipt of an erasure", erasedToo: true, problems: missing(), mount: typed((*Server).getErasureReceipt)},

		{method: get, path: "/v1/models", id: "listModels", tag: "platform", summary: "The models that serve", detail: "Empty where none is configured: results then rest on published formulas alone.", access: anyone, mount: typed((*Server).listModels)},
		{method: get, path: "/healthz", id: "getHealth", tag: "platform", summary: "Does the process live", access: public, mount: typed((*Server).getHealth)},
		{method: get, path: "/readyz", id: "getReadiness", tag: "platform", summary: "Can the platform serve", access: public, mount: typed((*Server).getReadiness)},
		{method: get, path: "/openapi.json", id: "getOpenAPI", tag: "platform", summary: "This document", access: public, mount: (*Server).mountOpenAPI},
	}
	if !s.AdminElsewhere {
		table = append(table, route{method: get, path: "/metrics", id: "getMetrics", tag: "platform", summary: "Metrics, in Prometheus' text format", access: public, mount: (*Server).mountMetrics})
	}
	return table
}

func missing() []problem.Code { return []problem.Code{problem.NotFound} }

// mount puts the guard and the handler on the route's path.
func (s *Server) mount(r *route) {
	s.app.Add(r.method, fiberPath(r.path), s.guard(r))
	r.mount(s, r, s.operation(r))
}

func fiberPath(path string) string { return strings.NewReplacer("{", ":", "}", "").Replace(path) }

// typed mounts a handler that huma decodes for, describes and validates.
func typed[I, O any](handle func(*Server, context.Context, *I) (*O, error)) func(*Server, *route, huma.Operation) {
	return func(s *Server, _ *route, op huma.Operation) {
		huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := handle(s, ctx, in)
			if err != nil {
				return nil, s.problemOf(ctx, err)
			}
			return out, nil
		})
	}
}
