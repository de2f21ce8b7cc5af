package ingress

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// A modelView is a model version that serves.
type modelView struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Digest  string `json:"digest" doc:"SHA-256 of the bundle: its identity"`
	State   string `json:"state" enum:"shadow,canary,active"`
}

type modelsView struct {
	Items []modelView `json:"items" nullable:"false"`
}

type modelsOutput struct{ Body modelsView }

// listModels has nothing to list: no model can be configured yet.
func (s *Server) listModels(context.Context, *struct{}) (*modelsOutput, error) {
	out := &modelsOutput{}
	out.Body.Items = []modelView{}
	return out, nil
}

type healthView struct {
	Status string `json:"status" enum:"ok"`
}

type healthOutput struct{ Body healthView }

func ok() *healthOutput {
	out := &healthOutput{}
	out.Body.Status = "ok"
	return out
}

func (s *Server) getHealth(context.Context, *struct{}) (*healthOutput, error) { return ok(), nil }

func (s *Server) getReadiness(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	if err := s.ready(ctx); err != nil {
		return nil, unavailable("the platform cannot serve now")
	}
	return ok(), nil
}

func (s *Server) ready(ctx context.Context) error {
	if s.base.Err() != nil {
		return errors.New("the ingress is shutting down")
	}
	if s.Ready == nil {
		return nil
	}
	return s.Ready(ctx)
}

func (s *Server) mountUpload(r *route, op huma.Operation) {
	s.app.Add(r.method, fiberPath(r.path), s.putUpload)
	s.describeUpload(&op)
	s.api.OpenAPI().AddOperation(&op)
}

func (s *Server) mountOpenAPI(r *route, op huma.Operation) {
	s.app.Add(r.method, r.path, func(c *fiber.Ctx) error {
		if p := noQuery(c); p != nil {
			s.refuse(c.Context(), p)
			return nil
		}
		c.Set(fiber.HeaderContentType, "application/json")
		return c.Send(s.openAPI)
	})
	op.Responses["200"] = &huma.Response{Description: "The OpenAPI 3.1 document of this API", Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}},
	}}
	s.api.OpenAPI().AddOperation(&op)
}

func (s *Server) mountMetrics(r *route, op huma.Operation) {
	metrics := adaptor.HTTPHandler(promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{DisableCompression: true}))
	s.app.Add(r.method, r.path, func(c *fiber.Ctx) error {
		if p := noQuery(c); p != nil {
			s.refuse(c.Context(), p)
			return nil
		}
		c.Request().Header.Del(fiber.HeaderAccept) // one format: the text one
		return metrics(c)
	})
	op.Responses["200"] = &huma.Response{Description: "Metrics", Content: map[string]*huma.MediaType{
		"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}},
	}}
	s.api.OpenAPI().AddOperation(&op)
}

// noQuery refuses query parameters where huma does not.
func noQuery(c *fiber.Ctx) *problem.Problem {
	if len(c.Context().URI().QueryString()) > 0 {
		return problem.New(problem.InvalidRequest, "the request is not what the operation accepts").At("query", "unknown query parameter")
	}
	return nil
}
