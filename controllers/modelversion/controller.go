package modelversion

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Needs are what a Reconciler works with.
type Needs struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Live reads from the API server itself. It is asked where a stale answer would do harm.
	Live client.Reader
	// Events tells of transitions.
	Events events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// PodMonitoring says whether the API server has that kind.
	PodMonitoring bool
	// Observers are told what versions go through; they may be none.
	Observers []Observer
}

// An Observer is told what versions go through. It must not block.
type Observer interface {
	// Stage tells that a version of the model left a stage after so long.
	Stage(model string, from, to v1alpha1.Stage, took time.Duration)
	// Verdict tells what a gate of the kind (Prometheus, Latency, ErrorRate, ShadowDrift, NaN) said.
	Verdict(kind string, verdict v1alpha1.Verdict)
	// RolledBack tells that a version lost its traffic, or the chance of any, for the reason.
	RolledBack(model, reason string)
}

// Reconciler reconciles ModelVersions, a model at a time.
type Reconciler struct {
	Needs
	config Config
}

// New returns a Reconciler, or every fault of the configuration.
func New(config Config, needs Needs) (*Reconciler, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("read configuration of model versions: %w", err)
	}
	return &Reconciler{Needs: needs, config: config.WithDefaults()}, nil
}

// Reconcile makes one pass over all versions of one model.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var versions v1alpha1.ModelVersionList
	err := r.Client.List(ctx, &versions, client.InNamespace(request.Namespace), client.MatchingFields{modelField: request.Name})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("list versions of model %q: %w", request.Name, err)
	}
	return reconcile.Result{}, nil
}
