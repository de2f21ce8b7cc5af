package work

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/erasure"
)

// erasureInterval is the time between two looks at what is to be erased, where the
// configuration does not say.
const erasureInterval = 500 * time.Millisecond

func buildErasure(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	going := prometheus.NewGauge(prometheus.GaugeOpts{Name: "clarity_erasure_longest_seconds", Help: "How long the erasure has been under way that has been longest, its grace not counted, as long as something of the person is left; 0 where there is none."})
	if err := p.Registry.Register(going); err != nil {
		return nil, fmt.Errorf("register the erasures' metrics: %w", err)
	}
	s := erasure.New(erasure.Needs{Store: p.Store, Keys: p.Erasure, Names: p.Keys, Blobs: p.Blobs, Queue: p.Queue, Relay: stage.Relay(p), Audit: p.Audit, Longest: p.LongestCall, Going: going, Now: p.Now, Log: p.Log})
	return []platform.Runner{{Name: stage.Erasure, Run: func(ctx context.Context) error {
		s.Run(ctx, cmp.Or(p.Config.Erasure.Look, erasureInterval))
		return nil
	}}}, nil
}
