// Package webhooks is what a tenant's services have sent to their servers: which of
// what is new to the tenant's people, and where to.
package webhooks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/webhook"
)

// The codes of who has as many webhooks as there can be, and of an event that is not sent anew.
const (
	TooManyWebhooks problem.Code = "409 too_many_webhooks"
	NotReplayable   problem.Code = "409 not_replayable"
)

// Needs is what the webhooks need.
type Needs struct {
	Book interface {
		Endpoints(ctx context.Context, tenant string) ([]store.Record[hook.Endpoint], error)
		Create(ctx context.Context, tenant, url string, kinds []flow.EventKind) (id string, e hook.Endpoint, err error)
		Rotate(ctx context.Context, tenant, id string) (hook.Endpoint, error)
		Delete(ctx context.Context, tenant, id string) error
		Missed(ctx context.Context, tenant, id, after string, limit int) ([]store.Record[hook.Missed], error)
		Replay(ctx context.Context, tenant, id, event string) (hook.Missed, error)
	}
	Audit interface {
		Append(ctx context.Context, e audit.Event) error
	}
	Now func() time.Time
}

// A Room answers what a tenant's services ask of webhooks.
type Room struct{ Needs }

// New is the room.
func New(n Needs) *Room { return &Room{n} }

const createDetail = "For each event of the kinds, of a person of the token's tenant, the address is sent a POST, from ten seconds later on: `{\"type\", \"timestamp\", \"data\": {\"userId\", \"id\", \"ref\", \"version\"}}`,\n" +
	"what to fetch and never what it holds. Requests are signed as Standard Webhooks says: `webhook-id`, `webhook-timestamp` and `webhook-signature`, `v1` under the secret and `v1a` under the key.\n" +
	"A 2xx within 15 seconds says that the event was taken; else it is sent again, ever more rarely, for 24 hours. A 410 ends it for good. An event may come twice, with the same `webhook-id`, and be overtaken.\n" +
	"The address is https, on any port, and of the public internet: redirects are not followed. The network of the platform may open fewer ports, 443 always. The reply alone holds the secret."

// Routes are the room's operations.
func (r *Room) Routes() []route.Route {
	one := []problem.Code{problem.NotFound}
	changed := []problem.Code{problem.NotFound, problem.VersionConflict}
	return []route.Route{
		{Method: "POST", Path: "/v1/webhooks", ID: "createWebhook", Tag: "webhooks", Summary: "Have a server be told of events", Detail: createDetail, Access: route.Service, Body: route.JSONBody, Status: 201, Fresh: true,
			Problems: []problem.Code{TooManyWebhooks, problem.VersionConflict}, Mount: route.Typed(r.create)},
		{Method: "GET", Path: "/v1/webhooks", ID: "listWebhooks", Tag: "webhooks", Summary: "The tenant's webhooks", Access: route.Service, Mount: route.Typed(r.list)},
		{Method: "DELETE", Path: "/v1/webhooks/{webhookId}", ID: "deleteWebhook", Tag: "webhooks", Summary: "End a webhook", Detail: "Nothing more is sent, and what it missed goes.", Access: route.Service, Status: 204, Fresh: true,
			Problems: changed, Mount: route.Typed(r.delete)},
		{Method: "POST", Path: "/v1/webhooks/{webhookId}/rotate", ID: "rotateWebhook", Tag: "webhooks", Summary: "Replace the secret", Detail: "The secret before signs beside the new one for 24 hours; the one before that no more.",
			Access: route.Service, Fresh: true, Problems: changed, Mount: route.Typed(r.rotate)},
		{Method: "GET", Path: "/v1/webhooks/{webhookId}/deliveries", ID: "listDeliveries", Tag: "webhooks", Summary: "What a webhook has not taken", Detail: "The newest first: events that are tried again, and events that were given up. Both are kept for a week. Of what was taken nothing is kept.",
			Access: route.Service, Problems: one, Mount: route.Typed(r.deliveries)},
		{Method: "POST", Path: "/v1/webhooks/{webhookId}/deliveries/{deliveryId}/replay", ID: "replayDelivery", Tag: "webhooks", Summary: "Send an event anew", Detail: "One that was given up is tried for another 24 hours, under the same `webhook-id`. One that is `pending`, that was tried last a week ago, or whose webhook has answered 410 is `not_replayable`.",
			Access: route.Service, Status: 202, Problems: append(changed, NotReplayable), Mount: route.Typed(r.replay)},
	}
}

// A webhookView is a server that is told.
type webhookView struct {
	WebhookID    string      `json:"webhookId"`
	URL          string      `json:"url" format:"uri"`
	Events       []string    `json:"events" nullable:"false" doc:"the kinds that it is told of; all where it is empty"`
	CreatedAt    reply.Time  `json:"createdAt"`
	FailingSince *reply.Time `json:"failingSince,omitempty" doc:"since when it takes nothing; absent where it does"`
	GoneAt       *reply.Time `json:"goneAt,omitempty" doc:"when it answered 410: it is sent nothing since"`
}

// A signedWebhookView is a webhook with what checks its requests.
type signedWebhookView struct {
	webhookView
	Secret    string `json:"secret" doc:"of v1, HMAC-SHA256; no other reply holds it" example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"`
	PublicKey string `json:"publicKey" doc:"of v1a, Ed25519" example:"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="`
}

func view(id string, e hook.Endpoint) webhookView {
	v := webhookView{WebhookID: id, URL: e.URL, Events: []string{}, CreatedAt: reply.Time(e.CreatedAt), FailingSince: reply.TimeOrNil(e.FailingSince), GoneAt: reply.TimeOrNil(e.GoneAt)}
	for _, k := range e.Kinds {
		v.Events = append(v.Events, string(k))
	}
	return v
}

func viewSigned(id string, e hook.Endpoint) signedWebhookView {
	return signedWebhookView{view(id, e), webhook.SecretText(e.Secrets[0]), webhook.PublicText(e.Secrets[0])}
}

type createInput struct {
	Body struct {
		URL    string   `json:"url" format:"uri" maxLength:"2048" doc:"https, on any port, of the public internet" example:"https://hooks.example.org/clarity"`
		Events []string `json:"events,omitempty" maxItems:"20" nullable:"false" uniqueItems:"true" enum:"upload.merged,upload.failed,upload.held,result.stored,result.withdrawn,insight.ready,insight.withdrawn,export.ready,export.failed" doc:"the kinds; all where it is absent or empty"`
	}
}

type createOutput struct {
	Location string `header:"Location" doc:"the webhook"`
	Body     signedWebhookView
}

func (r *Room) create(ctx context.Context, in *createInput) (*createOutput, error) {
	var kinds []flow.EventKind
	for _, k := range in.Body.Events {
		kinds = append(kinds, flow.EventKind(k))
	}
	id, e, err := r.Book.Create(ctx, tenant(ctx), in.Body.URL, kinds)
	switch {
	case errors.Is(err, webhook.ErrURL):
		return nil, reply.Invalid("body.url", "expected an https address of the public internet, without a user or a fragment")
	case errors.Is(err, webhook.ErrMany):
		return nil, problem.OverLimit(TooManyWebhooks, "there are as many webhooks as a tenant has; delete one", "webhooks", hook.Most)
	case err != nil:
		return nil, err
	}
	if err := r.changed(ctx, "created", id); err != nil {
		return nil, err
	}
	return &createOutput{"/v1/webhooks/" + id, viewSigned(id, e)}, nil
}

func tenant(ctx context.Context) string { return reply.Subject(ctx).Tenant }

// changed audits a change of a webhook.
func (r *Room) changed(ctx context.Context, what, id string) error {
	err := r.Audit.Append(ctx, audit.Event{Action: audit.WebhookChanged, ActorUID: reply.UID(ctx), Object: what + "/" + id, Outcome: "ok"})
	if err != nil {
		return fmt.Errorf("audit a webhook: %w", err)
	}
	return nil
}

type listOutput struct {
	Body struct {
		Items []webhookView `json:"items" nullable:"false"`
	}
}

func (r *Room) list(ctx context.Context, _ *struct{}) (*listOutput, error) {
	found, err := r.Book.Endpoints(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Items = []webhookView{}
	for _, e := range found {
		out.Body.Items = append(out.Body.Items, view(e.Key, e.Value))
	}
	return out, nil
}

type oneInput struct {
	WebhookID string `path:"webhookId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
}

func (r *Room) delete(ctx context.Context, in *oneInput) (*struct{}, error) {
	if err := r.Book.Delete(ctx, tenant(ctx), in.WebhookID); err != nil {
		return nil, err
	}
	return nil, r.changed(ctx, "deleted", in.WebhookID)
}

type rotateOutput struct{ Body signedWebhookView }

func (r *Room) rotate(ctx context.Context, in *oneInput) (*rotateOutput, error) {
	e, err := r.Book.Rotate(ctx, tenant(ctx), in.WebhookID)
	if err != nil {
		return nil, err
	}
	if err := r.changed(ctx, "rotated", in.WebhookID); err != nil {
		return nil, err
	}
	return &rotateOutput{viewSigned(in.WebhookID, e)}, nil
}

// A deliveryView is an event that a webhook has not taken.
type deliveryView struct {
	DeliveryID string     `json:"deliveryId" doc:"what webhook-id says behind evt_"`
	State      string     `json:"state" enum:"pending,failed" doc:"pending: it is tried again; failed: it is given up"`
	Event      string     `json:"event" doc:"the kind"`
	UserID     string     `json:"userId"`
	ID         string     `json:"id" doc:"the event's number"`
	Ref        string     `json:"ref"`
	Version    string     `json:"version"`
	At         reply.Time `json:"at"`
	Attempts   int        `json:"attempts" minimum:"1"`
	LastAt     reply.Time `json:"lastAt" doc:"when it was tried last"`
	Status     int        `json:"status,omitempty" doc:"what the server answered then; absent where it did not"`
	Reason     string     `json:"reason" doc:"stable code: status, timeout, connection, certificate, name_unknown, address_not_public, away"`
}

func viewDelivery(r store.Record[hook.Missed]) deliveryView {
	m := r.Value
	_, id, _ := strings.Cut(r.Key, "-")
	_, name := identity.Tenant(m.UID)
	return deliveryView{DeliveryID: id, State: string(m.State), Event: string(m.Kind), UserID: name, ID: fmt.Sprintf("%016x", m.Number), Ref: m.Ref, Version: m.Version,
		At: reply.Time(m.At), Attempts: m.Attempts, LastAt: reply.Time(m.Last), Status: m.Status, Reason: m.Reason}
}

type deliveriesInput struct {
	WebhookID string `path:"webhookId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
	Limit     int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"most items of the page"`
	Cursor    string `query:"cursor" pattern:"^[0-9a-f]{32}$" doc:"next of the page before; opaque"`
}

func (r *Room) deliveries(ctx context.Context, in *deliveriesInput) (*reply.PageOutput[deliveryView], error) {
	found, err := r.Book.Missed(ctx, tenant(ctx), in.WebhookID, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &reply.PageOutput[deliveryView]{Body: reply.Page[deliveryView]{Items: []deliveryView{}}}
	for i, m := range found {
		if i == in.Limit {
			_, out.Body.Next, _ = strings.Cut(found[i-1].Key, "-")
			break
		}
		if r.Now().Sub(m.Value.Last) < hook.Kept {
			out.Body.Items = append(out.Body.Items, viewDelivery(m))
		}
	}
	return out, nil
}

type replayInput struct {
	WebhookID  string `path:"webhookId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
	DeliveryID string `path:"deliveryId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
}

type replayOutput struct{ Body deliveryView }

func (r *Room) replay(ctx context.Context, in *replayInput) (*replayOutput, error) {
	m, err := r.Book.Replay(ctx, tenant(ctx), in.WebhookID, in.DeliveryID)
	if errors.Is(err, webhook.ErrSettled) {
		return nil, problem.New(NotReplayable, "it is tried anyway, or kept no more, or its webhook is gone")
	}
	if err != nil {
		return nil, err
	}
	return &replayOutput{viewDelivery(store.Record[hook.Missed]{Key: in.WebhookID + "-" + in.DeliveryID, Value: m})}, nil
}
