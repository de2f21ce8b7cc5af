// Package stage has what the builders of all stages share: their names, and how they
// consume.
package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/queue"
)

// A stage's name in Config.Stages.
const (
	Ingress  = "ingress"
	Worker   = "worker"
	Insights = "insights"
	Delivery = "delivery"
	Exports  = "exports"
	Erasure  = "erasure"
)

// drain is how long a clean stop waits for handlers and requests where the
// configuration does not say.
const drain = 1500 * time.Millisecond

// Drain is how long a clean stop waits for handlers and requests that run.
func Drain(p platform.Parts) time.Duration { return cmp.Or(p.Config.Stop.Drain(), drain) }

// Consume is a runner that handles a topic as one of its consumers, and is named by both.
func Consume(p platform.Parts, topic, name string, concurrency int, handle queue.Handler) platform.Runner {
	sub := queue.Subscription{Topic: topic, Name: name, Concurrency: concurrency, Drain: Drain(p)}
	return platform.Runner{Name: topic + " for " + name, Run: func(ctx context.Context) error {
		return p.Queue.Receive(ctx, sub, handle)
	}}
}

// Count has what a driver counts be told, where it counts anything. Stages of one process
// share drivers.
func Count(p platform.Parts, whose string, driver any) error {
	counted, has := driver.(prometheus.Collector)
	if !has {
		return nil
	}
	err := p.Registry.Register(counted)
	if already := (prometheus.AlreadyRegisteredError{}); err == nil || errors.As(err, &already) && already.ExistingCollector == counted {
		return nil
	}
	return fmt.Errorf("register %s's metrics: %w", whose, err)
}

// roomAgain is when a message is tried again that waits for room on the disk.
const roomAgain = 10 * time.Second

// Sparing has messages wait as long as what is left of the disk is for others: what is
// made of an upload, a Result or an export takes many times its room.
func Sparing(p platform.Parts, handle queue.Handler) queue.Handler {
	return func(ctx context.Context, d queue.Delivery) queue.Verdict {
		if p.Working != nil {
			if err := p.Working(); err != nil {
				p.Log.Warn("what was taken in waits", "topic", d.Topic, "err", err)
				return queue.Retry(roomAgain, "the disk is nearly full")
			}
		}
		return handle(ctx, d)
	}
}
