package stages

import (
	"cmp"
	"context"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/feed"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/insights"
	"github.com/clarity-loop/clarity/services/news"
)

// writerTimeout is how long a writer may take where the configuration does not say.
const writerTimeout = 10 * time.Second

func buildInsights(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	s := insights.New(insights.Needs{Store: p.Store, Queue: p.Queue, Audit: p.Audit,
		Words: grounded.New(p.Writer, p.Template, cmp.Or(p.Config.Insights.WriterTimeout, writerTimeout)), Now: p.Now, Log: p.Log})
	return []platform.Runner{{Name: Insights, Run: s.Run}}, nil
}

func buildDelivery(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	s := feed.New(feed.Needs{Store: p.Store, Queue: p.Queue, News: news.NewBook(p.Store, p.Now), Log: p.Log})
	runner := func(topic string) platform.Runner {
		return platform.Runner{Name: topic + " for " + flow.Feed, Run: func(ctx context.Context) error { return s.Run(ctx, topic) }}
	}
	return []platform.Runner{runner(flow.TopicResults), runner(flow.TopicEvents)}, nil
}
