// Package reply is what every room of the ingress answers with: who asked, what
// an error becomes, pages of a list, streams and the parts of an export. It
// knows no route and no room.
package reply

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// subjectKey finds the verified subject in a request's context.
type subjectKey struct{}

// WithSubject is the context of a request that the subject makes.
func WithSubject(ctx context.Context, s identity.Subject) context.Context {
	return context.WithValue(ctx, subjectKey{}, s)
}

// Subject is who asks. Only handlers behind the guard call it.
func Subject(ctx context.Context) identity.Subject {
	s, _ := ctx.Value(subjectKey{}).(identity.Subject)
	return s
}

// UID is the person who asks. Only handlers behind the guard call it.
func UID(ctx context.Context) string { return Subject(ctx).UID }

// requestKey finds the request's id in its context.
type requestKey struct{}

// WithRequest is the context of the request of that id.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// Failures makes replies of errors: the one place where that is done.
type Failures struct{ Log *slog.Logger }

// Problem is what the error becomes. What is not the client's doing is logged,
// without the person.
func (f Failures) Problem(ctx context.Context, err error) *problem.Problem {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound), errors.Is(err, blob.ErrNotFound), errors.Is(err, store.ErrKey):
		return problem.New(problem.NotFound, "there is nothing here, or it is not yours")
	case errors.Is(err, keyring.ErrDestroyed), errors.Is(err, analysis.ErrErased):
		return problem.New(problem.AccountErased, "the account is erased, or is to be: nothing can be read or stored; GET /v1/account/receipt says how far that is")
	case errors.Is(err, analysis.ErrNoConsent):
		return ConsentRequired(record.PurposeProcessing)
	case errors.Is(err, store.ErrConflict):
		return problem.New(problem.VersionConflict, "somebody else changed it meanwhile; read it again")
	case errors.Is(err, store.ErrTooLarge):
		return problem.OverLimit(problem.TooLarge, "what is to be kept of the request is too large", "document_bytes", store.MaxDocument)
	case errors.Is(err, identity.ErrUnavailable):
		return Unavailable("tokens cannot be verified now")
	}
	f.Tell(ctx, "request failed", err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Unavailable("the request took too long; it may be repeated")
	}
	if passes(err) {
		return Unavailable("the platform cannot do it now; the request may be repeated")
	}
	return problem.New(problem.Internal, "the platform failed; the request may be repeated")
}

// passes says that the error is a backend's that is away, or has no room: not of
// what is asked, and not for good.
func passes(err error) bool {
	var e *fault.Error
	return errors.As(err, &e) && (e.Class == fault.Unavailable || e.Class == fault.Limit)
}

// NoRoom says that a backend has no room, which it found as it wrote.
func (Failures) NoRoom(err error) bool {
	var e *fault.Error
	return errors.As(err, &e) && e.Class == fault.Limit && e.Code == fault.NoSpace
}

// Tell logs an error without the person: drivers promise to name none, and a
// wrapped one below them may still hold a path. A backend's fault is told by
// room, operation, class and code.
func (f Failures) Tell(ctx context.Context, what string, err error) {
	text := err.Error()
	if uid := UID(ctx); uid != "" {
		for _, name := range []string{blob.PersonPrefix("", uid), uid} {
			text = strings.ReplaceAll(text, name, "…")
		}
	}
	attrs := []any{slog.String("err", text)}
	if id, ok := ctx.Value(requestKey{}).(string); ok {
		attrs = append(attrs, slog.String("request", id))
	}
	f.Log.ErrorContext(ctx, what, append(attrs, fault.Attrs(err)...)...)
}

// Unavailable asks the client to come again in a second.
func Unavailable(detail string) *problem.Problem {
	return problem.New(problem.Unavailable, detail).With("Retry-After", "1")
}

// ConsentRequired says which consent is missing and how it is given.
func ConsentRequired(purpose string) *problem.Problem {
	return problem.New(problem.ConsentRequired, "consent to the purpose "+purpose+" is needed: PUT /v1/consents/"+purpose)
}

// Invalid refuses a request over one of its parts.
func Invalid(location, expected string) *problem.Problem {
	return problem.New(problem.InvalidRequest, "the request is not what the operation accepts").At(location, expected)
}
