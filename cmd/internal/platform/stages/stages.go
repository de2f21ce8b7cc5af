// Package stages is the table of what a process of the platform can do: each
// stage with the capabilities it needs, and how it is built of them.
package stages

import (
	"context"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
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

// drain is how long a clean stop waits for handlers and requests that run.
const drain = 1500 * time.Millisecond

// All is the table, in the order of the flow.
func All() []platform.Stage {
	const documents = capability.Store | capability.Keys
	return []platform.Stage{
		{Name: Ingress, Needs: documents | capability.Blobs | capability.Queue | capability.Identity | capability.Audit | capability.Writer | capability.Model | capability.Listener, Build: buildIngress},
		{Name: Worker, Needs: documents | capability.Blobs | capability.Queue | capability.Audit | capability.Model | capability.Feed, Build: buildWorker},
		{Name: Insights, Needs: documents | capability.Queue | capability.Audit | capability.Writer, Build: buildInsights},
		{Name: Delivery, Needs: documents | capability.Queue | capability.Feed, Build: buildDelivery},
		{Name: Exports, Needs: documents | capability.Blobs | capability.Queue, Build: buildExports},
		{Name: Erasure, Needs: documents | capability.Blobs | capability.Queue | capability.Erasure | capability.Audit | capability.Feed, Build: buildErasure},
	}
}

// Names lists every stage, in the order of the flow.
func Names() []string {
	var out []string
	for _, s := range All() {
		out = append(out, s.Name)
	}
	return out
}

// consume is a runner that handles a topic as one of its consumers, and is named by both.
func consume(q queue.Queue, topic, name string, concurrency int, handle queue.Handler) platform.Runner {
	return platform.Runner{Name: topic + " for " + name, Run: func(ctx context.Context) error {
		return q.Receive(ctx, queue.Subscription{Topic: topic, Name: name, Concurrency: concurrency, Drain: drain}, handle)
	}}
}

// roomAgain is when a message is tried again that waits for room on the disk.
const roomAgain = 10 * time.Second

// sparing has messages wait as long as what is left of the disk is for others: what is
// made of an upload, a Result or an export takes many times its room.
func sparing(p platform.Parts, handle queue.Handler) queue.Handler {
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
