package platform_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/queue"
)

// Probes and metrics have a listener of their own, in every process: whichever
// stages it runs.
func TestProbesAndMetricsAreServedApart(t *testing.T) {
	var sick atomic.Bool
	table := []platform.Stage{{Name: "s", Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
		count := prometheus.NewCounter(prometheus.CounterOpts{Name: "clarity_test_total", Help: "A count."})
		return []platform.Runner{{Name: "s", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}}, p.Registry.Register(count)
	}, Needs: capability.Queue}}
	with := drivers(&diary{}, nil)
	with.Queue["fake"] = func(context.Context, string, platform.Env) (queue.Driver, error) { return away{counted{}, &sick}, nil }
	c := config("s")
	c.Listen = platform.Listen{Admin: "127.0.0.1:0"}
	p, err := platform.Open(t.Context(), c, with, table, env())
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
	ask("GET", "/livez", 200, `{"status":"ok"}`)
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

// A driver that cannot do its work now makes every process unready, whatever it runs;
// so does the end that it was told of.
func TestAProcessIsReadyAsItsDriversAre(t *testing.T) {
	var sick atomic.Bool
	with := drivers(&diary{}, nil)
	with.Queue["fake"] = func(context.Context, string, platform.Env) (queue.Driver, error) { return away{counted{}, &sick}, nil }
	table := []platform.Stage{{Name: "s", Needs: capability.Queue, Build: func(context.Context, platform.Parts) ([]platform.Runner, error) {
		return []platform.Runner{{Name: "s", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}}, nil
	}}}
	c := config("s")
	c.Listen, c.Stop = platform.Listen{Admin: "127.0.0.1:0"}, platform.Stop{Linger: 2 * time.Second}
	p, err := platform.Open(t.Context(), c, with, table, env())
	if err != nil {
		t.Fatal(err)
	}
	told, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(told) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	status := func() int {
		res, err := client.Get(p.AdminURL() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, is := range []bool{false, true, false} {
		sick.Store(is)
		if got := status(); (got == http.StatusServiceUnavailable) != is {
			t.Errorf("where the queue is away, %v: %d", is, got)
		}
	}
	stop()
	for began := time.Now(); status() != http.StatusServiceUnavailable; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Second {
			t.Fatal("it is ready although it was told to stop")
		}
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// away is a queue that is now and then.
type away struct {
	counted
	sick *atomic.Bool
}

func (q away) Ready(context.Context) error {
	if q.sick.Load() {
		return errors.New("no answer from the disk of /data")
	}
	return nil
}
