package models_test

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

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	router "github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/model/traffic/file"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

func TestModelsBehindAPlanInAFile(t *testing.T) {
	b, err := tritontest.NewBundle("pat", 1)
	if err != nil {
		t.Fatal(err)
	}
	server := tritontest.Start(t, tritontest.Config{Bundle: b, Backend: tritontest.Synthetic{Seed: 1}})
	dir, registry := t.TempDir(), prometheus.NewRegistry()
	followed, err := models.Followed("", file.New(dir, 10*time.Millisecond), registry, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- followed.Run(ctx) }()
	if _, _, err := followed.Chooser.For("someone"); !errors.Is(err, router.ErrNoPlan) {
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
	if err := followed.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	m, release, err := followed.Chooser.For("someone")
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
	followed.Close()
}

func TestSingle(t *testing.T) {
	if _, err := models.Single(t.Context(), "/there/is/no/such/bundle.tar"); err == nil || !strings.Contains(err.Error(), "there is no bundle at /there/is/no/such/bundle.tar: a model is none, preview or a bundle's file") {
		t.Errorf("a bundle that is not there: %v", err)
	}
	for ref, some := range map[string]bool{"": false, "none": false, models.Preview: true} {
		one, err := models.Single(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if (one.Chooser != nil) != some {
			t.Errorf("%q: a chooser is there: %v, want %v", ref, one.Chooser != nil, some)
		}
		if err := errors.Join(one.Run(t.Context()), one.Ready(t.Context())); err != nil {
			t.Error(err)
		}
		one.Close()
	}
}
