package platform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/clarity-loop/clarity/services/feed"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/insights"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/worker/analyse"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

// How many messages of a topic are handled at a time. A person's are one after
// another whatever this says.
const (
	mergers   = 2
	analysers = 2
)

// narratorPatience is how long a writer may take.
const narratorPatience = 10 * time.Second

// build makes the stages of the Config.
func (p *Platform) build(ctx context.Context, d drivers) error {
	c := p.config
	registry, err := newRegistry(d.queue)
	if err != nil {
		return err
	}
	for _, name := range c.Stages {
		switch name {
		case Ingress:
			if err := p.buildIngress(d, registry); err != nil {
				return err
			}
		case Worker:
			if err := p.buildWorker(ctx, d, registry); err != nil {
				return err
			}
		case Insights:
			writer := template.New()
			s := insights.New(insights.Needs{Store: d.store, Queue: d.queue, Audit: d.audit, Writer: writer, Template: writer,
				Patience: narratorPatience, Now: c.Now, Log: c.Log})
			p.stages = append(p.stages, stage{Insights, s.Run})
		case Delivery:
			s := feed.New(feed.Needs{Store: d.store, Queue: d.queue, Now: c.Now, Log: c.Log})
			p.stages = append(p.stages, stage{Delivery, s.Run})
		}
	}
	if p.profile != nil {
		p.buildProfile()
	}
	return nil
}

func (p *Platform) buildWorker(ctx context.Context, d drivers, metrics prometheus.Registerer) error {
	c := p.config
	models, err := OpenModels(ctx, c.Model, metrics, c.Log)
	if err != nil {
		return err
	}
	p.closing("the models", func() error { models.Close(); return nil })
	p.stages = append(p.stages, stage{"traffic", models.Run})
	quiet := c.Quiet
	if quiet == 0 {
		quiet = intake.DefaultQuiet
	}
	merger := intake.New(intake.Needs{Store: d.store, Blobs: d.blobs, Keys: d.keys, Queue: d.queue, Now: c.Now, Log: c.Log, Quiet: quiet})
	analyser := analyse.New(analyse.Needs{Store: d.store, Blobs: d.blobs, Keys: d.keys, Queue: d.queue, Audit: d.audit, Models: models.Chooser, Now: c.Now, Log: c.Log})
	sweeper := retention.New(d.blobs, d.store, c.Now)
	p.consume(d.queue, flow.TopicUploads, mergers, merger.Handle)
	p.consume(d.queue, flow.TopicAnalyses, analysers, analyser.Handle)
	p.stages = append(p.stages, stage{"retention", func(ctx context.Context) error {
		sweeper.Run(ctx, sweeping, c.Log)
		return nil
	}})
	return nil
}

// consume is a stage that handles a topic.
func (p *Platform) consume(q queue.Queue, topic string, concurrency int, handle queue.Handler) {
	p.stages = append(p.stages, stage{topic, func(ctx context.Context) error {
		return q.Receive(ctx, queue.Subscription{Topic: topic, Concurrency: concurrency, Drain: drain}, handle)
	}})
}

func (p *Platform) buildIngress(d drivers, registry *prometheus.Registry) error {
	c := p.config
	limits := ingress.DefaultLimits()
	if c.Unlimited {
		limits.UserRate, limits.AddressRate = ingress.Rate{}, ingress.Rate{}
	}
	server, err := ingress.New(ingress.Needs{
		Store: d.store, Blobs: d.blobs, Queue: d.queue, Keys: d.keys, Verifier: d.verifier, Audit: d.audit,
		Writer: template.New(), Template: template.New(), Grounded: narrative.Check,
		Samples: daySamples(d), Ready: func(ctx context.Context) error {
			_, err := d.queue.Depth(ctx, flow.TopicUploads)
			return err
		},
		Registry: registry, Logger: c.Log, Now: c.Now, Limits: limits, Version: c.Version,
	})
	if err != nil {
		return err
	}
	p.stages = append(p.stages, stage{Ingress, func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- server.Serve(p.listener) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := server.Shutdown(stopping); err != nil {
			c.Log.Warn("requests were cut off", "stage", Ingress, "err", err)
		}
		return <-served
	}})
	return nil
}

// daySamples reads the samples of one day for an export.
func daySamples(d drivers) func(context.Context, string, record.Day) ([]health.Sample, error) {
	return func(ctx context.Context, uid string, day record.Day) ([]health.Sample, error) {
		if day.Chunk == "" {
			return nil, nil
		}
		sealed, err := d.blobs.Get(ctx, day.Chunk)
		if err != nil {
			return nil, fmt.Errorf("get chunk: %w", err)
		}
		plain, err := d.keys.Open(ctx, uid, day.Chunk, sealed)
		if err != nil {
			return nil, fmt.Errorf("open chunk: %w", err)
		}
		chunk, err := timeline.Decode(plain)
		if err != nil {
			return nil, err
		}
		return chunk.Samples, nil
	}
}

// buildProfile serves the profiles on a listener of their own.
func (p *Platform) buildProfile() {
	s := &http.Server{Handler: profiles(), ReadHeaderTimeout: 5 * time.Second}
	p.stages = append(p.stages, stage{"pprof", func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- s.Serve(p.profile) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return errors.Join(s.Close(), ignoreServerClosed(<-served))
		}
	}})
}

func ignoreServerClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}

// newRegistry has the process, the collector and the queue's depth; the stages
// add theirs.
func newRegistry(q queue.Queue) (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), depths{q}} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return r, nil
}

// depths counts the queue's messages when it is asked.
type depths struct{ queue queue.Queue }

func depthDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_queue_messages", "Messages of a topic by state: waiting, leased, dead.", []string{"topic", "state"}, nil)
}

// Describe is prometheus.Collector's.
func (depths) Describe(to chan<- *prometheus.Desc) { to <- depthDesc() }

// Collect is prometheus.Collector's.
func (d depths) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, topic := range Topics() {
		depth, err := d.queue.Depth(ctx, topic)
		if err != nil {
			to <- prometheus.NewInvalidMetric(depthDesc(), err)
			continue
		}
		for state, n := range map[string]int{"waiting": depth.Waiting, "leased": depth.Leased, "dead": depth.Dead} {
			to <- prometheus.MustNewConstMetric(depthDesc(), prometheus.GaugeValue, float64(n), topic, state)
		}
	}
}
