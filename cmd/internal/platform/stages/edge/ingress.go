package edge

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
)

// rememberedTokens is how many verified tokens the ingress remembers.
const rememberedTokens = 10_000

// idleBehindProxies is how long a connection of a proxy may be idle: Google's load
// balancers keep theirs for ten minutes, and a request that meets our end of one is lost.
const idleBehindProxies = 620 * time.Second

// limitsOf are the limits of an ingress that is told so.
func limitsOf(c platform.Ingress) ingress.Limits {
	limits := ingress.DefaultLimits()
	if c.Unlimited {
		limits.UserRate, limits.AddressRate = ingress.Rate{}, ingress.Rate{}
	}
	limits.PerAddress = cmp.Or(c.AddressConnections, limits.PerAddress)
	if len(c.TrustedProxies) > 0 {
		limits.IdleTimeout = max(limits.IdleTimeout, idleBehindProxies)
	}
	return limits
}

func buildIngress(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	asked, err := askedModels(p)
	if err != nil {
		return nil, err
	}
	if err := stage.Count(p, "the writer", p.Writer); err != nil {
		return nil, err
	}
	proxies, err := p.Config.Ingress.Proxies()
	if err != nil {
		return nil, err
	}
	days := timeline.NewReader(vault.New(p.Blobs, p.Keys))
	needs := ingress.Needs{
		Store: p.Store, Woken: p.Config.Backends.Push != "", Blobs: p.Blobs, Queue: p.Queue, Keys: p.Keys, Grace: p.Config.Erasure.Grace, Space: p.Space, Audit: p.Audit,
		Verifier: identity.Cached(p.Calls.Verifier(p.Identity), rememberedTokens, p.Now),
		Writer:   p.Writer, Template: p.Template,
		Plan: asked.Plan, Series: days.Series, Ready: p.Ready,
		Registry: p.Registry, Traces: p.Traces, Logger: p.Log, Now: p.Now, Limits: limitsOf(p.Config.Ingress),
		Origins: p.Config.Ingress.Origins, Proxies: proxies, ProxyProtocol: p.Config.Ingress.ProxyProtocol, MetricsApart: p.Config.Listen.Admin != "",
	}
	if needs.App, err = appsOf(p); err != nil {
		return nil, err
	}
	server, err := ingress.New(needs)
	if err != nil {
		return nil, err
	}
	return []platform.Runner{{Name: stage.Ingress, Once: true, Run: func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- server.Serve(p.Listener) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stage.Drain(p))
		defer cancel()
		if err := server.Shutdown(stopping); err != nil {
			p.Log.Warn("requests were cut off", "stage", stage.Ingress, "err", err)
		}
		return <-served
	}}, {Name: "models", Run: asked.Run}}, nil
}

// An app says whether a request comes from an app of ours.
type app interface {
	Header() string
	Admit(ctx context.Context, token string) error
}

// appsOf is what the driver of identities knows of apps, too; nil lets every app in. What
// it counts is measured.
func appsOf(p platform.Parts) (app, error) {
	apps, can := p.Identity.(app)
	if !can {
		return nil, nil //nolint:nilnil // no app is asked for
	}
	return apps, stage.Count(p, "the verifier", p.Identity)
}

// askedModels are what GET /v1/models lists. Where the worker runs in this
// process, it says what is wrong with a plan, and the ingress does not say it again.
func askedModels(p platform.Parts) (*models.Asked, error) {
	if p.Plan.Source != nil {
		log := p.Log
		if slices.Contains(p.Config.Stages, stage.Worker) {
			log = slog.New(slog.DiscardHandler)
		}
		return models.AskedBy(p.Plan.Model, p.Plan.Source, log), nil
	}
	return models.AskedOf(p.Config.Backends.Model)
}
