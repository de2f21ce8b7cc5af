package traffic_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/traffic/traffictest"
	"github.com/clarity-loop/clarity/services/model"
	router "github.com/clarity-loop/clarity/services/model/traffic"
)

// still is a model that answers at once.
type still struct{ model.Model }

func (still) Infer(context.Context, []model.Window, []model.Inference) error { return nil }

// fixed is a source whose plan stays.
type fixed []byte

func (f fixed) Watch(ctx context.Context, tell func([]byte, error)) {
	tell(f, nil)
	<-ctx.Done()
}

func benchRouter(b *testing.B, p traffic.Plan) *router.Router {
	b.Helper()
	r, err := router.New(router.Options{Source: fixed(traffictest.Text(b, p)), Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Open: func(context.Context, string, traffic.Entry) (model.Model, func(), error) {
			return still{&fake{}}, func() {}, nil
		}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
		r.Close()
	})
	if err := r.Ready(ctx); err != nil {
		b.Fatal(err)
	}
	return r
}

const someone = "0f8fad5b-d9cb-469f-a165-70867728950e"

// BenchmarkRouter is all that a request pays for the router: pick, lease, counts.
func BenchmarkRouter(b *testing.B) {
	run := func(b *testing.B, r *router.Router, windows []model.Window) {
		ctx, into := b.Context(), make([]model.Inference, 1)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				m, release, err := r.For(someone)
				if err != nil {
					b.Fatal(err)
				}
				if err := m.Infer(ctx, windows, into); err != nil {
					b.Fatal(err)
				}
				release()
			}
		})
	}
	b.Run("live", func(b *testing.B) { run(b, benchRouter(b, traffictest.Plan(1, 30)), make([]model.Window, 1)) })
	b.Run("shadowed", func(b *testing.B) {
		r := benchRouter(b, shadowed(100))
		time.Sleep(50 * time.Millisecond) // until the shadow is there
		run(b, r, []model.Window{{Counts: make([]float64, model.Minutes), Missing: make([]bool, model.Minutes)}})
	})
}
