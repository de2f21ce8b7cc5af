package analysisjob

import (
	"cmp"
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/internal/statuspatch"
)

// Needs are what a Reconciler works with.
type Needs struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Live reads from the API server itself. It is asked where a stale answer
	// would do harm: before the Job is created, before a Job is called gone, and
	// before the report of an ended shard is called lost.
	Live client.Reader
	// Pods lists a Job's pods; IndexedPods where the cache has the index.
	Pods func(ctx context.Context, child *batchv1.Job) ([]corev1.Pod, error)
	// Workloads finds Kueue's object for a Job; nil where Kueue is not installed.
	Workloads WorkloadFinder
	// Events tells of transitions.
	Events events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Observers are told what jobs go through; they may be none.
	Observers []Observer
}

// An Observer is told what jobs go through, once it is on record. It must not block.
type Observer interface {
	// State tells that a job came from one state, none if it is new, to another.
	State(from, to v1alpha1.State)
	// JobCreated tells that a job has its Job, so long after its own creation.
	JobCreated(after time.Duration)
	// FirstShard tells that a job's first shard started, so long after the job's creation.
	FirstShard(after time.Duration)
}

// Reconciler reconciles AnalysisJobs.
type Reconciler struct {
	Needs
	config Config
	memory memory
}

// New returns a Reconciler, or every fault of the configuration.
func New(config Config, needs Needs) (*Reconciler, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("read configuration of analysis jobs: %w", err)
	}
	return &Reconciler{Needs: needs, config: config.WithDefaults()}, nil
}

// phases are what a pass does, in order.
func (r *Reconciler) phases() []outcome.Phase[*jobPass] {
	return []outcome.Phase[*jobPass]{
		r.accept,       // is it ours, and which days
		r.observe,      // the Job and its pods
		r.finish,       // the Job ended, or is gone
		r.cancel,       // cancel and deadlines
		r.resolve,      // the model
		r.hold,         // suspended before its creation
		r.create,       // the Job's creation, once
		r.steer,        // suspend and resume
		r.readWorkload, // what a queued Job waits for
		r.count,        // the shards' reports
		r.startBlocked, // why no shard starts
	}
}

// Reconcile makes one pass over one AnalysisJob.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var job v1alpha1.AnalysisJob
	if err := r.Client.Get(ctx, request.NamespacedName, &job); err != nil {
		if err = client.IgnoreNotFound(err); err != nil {
			err = fmt.Errorf("get analysis job %q: %w", request, err)
		} else {
			r.memory.forget(request.NamespacedName)
		}
		return reconcile.Result{}, err
	}
	if !job.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil // the garbage collector takes the Job and its pods along
	}
	p := newPass(&job, r.Clock.Now())
	if finished(&job) {
		r.memory.forget(request.NamespacedName)
		return r.ttl(ctx, p)
	}
	end, err := outcome.Run(ctx, p, r.phases()...)
	if _, gone := end.(vanished); gone {
		return reconcile.Result{}, nil
	}
	if err == nil {
		err = r.writeStatus(ctx, p, end)
	}
	switch {
	case pass.Behind(err):
		return reconcile.Result{RequeueAfter: pass.CatchUp}, nil // the cache is behind: nothing is wrong
	case err != nil:
		return reconcile.Result{}, err
	}
	return outcome.Result(end, p.Wake()), nil
}

// vanished ends a pass whose object is being deleted or has gone: nothing is written.
type vanished struct{ outcome.Done }

// writeStatus writes the status where it changed, and tells of transitions once they are on record.
func (r *Reconciler) writeStatus(ctx context.Context, p *jobPass, end outcome.Outcome) error {
	p.describe(end)
	if rest := p.writeDelay(r.config.StatusInterval.Duration); rest > 0 {
		p.WakeIn(rest)
		return nil
	}
	told := p.job.DeepCopy()
	wrote, err := statuspatch.Write(ctx, r.Client, p.before, told, p.before.Status, p.job.Status)
	if err != nil || !wrote {
		return err
	}
	r.tellObservers(p)
	for _, c := range condition.Changed(p.before.Status.Conditions, p.job.Status.Conditions) {
		if kind, action, tell := eventOf(c); tell {
			r.Events.Eventf(told, nil, kind, c.Reason, action, "%s", cmp.Or(c.Message, c.Type))
		}
	}
	if p.end != nil {
		p.WakeIn(time.Second) // what is left to do afterwards
	}
	return nil
}

func (r *Reconciler) tellObservers(p *jobPass) {
	before, after := p.before.Status, p.job.Status
	for _, o := range r.Observers {
		if before.State != after.State {
			o.State(before.State, after.State)
		}
		if before.Job == "" && after.Job != "" {
			o.JobCreated(p.now.Sub(p.job.CreationTimestamp.Time))
		}
		if before.StartTime == nil && after.StartTime != nil {
			o.FirstShard(after.StartTime.Sub(p.job.CreationTimestamp.Time))
		}
	}
}
