// Package edge has the stages that answer people and their devices: the API, what
// devices are told, and the copies of what is held of a person, which are made of
// what the API shows.
package edge

import (
	"cmp"
	"context"
	"fmt"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/feed"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/flow/waking"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/wake"
	"github.com/clarity-loop/clarity/services/webhook"
)

// Stages are ingress, delivery and exports.
func Stages() []platform.Stage {
	const documents = capability.Store | capability.Keys
	return []platform.Stage{
		{Name: stage.Ingress, Needs: documents | capability.Blobs | capability.Queue | capability.Identity | capability.Audit | capability.Writer | capability.Model | capability.Listener,
			// Who uploads without a queue or a bucket is asked to come again; who reads is answered.
			Spares: capability.Queue | capability.Blobs, Build: buildIngress},
		{Name: stage.Delivery, Needs: documents | capability.Queue | capability.Feed | capability.Push, Build: buildDelivery},
		{Name: stage.Exports, Needs: documents | capability.Blobs | capability.Queue, Build: buildExports},
	}
}

func buildDelivery(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	s := feed.New(feed.Needs{Store: p.Store, Queue: p.Queue, News: news.NewBook(p.Store, p.Now).Through(stage.Relay(p)), Drain: p.Config.Stop.Drain(), Log: p.Log})
	runner := func(topic string) platform.Runner {
		return platform.Runner{Name: topic + " for " + flow.Feed, Run: func(ctx context.Context) error { return s.Run(ctx, topic) }}
	}
	hooks := webhook.New(webhook.Needs{Book: webhook.NewBook(p.Store, p.Queue, p.Now), Now: p.Now, Log: p.Log})
	if err := p.Registry.Register(hooks); err != nil {
		return nil, fmt.Errorf("register the webhooks' metrics: %w", err)
	}
	all := []platform.Runner{runner(flow.TopicResults), runner(flow.TopicEvents), stage.Consume(p, hooking.Topic, hooking.Consumer, webhook.Hands, hooks.Handle)}
	if p.Push == nil {
		return all, nil
	}
	wakes := wake.New(wake.Needs{Store: p.Store, Sender: p.Push, Every: cmp.Or(p.Config.Wake.Every, wake.DefaultEvery), Now: p.Now, Log: p.Log})
	if err := p.Registry.Register(wakes); err != nil {
		return nil, fmt.Errorf("register the wakes' metrics: %w", err)
	}
	return append(all, stage.Consume(p, waking.Topic, waking.Consumer, wake.Hands, wakes.Handle)), nil
}
