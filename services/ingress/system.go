package ingress

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/alive"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
)

func (s *Server) getHealth(context.Context, *struct{}) (*alive.Output, error) { return alive.OK(), nil }

func (s *Server) getReadiness(ctx context.Context, _ *struct{}) (*alive.Output, error) {
	if err := s.checkReady(ctx); err != nil {
		return nil, reply.Unavailable("the platform cannot serve now")
	}
	return alive.Within(s.Space), nil
}

// checkReady says why the API cannot be served now.
func (s *Server) checkReady(ctx context.Context) error {
	if s.base.Err() != nil {
		return errors.New("the ingress is shutting down")
	}
	if s.Ready == nil {
		return nil
	}
	return s.Ready(ctx)
}

// systemRoutes are those of the platform itself.
func (s *Server) systemRoutes() []route.Route {
	routes := []route.Route{
		{Method: "GET", Path: "/v1/models", ID: "listModels", Tag: "platform", Summary: "The models that serve", Detail: listModelsDetail, Access: route.Anyone, Mount: route.Typed(s.listModels)},
		{Method: "GET", Path: "/healthz", ID: "getHealth", Tag: "platform", Summary: "Does the process live", Access: route.Public, Mount: route.Typed(s.getHealth)},
		{Method: "GET", Path: "/readyz", ID: "getReadiness", Tag: "platform", Summary: "Can the platform serve", Access: route.Public, Mount: route.Typed(s.getReadiness)},
		{Method: "GET", Path: "/openapi.json", ID: "getOpenAPI", Tag: "platform", Summary: "This document", Access: route.Public, Conditional: true,
			Mount: route.Raw(withoutQuery(s.sendOpenAPI), describe("The OpenAPI 3.1 document of this API", "application/json", &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}))},
	}
	if s.MetricsApart {
		return routes
	}
	return append(routes, route.Route{Method: "GET", Path: "/metrics", ID: "getMetrics", Tag: "platform", Summary: "Metrics, in Prometheus' text format", Access: route.Public,
		Mount: route.Raw(withoutQuery(sendMetrics(s.Registry)), describe("Metrics", "text/plain", &huma.Schema{Type: huma.TypeString}))})
}

// descriptionAge is how many seconds the description may be kept: a release that
// changes it is seen that much later.
const descriptionAge = 300

func (s *Server) sendOpenAPI(c *fiber.Ctx) error {
	edge.Shared(c.Context(), descriptionAge)
	c.Set(fiber.HeaderContentType, "application/json")
	return c.Send(s.openAPI)
}

func sendMetrics(r *prometheus.Registry) fiber.Handler {
	metrics := adaptor.HTTPHandler(promhttp.HandlerFor(r, promhttp.HandlerOpts{DisableCompression: true}))
	return func(c *fiber.Ctx) error {
		c.Request().Header.Del(fiber.HeaderAccept) // one format: the text one
		return metrics(c)
	}
}

// describe is what a reply of the kind is, for the document.
func describe(what, kind string, schema *huma.Schema) func(*huma.Operation, huma.Registry) {
	return func(op *huma.Operation, _ huma.Registry) {
		op.Responses["200"] = &huma.Response{Description: what, Content: map[string]*huma.MediaType{kind: {Schema: schema}}}
	}
}

// withoutQuery refuses query parameters where huma does not.
func withoutQuery(handle fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if len(c.Context().URI().QueryString()) > 0 {
			edge.Refuse(c.Context(), reply.Invalid("query", "unknown query parameter"))
			return nil
		}
		return handle(c)
	}
}
