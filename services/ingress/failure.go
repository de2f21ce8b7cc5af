package ingress

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// problemOf is the one place where an error becomes a reply. What is not the
// client's doing is logged, without the person.
func (s *Server) problemOf(ctx context.Context, err error) *problem.Problem {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound), errors.Is(err, blob.ErrNotFound), errors.Is(err, store.ErrKey):
		return problem.New(problem.NotFound, "there is nothing here, or it is not yours")
	case errors.Is(err, keyring.ErrDestroyed), errors.Is(err, analysis.ErrErased):
		return erased()
	case errors.Is(err, analysis.ErrNoConsent):
		return consentRequired(record.PurposeProcessing)
	case errors.Is(err, store.ErrConflict):
		return problem.New(problem.VersionConflict, "somebody else changed it meanwhile; read it again")
	case errors.Is(err, identity.ErrUnavailable):
		return unavailable("tokens cannot be verified now")
	}
	s.Logger.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("err", anonymous(ctx, err)))
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unavailable("the request took too long; it may be repeated")
	}
	return problem.New(problem.Internal, "the platform failed; the request may be repeated")
}

func erased() *problem.Problem {
	return problem.New(problem.AccountErased, "the account and its data were erased; nothing can be read or stored")
}

func unavailable(detail string) *problem.Problem {
	return problem.New(problem.Unavailable, detail).With("Retry-After", "1")
}

func consentRequired(purpose string) *problem.Problem {
	return problem.New(problem.ConsentRequired, "consent to the purpose "+purpose+" is needed: PUT /v1/consents/"+purpose)
}

// anonymous is the error's text without the person: drivers promise to name
// none, and a wrapped one below them may still hold a path.
func anonymous(ctx context.Context, err error) string {
	text := err.Error()
	if subject, ok := ctx.Value(subjectKey{}).(identity.Subject); ok {
		for _, name := range []string{blob.PersonPrefix("", subject.UID), subject.UID} {
			text = strings.ReplaceAll(text, name, "…")
		}
	}
	return text
}

// refuse renders a problem without huma.
func (s *Server) refuse(rc *fasthttp.RequestCtx, p *problem.Problem) {
	rc.Response.ResetBody()
	rc.Response.Header.SetContentType(problem.ContentType)
	for name, values := range p.GetHeaders() {
		for _, v := range values {
			rc.Response.Header.Set(name, v)
		}
	}
	rc.Response.SetStatusCode(p.Status)
	rc.Response.SetBodyRaw(p.JSON())
}

// unrouted answers what no route did: unknown paths and methods, and requests
// that the server could not read.
func (s *Server) unrouted(c *fiber.Ctx, err error) error {
	rc := c.Context()
	secure(rc)
	var fe *fiber.Error
	code := fiber.StatusInternalServerError
	if errors.As(err, &fe) {
		code = fe.Code
	}
	var p *problem.Problem
	switch code {
	case fiber.StatusNotFound:
		p = problem.New(problem.NotFound, "there is no such route")
	case fiber.StatusMethodNotAllowed:
		p = problem.New(problem.MethodNotAllowed, "the route does not know this method; Allow lists those it knows")
	case fiber.StatusRequestTimeout:
		p = problem.New(problem.RequestTimeout, "the request was not complete in time")
	case fiber.StatusRequestHeaderFieldsTooLarge:
		p = problem.New(problem.HeadersTooLarge, "the request line and headers are larger than 4 KiB")
	case fiber.StatusRequestEntityTooLarge:
		p = problem.OverLimit(problem.TooLarge, "the body is too large", "body_bytes", int64(s.Limits.BodyBytes))
	case fiber.StatusBadRequest, fiber.StatusBadGateway:
		p = problem.New(problem.BadRequest, "this is not a well-formed HTTP request")
	default:
		p = s.problemOf(c.UserContext(), err)
	}
	s.refuse(rc, p)
	return nil
}
