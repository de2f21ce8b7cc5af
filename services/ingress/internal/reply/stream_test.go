package reply_test

import (
	"context"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
)

func TestAStreamIsFilledAfterTheHandlerAndCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, err := reply.NewStreams(time.Minute, registry)
	if err != nil {
		t.Fatal(err)
	}
	open := func() float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return families[0].Metric[0].Gauge.GetValue()
	}
	if n := testutil.CollectAndCount(registry); n != 1 {
		t.Errorf("%d metrics", n)
	}
	app := fiber.New()
	api := humafiber.New(app, huma.DefaultConfig("test", "1"))
	ended := 0
	huma.Register(api, huma.Operation{Method: "GET", Path: "/s", OperationID: "s"}, func(context.Context, *struct{}) (*reply.BodyOutput, error) {
		return s.Reply("text/x", func() { ended++ }, func(w *reply.StreamWriter) {
			if n := open(); n != 1 || ended != 0 {
				t.Errorf("%v streams are open while one is, %d ended", n, ended)
			}
			_, err := w.Write([]byte("a"))
			if err != nil || w.Send("b") != nil || w.Flush() != nil {
				t.Error("cannot be written to")
			}
		}), nil
	})
	res, err := app.Test(httptest.NewRequest("GET", "/s", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if string(body) != "ab" || res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/x" {
		t.Errorf("%d %s %q", res.StatusCode, res.Header.Get("Content-Type"), body)
	}
	s.Wait()
	if n := open(); n != 0 || ended != 1 {
		t.Errorf("%v streams are open after the last, %d ended", n, ended)
	}
}
