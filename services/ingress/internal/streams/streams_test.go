package streams_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/streams"
)

func TestAStreamIsFilledAfterTheHandlerAndCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, err := streams.New(time.Minute, registry)
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
		return s.Reply("text/x", func() { ended++ }, func(w *streams.Writer) {
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

func TestStreamsAreCountedOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	if s, err := streams.New(0, registry); err != nil {
		t.Fatal(err)
	} else {
		s.Wait()
	}
	if _, err := streams.New(0, registry); err == nil {
		t.Error("registered twice")
	}
}

func TestPlacesOfStreams(t *testing.T) {
	s := streams.NewPlaces(2)
	first, err := s.Take("anna")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Take("anna")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Take("anna")
	var p *problem.Problem
	if !errors.As(err, &p) || p.Code != "too_many_requests" || p.GetHeaders().Get("Retry-After") != "5" || p.Limit == nil || *p.Limit != (problem.Limit{What: "streams", Max: 2}) {
		t.Errorf("the third: %+v", p)
	}
	if _, err := s.Take("ben"); err != nil {
		t.Errorf("another person's: %v", err)
	}
	first()
	first() // gives one back, not two
	third, err := s.Take("anna")
	if err != nil {
		t.Errorf("after one ended: %v", err)
	}
	second()
	third()
	for range 2 {
		if _, err := s.Take("anna"); err != nil {
			t.Errorf("after all ended: %v", err)
		}
	}
	if _, err := s.Take("anna"); err == nil {
		t.Error("a place too many")
	}
}

func TestTheNewestTakesTheOldestsPlace(t *testing.T) {
	s, left := streams.NewPlaces(2), []string{}
	enter := func(name string) func() { return s.Replace("anna", func() { left = append(left, name) }) }
	releaseFirst := enter("first")
	releaseSecond := enter("second")
	enter("third")
	releaseFirst() // which has no place any more
	enter("fourth")
	releaseSecond()
	if diff := cmp.Diff([]string{"first", "second"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	s.Replace("ben", func() { t.Error("another person's left") })
}
