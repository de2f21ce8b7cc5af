package stages

import (
	"context"
	"fmt"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/timeline"
)

// rememberedTokens is how many verified tokens the ingress remembers.
const rememberedTokens = 10_000

func buildIngress(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	limits := ingress.DefaultLimits()
	if p.Config.Ingress.Unlimited {
		limits.UserRate, limits.AddressRate = ingress.Rate{}, ingress.Rate{}
	}
	server, err := ingress.New(ingress.Needs{
		Store: p.Store, Blobs: p.Blobs, Queue: p.Queue, Keys: p.Keys, Audit: p.Audit,
		Verifier: identity.Cached(p.Identity, rememberedTokens, p.Now),
		Writer:   p.Writer, Template: p.Template, Grounded: narrative.Check,
		Samples: daySamples(p), Ready: func(ctx context.Context) error {
			_, err := p.Queue.Depth(ctx, flow.TopicUploads, flow.Intake)
			return err
		},
		Registry: p.Registry, Logger: p.Log, Now: p.Now, Limits: limits, Version: p.Version,
	})
	if err != nil {
		return nil, err
	}
	return []platform.Runner{{Name: Ingress, Run: func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- server.Serve(p.Listener) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := server.Shutdown(stopping); err != nil {
			p.Log.Warn("requests were cut off", "stage", Ingress, "err", err)
		}
		return <-served
	}}}, nil
}

// daySamples reads the samples of one day for an export.
func daySamples(p platform.Parts) func(context.Context, string, record.Day) ([]health.Sample, error) {
	return func(ctx context.Context, uid string, day record.Day) ([]health.Sample, error) {
		if day.Chunk == "" {
			return nil, nil
		}
		sealed, err := p.Blobs.Get(ctx, day.Chunk)
		if err != nil {
			return nil, fmt.Errorf("get chunk: %w", err)
		}
		plain, err := p.Keys.Open(ctx, uid, day.Chunk, sealed)
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
