// Package edge has the stages that answer people and their devices: the API, what
// devices are told, and the copies of what is held of a person, which are made of
// what the API shows.
package edge

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/feed"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/news"
)

// Stages are ingress, delivery and exports.
func Stages() []platform.Stage {
	const documents = capability.Store | capability.Keys
	return []platform.Stage{
		{Name: stage.Ingress, Needs: documents | capability.Blobs | capability.Queue | capability.Identity | capability.Audit | capability.Writer | capability.Model | capability.Listener, Build: buildIngress},
		{Name: stage.Delivery, Needs: documents | capability.Queue, Build: buildDelivery},
		{Name: stage.Exports, Needs: documents | capability.Blobs | capability.Queue, Build: buildExports},
	}
}

func buildDelivery(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	s := feed.New(feed.Needs{Store: p.Store, Queue: p.Queue, News: news.NewBook(p.Store, p.Now), Drain: p.Config.Stop.Drain(), Log: p.Log})
	runner := func(topic string) platform.Runner {
		return platform.Runner{Name: topic + " for " + flow.Feed, Run: func(ctx context.Context) error { return s.Run(ctx, topic) }}
	}
	return []platform.Runner{runner(flow.TopicResults), runner(flow.TopicEvents)}, nil
}
