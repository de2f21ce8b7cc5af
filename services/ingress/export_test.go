package ingress

import (
	"github.com/danielgtaylor/huma/v2"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
)

func (s *Server) Table() []route.Route           { return s.table }
func (s *Server) API() huma.API                  { return s.api }
func (s *Server) Inner() fasthttp.RequestHandler { return s.inner }
func (s *Server) Routed()                        { s.app.Handler() }

func Codes(s *Server) []problem.Code { return codes(s.table) }
