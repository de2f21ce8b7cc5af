package modelversion

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/internal/statuspatch"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving/probe"
)

// Needs are what a Reconciler works with.
type Needs struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Live reads from the API server itself. It is asked where a stale answer would do harm.
	Live client.Reader
	// Probe asks servers whether they are ready.
	Probe probe.Readiness
	// Gates answers whether a candidate may take the next step.
	Gates gate.Gates
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
	config  Config
	servers *serving.Builder
	prober  *probe.Prober
}

// New returns a Reconciler, or every fault of the configuration.
func New(config Config, needs Needs) (*Reconciler, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("read configuration of model versions: %w", err)
	}
	config = config.WithDefaults()
	return &Reconciler{
		Needs: needs, config: config,
		servers: &serving.Builder{
			Image: config.Image, ServiceAccount: config.ServiceAccount, ConfigMap: config.ConfigMap, Resources: config.Resources,
			Propagation: config.Propagation.Duration, Network: config.Network,
		},
		prober: probe.NewProber(needs.Probe, config.ProbeTimeout.Duration, config.ProbeInterval.Duration),
	}, nil
}

// phases are what a pass does, in order.
func (r *Reconciler) phases() []outcome.Phase[*modelPass] {
	return []outcome.Phase[*modelPass]{
		r.observe,       // what was made for the versions, the plan and the record
		r.accept,        // which versions are to be served here, and which is the candidate
		r.verify,        // the candidate's bundle
		r.selectServing, // whose servers should run
		r.serve,         // the servers, and what belongs to them
		r.probe,         // which of them are ready
		r.validate,      // the candidate's golden vectors
		r.evaluateGates, // the gates
		r.applyPlan,     // the plan
		r.cleanup,       // what is not needed any more
	}
}

// Reconcile makes one pass over all versions of one model.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var versions v1alpha1.ModelVersionList
	err := r.Client.List(ctx, &versions, client.InNamespace(request.Namespace), client.MatchingFields{modelField: request.Name})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("list versions of model %q: %w", request.Name, err)
	}
	p := newPass(request.Namespace, request.Name, versions.Items, r.Clock.Now())
	var end outcome.Outcome = outcome.Done{}
	if len(p.versions) > 0 {
		if end, err = outcome.Run(ctx, p, r.phases()...); err == nil {
			err = r.writeStatuses(ctx, p)
		}
	} else if request.Namespace == r.config.Namespace {
		err = r.clear(ctx, p)
	}
	behind := false
	var failed []error
	for _, err := range append(p.errs, err) {
		if pass.Behind(err) {
			behind = true // the cache is: nothing is wrong
		} else {
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return reconcile.Result{}, err
	}
	if behind {
		return reconcile.Result{RequeueAfter: pass.CatchUp}, nil
	}
	return outcome.Result(end, p.Wake(), resync), nil
}

// manager is the name under which the operator owns fields.
const manager = "clarity-modelversion"

const (
	// lookAgain is when to look at something again that no watch tells of.
	lookAgain = time.Minute
	// resync is when to look again in any case: watches can lose an event.
	resync = 10 * time.Minute
)

// writeStatuses writes the statuses that changed, and tells of transitions once they are on record.
func (r *Reconciler) writeStatuses(ctx context.Context, p *modelPass) error {
	var faults []error
	for _, m := range p.versions {
		p.describe(m)
		if m.stalled != nil {
			p.WakeIn(lookAgain)
		}
		now := m.mv.DeepCopy()
		wrote, err := statuspatch.Write(ctx, r.Client, m.before, now, m.before.Status, m.mv.Status)
		switch {
		case err != nil && (!apierrors.IsNotFound(err) || m.mv.DeletionTimestamp.IsZero()):
			faults = append(faults, err)
		case err == nil && wrote:
			r.tell(p, m)
		}
	}
	return errors.Join(faults...)
}

// tell tells people by events, and observers by calls, what the version went through.
func (r *Reconciler) tell(p *modelPass, m *versionPass) {
	for _, e := range m.events() {
		r.Events.Eventf(m.mv, nil, e.kind, e.reason, e.action, "%s", e.note)
	}
	was, is := m.before.Status, m.mv.Status
	for _, o := range r.Observers {
		if was.Stage != "" && was.Stage != is.Stage {
			var took time.Duration
			if was.Since != nil {
				took = p.now.Sub(was.Since.Time)
			}
			o.Stage(p.model, was.Stage, is.Stage, took)
			if is.Stage == v1alpha1.StageRolledBack {
				o.RolledBack(p.model, is.Reason)
			}
		}
		if m == p.candidate {
			for _, a := range p.answers {
				o.Verdict(a.kind, a.verdict)
			}
		}
	}
}
