// Package access decides who is let through to a handler: who asks, whether
// they may, how often, and whether their account is there. It also orders what
// is stored for a person with what ends the storing.
package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
)

// rememberedUsers bounds the buckets of the limit a person.
const rememberedUsers = 50_000

// An Auditor keeps what was done.
type Auditor interface {
	Append(ctx context.Context, e audit.Event) error
}

// AppNotKnown is the code of a request that no app of ours sent.
const AppNotKnown problem.Code = "401 app_not_known"

// An App says whether a request comes from an app of ours, by the token in a header
// of its own. What Admit returns is as of identity.Verifier's.
type App interface {
	Header() string
	Admit(ctx context.Context, token string) error
}

// Needs is what the guard needs.
type Needs struct {
	Verifier identity.Verifier
	App      App // asked where a person's own is at stake; nil lets every app in
	Audit    Auditor
	Accounts *AccountCache
	Now      func() time.Time
	UserRate limit.Rate    // requests of one person
	Timeout  time.Duration // for the work between request and reply
	Base     context.Context
	// Problem is what an error becomes.
	Problem func(context.Context, error) *problem.Problem
}

// A Guard lets requests through to their handlers.
type Guard struct {
	Needs
	byUser *limit.Limiter[string]
}

// NewGuard is a guard.
func NewGuard(n Needs) *Guard {
	return &Guard{Needs: n, byUser: limit.New[string](n.UserRate, rememberedUsers, n.Now)}
}

// Handler lets a request of the route through. It also reads small bodies,
// within bounds.
func (g *Guard) Handler(r *route.Route) fiber.Handler {
	matched := edge.Route{Method: r.Method, Path: r.Path}
	return func(c *fiber.Ctx) error {
		rc := c.Context()
		edge.Match(rc, matched)
		if r.Conditional {
			edge.Conditional(rc)
		}
		base := reply.WithRequest(edge.Traced(g.Base, rc), edge.RequestID(rc))
		ctx, p := g.authorized(base, rc, r)
		if p == nil {
			p = plainQuery(rc)
		}
		if p == nil && r.Body == route.JSONBody {
			p = readDocument(rc)
		}
		if p != nil {
			edge.Refuse(rc, p)
			return nil
		}
		if !r.Stream && r.Body != route.UploadBody { // those take the time their peer needs
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, g.Timeout)
			defer cancel()
		}
		c.SetUserContext(ctx)
		if err := c.Next(); err != nil {
			return err
		}
		if r.Audit != "" && rc.Response.StatusCode() < 300 {
			g.auditRead(ctx, rc, r)
		}
		return nil
	}
}

// authorized decides on the caller in time; the context it returns has no end
// but the base's, and knows the subject.
func (g *Guard) authorized(base context.Context, rc *fasthttp.RequestCtx, r *route.Route) (context.Context, *problem.Problem) {
	ctx, cancel := context.WithTimeout(base, g.Timeout)
	defer cancel()
	ctx, p := g.authorize(ctx, rc, r)
	return reply.WithSubject(base, reply.Subject(ctx)), p
}

// plainQuery refuses a parameter that is empty or there twice: what it means
// would depend on who reads it.
func plainQuery(rc *fasthttp.RequestCtx) *problem.Problem {
	if len(rc.URI().QueryString()) == 0 {
		return nil
	}
	seen, wrong := map[string]bool{}, false
	for name, value := range rc.QueryArgs().All() {
		wrong = wrong || len(value) == 0 || seen[string(name)]
		seen[string(name)] = true
	}
	if wrong {
		return reply.Invalid("query", "expected each parameter once, with a value")
	}
	return nil
}

// authorize decides on the caller; the context it returns knows the subject.
func (g *Guard) authorize(ctx context.Context, rc *fasthttp.RequestCtx, r *route.Route) (context.Context, *problem.Problem) {
	if r.Access == route.Public {
		return ctx, nil
	}
	if p := g.admit(ctx, rc, r); p != nil {
		return ctx, p
	}
	subject, p := g.authenticate(ctx, rc, r)
	if p != nil {
		return ctx, p
	}
	ctx = reply.WithSubject(ctx, subject)
	d := g.byUser.Take(subject.UID)
	if !d.OK {
		return ctx, edge.TooMany(rc, "user", d, g.UserRate)
	}
	edge.ShowLimit(rc, "user", d, g.UserRate)
	switch {
	case r.Access == route.Anyone, r.Access == route.Service && subject.Has(identity.Service):
		return ctx, nil
	case r.Access == route.Service:
		return ctx, g.denied(ctx, subject, r, "the route is for a tenant's services; this token is a person's or an operator's")
	case len(subject.Roles) > 0:
		return ctx, g.denied(ctx, subject, r, "the route serves a person's own data; this token is a service's or an operator's")
	}
	if r.ErasedToo {
		return ctx, nil
	}
	known, err := g.Accounts.Get(ctx, subject.UID)
	if err == nil {
		err = known.Active()
	}
	if err != nil {
		return ctx, g.Problem(ctx, err)
	}
	return ctx, nil
}

// denied refuses a token at a route that is not for its bearer: services and
// operators have no health data, and see no one's.
func (g *Guard) denied(ctx context.Context, subject identity.Subject, r *route.Route, detail string) *problem.Problem {
	if err := g.Audit.Append(ctx, audit.Event{Action: audit.AccessDenied, ActorUID: subject.UID, Object: r.ID, Outcome: problem.Forbidden.Reason()}); err != nil {
		return g.Problem(ctx, fmt.Errorf("audit a denied access: %w", err))
	}
	return problem.New(problem.Forbidden, detail)
}

// admit refuses what no app of ours sent. Services have no app, and no route of a
// person's.
func (g *Guard) admit(ctx context.Context, rc *fasthttp.RequestCtx, r *route.Route) *problem.Problem {
	if g.App == nil || r.Access != route.Personal {
		return nil
	}
	token := ""
	if headers := rc.Request.Header.PeekAll(g.App.Header()); len(headers) == 1 {
		token = string(headers[0])
	}
	err := g.App.Admit(ctx, token)
	if err == nil {
		return nil
	}
	if errors.Is(err, identity.ErrInvalid) {
		return problem.New(AppNotKnown, "the request needs one "+g.App.Header()+" header with a token of an app that is known")
	}
	return g.Problem(ctx, fmt.Errorf("verify an app: %w", err))
}

// authenticate takes the identity from the one Authorization header, and from
// nothing else.
func (g *Guard) authenticate(ctx context.Context, rc *fasthttp.RequestCtx, r *route.Route) (identity.Subject, *problem.Problem) {
	headers := rc.Request.Header.PeekAll("Authorization")
	if len(headers) != 1 {
		return identity.Subject{}, unauthenticated("exactly one Authorization header with a bearer token is needed", "")
	}
	scheme, token, found := bytes.Cut(headers[0], []byte(" "))
	if !found || !bytes.EqualFold(scheme, []byte("bearer")) || len(token) == 0 || bytes.IndexByte(token, ' ') >= 0 {
		return identity.Subject{}, unauthenticated("the Authorization header must be Bearer and a token", "")
	}
	verify := g.Verifier.Verify
	if r.Fresh {
		verify = g.Verifier.Fresh
	}
	subject, err := verify(ctx, string(token))
	switch {
	case err == nil && subject.UID != "":
		return subject, nil
	case err == nil, errors.Is(err, identity.ErrInvalid):
		return identity.Subject{}, unauthenticated("the token is not valid", `, error="invalid_token"`)
	}
	return identity.Subject{}, g.Problem(ctx, fmt.Errorf("verify a token: %w", err))
}

func unauthenticated(detail, challenge string) *problem.Problem {
	return problem.New(problem.Unauthenticated, detail).With("WWW-Authenticate", `Bearer realm="clarity"`+challenge)
}

// auditRead audits a read before its reply is sent; where that fails the reply's
// body is taken back.
func (g *Guard) auditRead(ctx context.Context, rc *fasthttp.RequestCtx, r *route.Route) {
	uid := reply.UID(ctx)
	err := g.Audit.Append(ctx, audit.Event{Action: r.Audit, UID: uid, ActorUID: uid, Object: r.ID, Outcome: "ok"})
	if err != nil {
		edge.Refuse(rc, g.Problem(ctx, fmt.Errorf("audit a read: %w", err)))
	}
}

// readDocument reads a small JSON body and leaves it to huma. An encoded one
// is refused: nothing here inflates but the upload's bounded reader.
func readDocument(rc *fasthttp.RequestCtx) *problem.Problem {
	if encoding := rc.Request.Header.ContentEncoding(); len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
		return problem.New(problem.UnsupportedEncoding, "the body must not be encoded here")
	}
	if edge.HasBody(rc) {
		if p := edge.RequireJSON(rc); p != nil {
			return p
		}
	}
	body, p := edge.ReadBody(rc, route.SmallBody, nil, nil)
	if p != nil {
		return p
	}
	if !utf8.Valid(body) {
		return problem.New(problem.MalformedJSON, "the body is not valid UTF-8")
	}
	rc.Request.SetBodyStream(bytes.NewReader(body), len(body))
	return nil
}
