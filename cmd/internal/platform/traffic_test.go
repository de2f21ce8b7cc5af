package platform_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	"github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

func TestModelsBehindAPlanInAFile(t *testing.T) {
	b, err := tritontest.NewBundle("pat", 1)
	if err != nil {
		t.Fatal(err)
	}
	server := tritontest.Start(t, tritontest.Config{Bundle: b, Backend: tritontest.Synthetic{Seed: 1}})
	dir, registry := t.TempDir(), prometheus.NewRegistry()
	models, err := platform.OpenModels(t.Context(), "traffic:file:"+dir, registry, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- models.Run(ctx) }()
	if _, _, err := models.Chooser.For("someone"); !errors.Is(err, traffic.ErrNoPlan) {
		t.Errorf("before there is a plan: %v", err)
	}
	plan, err := json.Marshal(traffic.Plan{Model: "pat", Revision: 1, Salt: "s",
		Entries: []traffic.Entry{{Version: "v1", Weight: 100, Endpoint: server.Addr(), Digest: b.Digest}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, traffic.PlanKey), plan, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := models.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	m, release, err := models.Chooser.For("someone")
	if err != nil {
		t.Fatal(err)
	}
	into := make([]model.Inference, 1)
	if err := m.Infer(ctx, []model.Window{modeltest.Week(1)}, into); err != nil || into[0].Version != b.Digest {
		t.Errorf("%q answered, %v", into[0].Version, err)
	}
	release()
	if n, err := testutil.GatherAndCount(registry, traffic.MetricRequests); err != nil || n == 0 {
		t.Errorf("%d series of requests, %v", n, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	models.Close()
}

func TestOpenModels(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	tests := map[string]string{
		"traffic:":                      "names no traffic plan",
		"traffic:file:":                 "names no traffic plan",
		"traffic:configmap:clarity":     "names no traffic plan",
		"traffic:configmap:/pat":        "names no traffic plan",
		"traffic:configmap:clarity/pat": "find the cluster",
		"traffic:pigeon:clarity":        "names no traffic plan",
		"/there/is/no/such/bundle.tar":  "no weights",
	}
	for ref, want := range tests {
		if _, err := platform.OpenModels(t.Context(), ref, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", ref, err, want)
		}
	}
	for ref, some := range map[string]bool{"": false, "none": false, platform.PreviewModel: true} {
		models, err := platform.OpenModels(t.Context(), ref, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if (models.Chooser != nil) != some {
			t.Errorf("%q: a chooser is there: %v, want %v", ref, models.Chooser != nil, some)
		}
		if err := errors.Join(models.Run(t.Context()), models.Ready(t.Context())); err != nil {
			t.Error(err)
		}
		models.Close()
	}
}
