package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/allowance"
	"github.com/clarity-loop/clarity/services/feed"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/insights"
	"github.com/clarity-loop/clarity/services/news"
)

// What a writer may do where the configuration does not say: how long it takes, and
// how many texts are asked of a language model a person and UTC day.
const (
	writerTimeout = 10 * time.Second
	textsPerDay   = 12
)

func buildInsights(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	if err := countWriter(p); err != nil {
		return nil, err
	}
	c := p.Config.Insights
	budget := allowance.New(p.Store.Spent, allowance.Texts, cmp.Or(c.TextsPerDay, textsPerDay), p.Now)
	s := insights.New(insights.Needs{Store: p.Store, Queue: p.Queue, Audit: p.Audit,
		Words: grounded.New(p.Writer, p.Template, budget, cmp.Or(c.WriterTimeout, writerTimeout)), Now: p.Now, Log: p.Log})
	return []platform.Runner{{Name: Insights, Run: s.Run}}, nil
}

// countWriter has the writer's metrics told, where it has any. Stages of one process
// share a writer.
func countWriter(p platform.Parts) error {
	counted, has := p.Writer.(prometheus.Collector)
	if !has {
		return nil
	}
	err := p.Registry.Register(counted)
	if already := (prometheus.AlreadyRegisteredError{}); err == nil || errors.As(err, &already) && already.ExistingCollector == counted {
		return nil
	}
	return fmt.Errorf("register the writer's metrics: %w", err)
}

func buildDelivery(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	s := feed.New(feed.Needs{Store: p.Store, Queue: p.Queue, News: news.NewBook(p.Store, p.Now), Log: p.Log})
	runner := func(topic string) platform.Runner {
		return platform.Runner{Name: topic + " for " + flow.Feed, Run: func(ctx context.Context) error { return s.Run(ctx, topic) }}
	}
	return []platform.Runner{runner(flow.TopicResults), runner(flow.TopicEvents)}, nil
}
