package ingress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// subjectKey finds the verified subject in a request's context.
type subjectKey struct{}

// uidOf is the person who asks. Only handlers behind the guard call it.
func uidOf(ctx context.Context) string {
	subject, _ := ctx.Value(subjectKey{}).(identity.Subject)
	return subject.UID
}

// guard lets a request through to its handler: who asks, may they, how often,
// is their account there. It also reads small bodies, within bounds.
func (s *Server) guard(r *route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		rc := c.Context()
		exchangeOf(rc).route = r
		ctx := s.base
		if !r.stream {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.Limits.HandlerTimeout)
			defer cancel()
		}
		ctx, p := s.admit(ctx, rc, r)
		if p == nil {
			p = plainQuery(rc)
		}
		if p == nil && r.body == jsonBody {
			p = s.readDocument(rc)
		}
		if p != nil {
			s.refuse(rc, p)
			return nil
		}
		c.SetUserContext(ctx)
		if err := c.Next(); err != nil {
			return err
		}
		if r.audit != "" && rc.Response.StatusCode() < 300 {
			return s.record(ctx, rc, r)
		}
		return nil
	}
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
		return problem.New(problem.InvalidRequest, "the request is not what the operation accepts").At("query", "expected each parameter once, with a value")
	}
	return nil
}

// admit decides on the caller; the context it returns knows the subject.
func (s *Server) admit(ctx context.Context, rc *fasthttp.RequestCtx, r *route) (context.Context, *problem.Problem) {
	if r.access == public {
		return ctx, nil
	}
	subject, p := s.authenticate(ctx, rc)
	if p != nil {
		return ctx, p
	}
	ctx = context.WithValue(ctx, subjectKey{}, subject)
	d := s.byUser.Take(subject.UID)
	if !d.OK {
		return ctx, tooMany(rc, "user", d, s.Limits.UserRate)
	}
	showLimit(rc, "user", d, s.Limits.UserRate)
	if r.access == anyone {
		return ctx, nil
	}
	if len(subject.Roles) > 0 {
		return ctx, s.denied(ctx, subject, r)
	}
	if r.erasedToo {
		return ctx, nil
	}
	known, err := s.people.get(ctx, subject.UID)
	if err != nil {
		return ctx, s.problemOf(ctx, err)
	}
	if known.erased {
		return ctx, erased()
	}
	return ctx, nil
}

// denied refuses a token with a role at a person's route: services and
// operators have no health data, and see no one's.
func (s *Server) denied(ctx context.Context, subject identity.Subject, r *route) *problem.Problem {
	if _, err := s.Audit.Append(ctx, audit.Event{Action: audit.AccessDenied, ActorUID: subject.UID, Object: r.id, Outcome: string(problem.Forbidden)}); err != nil {
		return s.problemOf(ctx, fmt.Errorf("audit a denied access: %w", err))
	}
	return problem.New(problem.Forbidden, "the route serves a person's own data; this token is a service's or an operator's")
}

// authenticate takes the identity from the one Authorization header, and from
// nothing else.
func (s *Server) authenticate(ctx context.Context, rc *fasthttp.RequestCtx) (identity.Subject, *problem.Problem) {
	headers := rc.Request.Header.PeekAll("Authorization")
	if len(headers) != 1 {
		return identity.Subject{}, unauthenticated("exactly one Authorization header with a bearer token is needed", "")
	}
	scheme, token, found := bytes.Cut(headers[0], []byte(" "))
	if !found || !bytes.EqualFold(scheme, []byte("bearer")) || len(token) == 0 || bytes.IndexByte(token, ' ') >= 0 {
		return identity.Subject{}, unauthenticated("the Authorization header must be Bearer and a token", "")
	}
	subject, err := s.Verifier.Verify(ctx, string(token))
	switch {
	case err == nil && subject.UID != "":
		return subject, nil
	case err == nil, errors.Is(err, identity.ErrInvalid):
		return identity.Subject{}, unauthenticated("the token is not valid", `, error="invalid_token"`)
	}
	return identity.Subject{}, s.problemOf(ctx, fmt.Errorf("verify a token: %w", err))
}

func unauthenticated(detail, challenge string) *problem.Problem {
	return problem.New(problem.Unauthenticated, detail).With("WWW-Authenticate", `Bearer realm="clarity"`+challenge)
}

// record audits a read before its reply is sent.
func (s *Server) record(ctx context.Context, rc *fasthttp.RequestCtx, r *route) error {
	uid := uidOf(ctx)
	_, err := s.Audit.Append(ctx, audit.Event{Action: r.audit, UID: uid, ActorUID: uid, Object: r.id, Outcome: "ok"})
	if err != nil {
		rc.Response.Reset()
		secure(rc)
		s.refuse(rc, s.problemOf(ctx, fmt.Errorf("audit a read: %w", err)))
	}
	return nil
}

// readDocument reads a small JSON body and leaves it to huma. An encoded one
// is refused: nothing here inflates but the upload's bounded reader.
func (s *Server) readDocument(rc *fasthttp.RequestCtx) *problem.Problem {
	h := &rc.Request.Header
	if encoding := h.ContentEncoding(); len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
		return problem.New(problem.UnsupportedEncoding, "the body must not be encoded here")
	}
	if !jsonType(h.ContentType()) && hasBody(rc) {
		return notJSON()
	}
	body, p := s.readBody(rc, smallBody, nil)
	if p != nil {
		return p
	}
	if !utf8.Valid(body) {
		return problem.New(problem.MalformedJSON, "the body is not valid UTF-8")
	}
	rc.Request.SetBodyStream(bytes.NewReader(body), len(body))
	return nil
}

func notJSON() *problem.Problem {
	return problem.New(problem.UnsupportedMediaType, "the Content-Type must be application/json")
}

func jsonType(contentType []byte) bool {
	kind, parameters, _ := strings.Cut(string(contentType), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return false
	}
	parameters = strings.ToLower(strings.TrimSpace(parameters))
	return parameters == "" || parameters == "charset=utf-8" || parameters == `charset="utf-8"`
}

// readBody reads the body as received into buf, most bytes of it and no more.
// Memory grows with what has arrived, not with what was announced.
func (s *Server) readBody(rc *fasthttp.RequestCtx, most int, buf []byte) ([]byte, *problem.Problem) {
	announced := rc.Request.Header.ContentLength()
	if announced > most {
		return buf, bodyTooLarge(most)
	}
	stream := rc.RequestBodyStream()
	if stream == nil || !hasBody(rc) {
		exchangeOf(rc).consumed = true
		return buf[:0], nil
	}
	if cap(buf) == 0 {
		buf = make([]byte, 0, max(512, min(announced+1, 32<<10)))
	}
	for buf = buf[:0]; ; {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > most:
			return buf, bodyTooLarge(most)
		case errors.Is(err, io.EOF):
			if announced >= 0 && len(buf) != announced {
				return buf, problem.New(problem.BadRequest, "the body ended early")
			}
			exchangeOf(rc).consumed = true
			return buf, nil
		case err != nil:
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return buf, problem.New(problem.RequestTimeout, "the body was not complete in time")
			}
			return buf, problem.New(problem.BadRequest, "the body could not be read to its end")
		}
	}
}

func bodyTooLarge(most int) *problem.Problem {
	return problem.OverLimit(problem.TooLarge, fmt.Sprintf("the body is larger than %d bytes as received", most), "body_bytes", int64(most))
}
