// Package route is what an operation of the API is: where it lies, who may call
// it, what it carries, and how it is mounted. Each room returns a list of them.
package route

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// A Route is one operation of the API.
type Route struct {
	Method, Path string
	ID           string // OpenAPI operationId
	Tag          string
	Summary      string
	Detail       string
	Access       Access
	Body         Body
	Stream       bool   // the reply outlives the handler: no deadline for the whole
	Conditional  bool   // the reply is tagged, and not sent again to who has it
	Resumable    bool   // so it is, by its handler, which takes a Range of it, too
	ErasedToo    bool   // answered for an erased account, too
	Fresh        bool   // cannot be taken back: that the token is not revoked is asked, never remembered
	Status       int    // of success; 200 if 0
	Pending      string // what a 202 with the same body says, where one can come
	Audit        audit.Action
	Problems     []problem.Code // beside those every such route has
	Text         *Text          // of success, where huma cannot see it; else nil
	Mount        Mount
}

// Text describes a reply of text that is written by hand.
type Text struct {
	Kind    string // its media type
	Summary string
	Detail  string
	Schema  *huma.Schema // nil: a string that Detail describes
}

// Access says whose token a route takes.
type Access int

// The accesses.
const (
	Personal Access = iota // a person's own; a token with a role is refused
	Anyone                 // any verified token
	Public                 // none
	Service                // a tenant's service's: no person's, and no operator's
)

// Body says what a request carries.
type Body int

// The bodies.
const (
	NoBody Body = iota
	JSONBody
	UploadBody
)

// SmallBody bounds a JSONBody, in bytes.
const SmallBody = 64 << 10

// A Host is what routes are mounted on.
type Host struct {
	App *fiber.App
	API huma.API
	// Problem is what a handler's error becomes.
	Problem func(context.Context, error) *problem.Problem
}

// A Mount puts a route's handler on its path, behind the guard, and its
// description into the document.
type Mount func(h Host, r *Route, op huma.Operation)

// Typed mounts a handler that huma decodes for, describes and validates.
func Typed[I, O any](handle func(context.Context, *I) (*O, error)) Mount {
	return func(h Host, _ *Route, op huma.Operation) {
		huma.Register(h.API, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := handle(ctx, in)
			if err != nil {
				return nil, h.Problem(ctx, err)
			}
			return out, nil
		})
	}
}

// Raw mounts a handler that reads its request itself; describe completes the
// operation with what huma cannot read off it.
func Raw(handle fiber.Handler, describe func(*huma.Operation, huma.Registry)) Mount {
	return func(h Host, r *Route, op huma.Operation) {
		h.App.Add(r.Method, r.FiberPath(), handle)
		describe(&op, h.API.OpenAPI().Components.Schemas)
		h.API.OpenAPI().AddOperation(&op)
	}
}

// FiberPath is the path as the router writes it.
func (r *Route) FiberPath() string { return strings.NewReplacer("{", ":", "}", "").Replace(r.Path) }
