// Package words has the stage that puts Results into words, and beside it the notary of
// the audit log, where that needs one.
package words

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/allowance"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/insights"
)

// What a writer may do where the configuration does not say: how long it takes, and
// how many texts are asked of a language model a person and UTC day.
const (
	writerTimeout = 10 * time.Second
	textsPerDay   = 12
)

// Stages are insights.
func Stages() []platform.Stage {
	return []platform.Stage{
		{Name: stage.Insights, Needs: capability.Store | capability.Keys | capability.Queue | capability.Audit | capability.Writer, Build: build},
	}
}

// A notary vouches for the audit log of many processes. Any number may run one, and
// this stage is the only one that has an audit log and little to do.
type notary interface {
	Notarize(ctx context.Context, log *slog.Logger, well func()) error
}

func build(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	if err := stage.Count(p, "the writer", p.Writer); err != nil {
		return nil, err
	}
	c := p.Config.Insights
	budget := allowance.New(p.Store.Spent, allowance.Texts, cmp.Or(c.TextsPerDay, textsPerDay), p.Now)
	s := insights.New(insights.Needs{Store: p.Store, Queue: p.Queue, Audit: p.Audit,
		Words: grounded.New(p.Writer, p.Template, budget, cmp.Or(c.WriterTimeout, writerTimeout)), Drain: p.Config.Stop.Drain(), Now: p.Now, Log: p.Log})
	runners := []platform.Runner{{Name: stage.Insights, Run: s.Run}}
	if n, can := p.Audit.(notary); can {
		vouches, err := vouching(p, n)
		if err != nil {
			return nil, err
		}
		runners = append(runners, vouches)
	}
	return runners, nil
}

// vouching runs the notary, and tells when it last found all well.
func vouching(p platform.Parts, n notary) (platform.Runner, error) {
	last := prometheus.NewGauge(prometheus.GaugeOpts{Name: "clarity_audit_vouched_timestamp_seconds", Help: "When this process last found the heads of the audit log's chains as they were written, and signed; at first, when it began to look."})
	if err := p.Registry.Register(last); err != nil {
		return platform.Runner{}, fmt.Errorf("register the notary's metrics: %w", err)
	}
	well := func() { last.Set(float64(p.Now().Unix())) }
	well()
	return platform.Runner{Name: "notary", Run: func(ctx context.Context) error { return n.Notarize(ctx, p.Log, well) }}, nil
}
