package route_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
)

type input struct {
	Name string `path:"name"`
}

type output struct{ Body string }

func host() route.Host {
	app := fiber.New()
	return route.Host{App: app, API: humafiber.New(app, huma.DefaultConfig("test", "1")), Problem: func(_ context.Context, err error) *problem.Problem {
		return problem.New(problem.NotFound, err.Error())
	}}
}

func get(t *testing.T, h route.Host, path string) (int, string) {
	t.Helper()
	res, err := h.App.Test(httptest.NewRequest("GET", path, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestTyped(t *testing.T) {
	h := host()
	r := &route.Route{Method: "GET", Path: "/a/{name}", ID: "a"}
	r.Mount = route.Typed(func(_ context.Context, in *input) (*output, error) {
		if in.Name == "none" {
			return nil, errors.New("no such name")
		}
		return &output{in.Name}, nil
	})
	r.Mount(h, r, huma.Operation{Method: r.Method, Path: r.Path, OperationID: r.ID})
	if status, body := get(t, h, "/a/b"); status != 200 || body != "\"b\"\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get(t, h, "/a/none"); status != 404 {
		t.Errorf("a handler's error is %d", status)
	}
}

func TestRaw(t *testing.T) {
	h := host()
	r := &route.Route{Method: "GET", Path: "/raw/{name}/x/{other}", ID: "raw"}
	r.Mount = route.Raw(func(c *fiber.Ctx) error { return c.SendString(c.Params("name") + c.Params("other")) },
		func(op *huma.Operation, schemas huma.Registry) {
			if schemas == nil {
				t.Error("no registry of schemas")
			}
			op.Description = "by hand"
		})
	r.Mount(h, r, huma.Operation{Method: r.Method, Path: r.Path, OperationID: r.ID})
	if status, body := get(t, h, "/raw/1/x/2"); status != 200 || body != "12" {
		t.Errorf("%d %s", status, body)
	}
	if op := h.API.OpenAPI().Paths[r.Path].Get; op == nil || op.Description != "by hand" || op.OperationID != "raw" {
		t.Errorf("described as %+v", op)
	}
}
