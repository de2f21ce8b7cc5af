package work

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/webhook"
	"github.com/clarity-loop/clarity/services/worker/analyse"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

// How many messages of a topic are handled at a time. A person's are one after
// another whatever this says.
const (
	mergeConcurrency   = 2
	historyConcurrency = 1 // beside these: most of the room is for what is of today
	analyseConcurrency = 2
)

// lookInterval is the time between two looks at what is due, where the configuration
// does not say: a look at a disk costs nothing.
const lookInterval = 200 * time.Millisecond

// recentBytes of days that were merged or analysed lately are kept in memory, sealed:
// some hundred days.
const recentBytes = 8 << 20

// sweepInterval is the time between two sweeps of the retention.
const sweepInterval = time.Hour

func buildWorker(ctx context.Context, p platform.Parts) ([]platform.Runner, error) {
	active, err := openModels(ctx, p)
	if err != nil {
		return nil, err
	}
	p.Closing("the models", closing(active.Close))
	objects := vault.New(vault.Recent(p.Blobs, recentBytes), p.Keys)
	windows := &due.Windows{Store: p.Store, Now: p.Now, Quiet: cmp.Or(p.Config.Worker.Debounce, due.DefaultQuiet)}
	putOff := prometheus.NewCounter(prometheus.CounterOpts{Name: "clarity_agenda_put_off_total", Help: "Entries of what is due that were put off, as they cannot be read."})
	waited := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clarity_result_wait_seconds", Help: "Time from when a window of these days was to be analysed, as an upload was merged, until its result was stored.",
		Buckets: []float64{.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}})
	for _, c := range []prometheus.Collector{putOff, waited} {
		if err := p.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the worker's metrics: %w", err)
		}
	}
	onward := stage.Relay(p)
	looker := due.New(due.Needs{Store: p.Store, Queue: p.Queue, Windows: windows, Relay: onward, Missed: webhook.NewBook(p.Store, p.Queue, p.Now), PutOff: putOff, Now: p.Now, Log: p.Log})
	merger := intake.New(intake.Needs{Store: p.Store, Objects: objects, News: news.NewBook(p.Store, p.Now).Through(onward), Windows: windows, Queue: p.Queue, Now: p.Now, Log: p.Log})
	analyser := analyse.New(analyse.Needs{Store: p.Store, Chunks: timeline.NewReader(objects), Queue: p.Queue, Windows: windows, Audit: p.Audit, Models: active.Chooser, Waited: waited, Now: p.Now, Log: p.Log})
	sweeper := retention.New(p.Blobs, p.Store, p.Keys, p.Now)
	return []platform.Runner{
		{Name: "traffic", Run: active.Run},
		stage.Consume(p, flow.TopicUploads, flow.Intake, mergeConcurrency, stage.Sparing(p, merger.Handle)),
		stage.Consume(p, flow.TopicHistory, flow.Intake, historyConcurrency, stage.Sparing(p, merger.Handle)),
		stage.Consume(p, flow.TopicAnalyses, flow.Analyse, analyseConcurrency, stage.Sparing(p, analyser.Handle)),
		{Name: "agenda", Run: func(ctx context.Context) error {
			looker.Run(ctx, cmp.Or(p.Config.Worker.Look, lookInterval))
			return nil
		}},
		{Name: "retention", Run: func(ctx context.Context) error {
			sweeper.Run(ctx, sweepInterval, p.Log)
			return nil
		}},
	}, nil
}

// openModels opens the versions of the plan, where there is one, else the one model.
func openModels(ctx context.Context, p platform.Parts) (*models.Models, error) {
	if p.Plan.Source != nil {
		return models.Followed(p.Plan.Model, p.Plan.Source, p.Registry, p.Log)
	}
	return models.Single(ctx, p.Config.Backends.Model)
}

// closing is a Close that cannot fail.
type closing func()

var _ io.Closer = closing(nil)

func (c closing) Close() error { c(); return nil }
