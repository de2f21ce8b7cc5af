package models

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/model"
	router "github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// Models are what a worker asks, opened.
type Models struct {
	// Chooser says which version looks at whose week; nil where there is none.
	Chooser analyse.Models
	// Run follows the traffic plan until its context ends.
	Run func(context.Context) error
	// Ready waits until a version can be asked.
	Ready func(context.Context) error
	// Close lets the versions go, after Run and after the requests.
	Close func()
}

// Single opens the one model that ref names (see Load), for everybody. For ""
// and "none" there is no model, which is no error.
func Single(ctx context.Context, ref string) (*Models, error) {
	nothing := func(context.Context) error { return nil }
	if ref == "" || ref == "none" {
		return &Models{Run: nothing, Ready: nothing, Close: func() {}}, nil
	}
	b, err := Load(ref)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", ref, err)
	}
	m, done, err := Open(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", ref, err)
	}
	return &Models{Chooser: analyse.One(m), Run: nothing, Ready: nothing, Close: done}, nil
}

// Followed opens the versions of a traffic plan, as the plan comes. name is the
// model's; "" takes that of the first plan. The versions' metrics go to metrics.
func Followed(name string, plan router.Source, metrics prometheus.Registerer, log *slog.Logger) (*Models, error) {
	r, err := router.New(router.Options{Model: name, Source: plan, Metrics: metrics, Log: log, Now: time.Now,
		Open: func(ctx context.Context, name string, e traffic.Entry) (model.Model, func(), error) {
			c, err := Dial(ctx, e.Endpoint, name, e.Digest, log)
			if err != nil {
				return nil, nil, err
			}
			return c, c.Close, nil
		}})
	if err != nil {
		return nil, err
	}
	return &Models{Chooser: r, Run: r.Run, Ready: r.Ready, Close: r.Close}, nil
}

// Dial connects to the servers of a model's version behind an endpoint.
func Dial(ctx context.Context, endpoint, name, digest string, log *slog.Logger) (*triton.Client, error) {
	return triton.Dial(ctx, endpoint, triton.Version{Model: name, Digest: digest}, triton.Options{Log: log})
}
