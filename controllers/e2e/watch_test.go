package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// watcher sees every version of every object of ours through the whole run and
// notes what must never be.
type watcher struct {
	s *system

	mu     sync.Mutex
	faults []string
	jobs   map[types.UID]int            // Jobs ever created, by the object that controls them
	gone   map[types.UID]*metav1.Time   // when objects were deleted
	ended  map[types.UID]v1alpha1.State // ends on record
	now    map[string]*v1alpha1.AnalysisJob
	plans  map[string]traffic.Plan     // by model
	stages map[string][]v1alpha1.Stage // every stage of each ModelVersion, in order
	named  map[string]*v1alpha1.ModelVersion
}

func watch(ctx context.Context, s *system) (*watcher, error) {
	w := &watcher{
		s: s, jobs: map[types.UID]int{}, gone: map[types.UID]*metav1.Time{}, ended: map[types.UID]v1alpha1.State{}, now: map[string]*v1alpha1.AnalysisJob{},
		plans: map[string]traffic.Plan{}, stages: map[string][]v1alpha1.Stage{}, named: map[string]*v1alpha1.ModelVersion{},
	}
	for list, see := range map[client.ObjectList]func(apiwatch.Event){
		&v1alpha1.AnalysisJobList{}:  w.seeAnalysisJob,
		&v1alpha1.ModelVersionList{}: w.seeModelVersion,
		&batchv1.JobList{}:           w.seeJob,
		&corev1.ConfigMapList{}:      w.seePlan,
		&appsv1.DeploymentList{}:     w.seeDeployment,
	} {
		if err := w.follow(ctx, list, see); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// follow shows every event of a kind to see. A watch that the API server ends,
// because a busy machine reads it too slowly, is taken up where it was.
func (w *watcher) follow(ctx context.Context, list client.ObjectList, see func(apiwatch.Event)) error {
	if err := w.s.live.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("list what to watch: %w", err)
	}
	events, err := watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			return w.s.live.Watch(ctx, list, &client.ListOptions{Namespace: namespace, Raw: &o})
		},
	})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	go func() {
		for event := range events.ResultChan() {
			w.mu.Lock()
			if event.Type == apiwatch.Error {
				w.fault("a watch cannot go on: what followed was not seen: %v", apierrors.FromObject(event.Object))
			} else {
				see(event)
			}
			w.mu.Unlock()
		}
	}()
	return nil
}

func (w *watcher) fault(format string, args ...any) {
	if len(w.faults) < 20 {
		w.faults = append(w.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// job is the object as it is now; an empty one where there is none yet.
func (w *watcher) job(name string) *v1alpha1.AnalysisJob {
	w.mu.Lock()
	defer w.mu.Unlock()
	if job := w.now[name]; job != nil {
		return job
	}
	return &v1alpha1.AnalysisJob{}
}

// ends is how many analysis jobs have ended.
func (w *watcher) ends() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ended)
}

// owned is how many Jobs of analysis jobs were created.
func (w *watcher) owned() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.jobs)
}

// check tells what was seen that must never be.
func (w *watcher) check(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fault := range w.faults {
		t.Error(fault)
	}
}

// seeJob is invariants 6 and 9: one Job per AnalysisJob, ever; none under an object that is being deleted.
func (w *watcher) seeJob(event apiwatch.Event) {
	job, ok := event.Object.(*batchv1.Job)
	if !ok || event.Type != apiwatch.Added {
		return
	}
	owner := metav1.GetControllerOfNoCopy(job)
	if owner == nil || owner.Kind != "AnalysisJob" {
		return
	}
	if w.jobs[owner.UID]++; w.jobs[owner.UID] > 1 {
		w.fault("analysis job %q has a second Job, %q", owner.Name, job.Name)
	}
	if deleted := w.gone[owner.UID]; deleted != nil && job.CreationTimestamp.After(deleted.Time) {
		w.fault("Job %q was created under %q, which is being deleted", job.Name, owner.Name)
	}
}

// seeAnalysisJob is invariant 5: conditions, state and numbers agree, and an end is an end.
func (w *watcher) seeAnalysisJob(event apiwatch.Event) {
	job, ok := event.Object.(*v1alpha1.AnalysisJob)
	if !ok {
		return
	}
	w.now[job.Name] = job
	if job.DeletionTimestamp != nil || event.Type == apiwatch.Deleted {
		w.gone[job.UID] = job.DeletionTimestamp
	}
	is := func(kind string) bool { return meta.IsStatusConditionTrue(job.Status.Conditions, kind) }
	succeeded, failed := is(v1alpha1.ConditionSucceeded), is(v1alpha1.ConditionFailed)
	s := job.Status
	busy := is(v1alpha1.ConditionReconciling) || is(v1alpha1.ConditionStalled) || is(v1alpha1.ConditionSuspended) || is(v1alpha1.ConditionQueued)
	switch {
	case succeeded && failed:
		w.fault("analysis job %q succeeded and failed", job.Name)
	case (succeeded || failed) && busy:
		w.fault("analysis job %q ended and is still at it", job.Name)
	case is(v1alpha1.ConditionReconciling) && is(v1alpha1.ConditionStalled):
		w.fault("analysis job %q reconciles and is stalled", job.Name)
	case s.Subjects.Done != s.Subjects.Succeeded+s.Subjects.Skipped+s.Subjects.Failed:
		w.fault("analysis job %q: subjects do not add up: %+v", job.Name, s.Subjects)
	case s.Shards.Succeeded+s.Shards.Failed > s.Shards.Total:
		w.fault("analysis job %q: shards do not add up: %+v", job.Name, s.Shards)
	}
	if before, is := w.ended[job.UID]; is && before != s.State {
		w.fault("analysis job %q ended as %s and is now %s", job.Name, before, s.State)
	}
	if succeeded || failed {
		w.ended[job.UID] = s.State
	}
}
