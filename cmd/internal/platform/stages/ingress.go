package stages

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
)

// rememberedTokens is how many verified tokens the ingress remembers.
const rememberedTokens = 10_000

// warnOfErasures says that deletions of accounts are taken in and not done here.
func warnOfErasures(p platform.Parts) {
	if stages := p.Config.Stages; slices.Contains(stages, Ingress) && !slices.Contains(stages, Erasure) {
		p.Log.Warn("deletions of accounts are accepted, and none is done by this process: run the stage "+Erasure, "stage", Ingress, "stages", p.Config.Stages)
	}
}

func buildIngress(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	asked, err := askedModels(p)
	if err != nil {
		return nil, err
	}
	warnOfErasures(p)
	if err := countWriter(p); err != nil {
		return nil, err
	}
	limits := ingress.DefaultLimits()
	if p.Config.Ingress.Unlimited {
		limits.UserRate, limits.AddressRate = ingress.Rate{}, ingress.Rate{}
	}
	limits.PerAddress = cmp.Or(p.Config.Ingress.AddressConnections, limits.PerAddress)
	proxies, err := p.Config.Ingress.Proxies()
	if err != nil {
		return nil, err
	}
	days := timeline.NewReader(vault.New(p.Blobs, p.Keys))
	server, err := ingress.New(ingress.Needs{
		Store: p.Store, Blobs: p.Blobs, Queue: p.Queue, Keys: p.Keys, Grace: p.Config.Erasure.Grace, Space: p.Space, Audit: p.Audit,
		Verifier: identity.Cached(p.Identity, rememberedTokens, p.Now),
		Writer:   p.Writer, Template: p.Template,
		Plan: asked.Plan, Series: days.Series, Ready: func(ctx context.Context) error {
			return errors.Join(p.Queue.Ready(ctx), p.Store.Ready(ctx), ready(ctx, p.Keys), ready(ctx, p.Identity))
		},
		Registry: p.Registry, Logger: p.Log, Now: p.Now, Limits: limits,
		Origins: p.Config.Ingress.Origins, Proxies: proxies, ProxyProtocol: p.Config.Ingress.ProxyProtocol, MetricsApart: p.Config.Listen.Admin != "",
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
	}, Ready: server.CheckReady}, {Name: "models", Run: asked.Run}}, nil
}

// ready asks a driver that can tell whether it can do its work now.
func ready(ctx context.Context, driver any) error {
	if d, can := driver.(interface{ Ready(context.Context) error }); can {
		return d.Ready(ctx)
	}
	return nil
}

// askedModels are what GET /v1/models lists. Where the worker runs in this
// process, it says what is wrong with a plan, and the ingress does not say it again.
func askedModels(p platform.Parts) (*models.Asked, error) {
	if p.Plan.Source != nil {
		log := p.Log
		if slices.Contains(p.Config.Stages, Worker) {
			log = slog.New(slog.DiscardHandler)
		}
		return models.AskedBy(p.Plan.Model, p.Plan.Source, log), nil
	}
	return models.AskedOf(p.Config.Backends.Model)
}
