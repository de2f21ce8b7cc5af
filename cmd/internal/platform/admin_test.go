package platform_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
)

// Probes and metrics have a listener of their own, in every process: whichever
// stages it runs.
func TestProbesAndMetricsAreServedApart(t *testing.T) {
	var sick atomic.Bool
	table := []platform.Stage{{Name: "s", Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
		count := prometheus.NewCounter(prometheus.CounterOpts{Name: "clarity_test_total", Help: "A count."})
		run := func(ctx context.Context) error { <-ctx.Done(); return nil }
		return []platform.Runner{{Name: "always", Run: run}, {Name: "s", Run: run, Ready: func(context.Context) error {
			if sick.Load() {
				return errors.New("the disk of /data is gone")
			}
			return nil
		}}}, p.Registry.Register(count)
	}}}
	c := config("s")
	c.Listen = platform.Listen{Admin: "127.0.0.1:0"}
	p, err := platform.Open(t.Context(), c, drivers(&diary{}, nil), table, env())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, path string, status int, part string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, p.AdminURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != status || !strings.Contains(string(text), part) || strings.Contains(string(text), "disk") || (res.Header.Get("Retry-After") != "") != (status == 503) {
			t.Errorf("%s %s: %d %.200s %v", method, path, res.StatusCode, text, res.Header)
		}
	}
	ask("GET", "/healthz", 200, `{"status":"ok"}`)
	ask("HEAD", "/healthz", 200, "")
	ask("GET", "/readyz", 200, `{"status":"ok"}`)
	ask("GET", "/metrics", 200, "clarity_test_total 0")
	ask("GET", "/v1/days", 404, "")
	ask("POST", "/metrics", 405, "")
	sick.Store(true)
	ask("GET", "/readyz", 503, `{"status":"unavailable"}`)
	ask("GET", "/healthz", 200, "ok")
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
