package models

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/clarity-loop/clarity/api/traffic"
	router "github.com/clarity-loop/clarity/services/model/traffic"
)

// Asked shows which versions of a model are asked, to whoever only lists them.
// It connects to none.
type Asked struct {
	plan   atomic.Pointer[traffic.Plan]
	model  string
	source router.Source // nil: the plan stays
	log    *slog.Logger
}

// AskedOf is the one version that ref names (see Load), for everybody; none for
// "" and "none".
func AskedOf(ref string) (*Asked, error) {
	a := &Asked{}
	if ref == "" || ref == "none" {
		return a, nil
	}
	b, err := Load(ref)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", ref, err)
	}
	i := b.Identity()
	a.plan.Store(&traffic.Plan{Model: i.Name, Entries: []traffic.Entry{{Version: i.Name, Weight: traffic.Total, Digest: i.Digest}}})
	return a, nil
}

// AskedBy are the versions of a model's traffic plan, as it comes. model is the
// model's name; "" takes that of the first plan.
func AskedBy(model string, plan router.Source, log *slog.Logger) *Asked {
	return &Asked{model: model, source: plan, log: log}
}

// Run follows the plan until ctx ends. Whatever comes instead of a good plan
// leaves the last good one, as the worker's router does.
func (a *Asked) Run(ctx context.Context) error {
	if a.source == nil {
		<-ctx.Done()
		return nil
	}
	a.source.Watch(ctx, func(text []byte, err error) {
		if err == nil {
			err = a.take(text)
		}
		if err != nil {
			a.log.Warn(a.complaint(), "model", a.model, "err", err)
		}
	})
	return nil
}

// complaint says what is listed meanwhile, where what came is no plan to list.
func (a *Asked) complaint() string {
	if a.plan.Load() == nil {
		return "no traffic plan yet, listing no model"
	}
	return "no new traffic plan, listing the last"
}

func (a *Asked) take(text []byte) error {
	p, err := traffic.ParsePlan(text)
	switch {
	case err != nil:
		return err
	case a.model != "" && p.Model != a.model:
		return errors.New("the plan is another model's")
	case len(p.Entries) == 0:
		return errors.New("the plan is empty")
	}
	a.model = p.Model
	a.plan.Store(&p)
	return nil
}

// Plan is the plan; false where none has come.
func (a *Asked) Plan() (traffic.Plan, bool) {
	if p := a.plan.Load(); p != nil {
		return *p, true
	}
	return traffic.Plan{}, false
}
