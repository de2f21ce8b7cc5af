package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/internal/kubelab/prometheustest"
	"github.com/clarity-loop/clarity/services/model"
	router "github.com/clarity-loop/clarity/services/model/traffic"
)

// plans is a Source that tells what it is given.
type plans chan traffic.Plan

func (p plans) Watch(ctx context.Context, tell func([]byte, error)) {
	for {
		select {
		case plan := <-p:
			tell(json.Marshal(plan))
		case <-ctx.Done():
			return
		}
	}
}

// server is a version without a server.
type server struct {
	digest string
	output []float32
	fails  *atomic.Bool // every request
	rots   *atomic.Bool // every window comes to something that is no number
}

func (s server) Identity() model.Identity {
	return model.Identity{Name: "m", Digest: s.digest, Outputs: []model.Output{{Name: "embedding", Length: len(s.output), Unit: "1"}}}
}

func (s server) Infer(_ context.Context, windows []model.Window, into []model.Inference) error {
	if s.fails.Load() {
		return errors.New("the server is away")
	}
	for i := range windows {
		into[i] = model.Inference{Version: s.digest, Values: [][]float32{s.output}}
		if s.rots.Load() {
			into[i] = model.Inference{Refused: model.Refuse(model.NotFinite, "embedding")}
		}
	}
	return nil
}

// The router as workers run it, its metrics scraped by a real Prometheus, asked
// by the gates: they mean the same by every name and label.
func TestGatesReadWhatTheRouterCounts(t *testing.T) {
	var fails, rots, never atomic.Bool
	registry, source := prometheus.NewRegistry(), make(plans)
	router, err := router.New(router.Options{
		Model: "m", Source: source, Metrics: registry, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Open: func(_ context.Context, _ string, e traffic.Entry) (model.Model, func(), error) {
			if e.Version == "v1" {
				return server{e.Digest, []float32{1, 0}, &never, &never}, func() {}, nil
			}
			return server{e.Digest, []float32{0, 1}, &fails, &rots}, func() {}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	defer func() { stop(); <-ended; router.Close() }()
	worker := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer worker.Close()
	url := prometheustest.Start(t, prometheustest.Options{Targets: []string{strings.TrimPrefix(worker.URL, "http://")}}).URL
	gates := newGates(t, url, func(c *gate.Config) { c.MinWindow = duration(time.Second) })

	stable := traffic.Entry{Version: "v1", Weight: 100, Endpoint: "a:1", Digest: "d1"}
	next := traffic.Entry{Version: "v2", Weight: 100, Endpoint: "b:1", Digest: "d2"}
	requests := func(n int) {
		t.Helper()
		window := model.Window{Counts: make([]float64, model.Minutes)}
		for i := range n {
			m, release, err := router.For(fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			_ = m.Infer(ctx, []model.Window{window}, make([]model.Inference, 1)) // it may be meant to fail
			release()
		}
	}
	in := func(began time.Time, shadow bool) func(v1alpha1.Gate, v1alpha1.Verdict) {
		return func(g v1alpha1.Gate, want v1alpha1.Verdict) {
			t.Helper()
			deadline := time.Now().Add(30 * time.Second)
			for {
				got := gates.Ask(t.Context(), g, gate.Question{Model: "m", Version: "v2", Baseline: "v1", Since: began, Now: time.Now()}, shadow)
				if got.Verdict == want {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("gate %+v says %+v after 30 s, want %s", g.Source, got, want)
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}

	began := time.Now()
	shadowOnly := traffic.Shadow{Version: "v2", Percent: 100, Endpoint: "b:1", Digest: "d2"}
	source <- traffic.Plan{Model: "m", Revision: 1, Salt: "s", Entries: []traffic.Entry{stable}, Shadow: &shadowOnly}
	if err := router.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for range 50 { // the shadow is connected to in its own time
		requests(1)
		time.Sleep(5 * time.Millisecond)
	}
	shadow := in(began, true)
	shadow(atMost(latency(), "0.5"), pass)
	shadow(atMost(errorRate(), "0"), pass)
	shadow(atMost(nan(), "0"), pass)
	shadow(atMost(drift("embedding"), "1.42"), pass)
	shadow(atMost(drift("embedding"), "1.41"), fail)
	if n, err := gates.Samples(t.Context(), gate.Question{Model: "m", Version: "v2", Since: began, Now: time.Now()}, false); err != nil || n != 0 {
		t.Errorf("%d live samples of a version in the shadow, %v", n, err)
	}

	began = time.Now()
	source <- traffic.Plan{Model: "m", Revision: 2, Salt: "s", Entries: []traffic.Entry{next}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		m, release, err := router.For("someone")
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the second plan is not in force: %v", err)
		}
		version := m.Identity().Digest
		release()
		if version == "d2" {
			break
		}
	}
	live := in(began, false)
	requests(40)
	live(atMost(latency(), "0.5"), pass)
	live(atMost(errorRate(), "0"), pass)
	live(atMost(nan(), "0"), pass)
	fails.Store(true)
	requests(40)
	live(atMost(errorRate(), "0.45"), fail)
	live(atMost(nan(), "0"), pass)
	fails.Store(false)
	rots.Store(true)
	requests(1)
	live(atMost(nan(), "0"), fail)
	n, err := gates.Samples(t.Context(), gate.Question{Model: "m", Version: "v2", Since: began, Now: time.Now()}, false)
	if err != nil || n != 81 {
		t.Errorf("%d live samples, want the 81 requests: %v", n, err)
	}
}
