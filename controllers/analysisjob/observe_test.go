package analysisjob

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// told is an Observer that keeps what it was told.
type told struct {
	mu    sync.Mutex
	lines []string
	times map[string]time.Duration
}

func (o *told) add(line string, after time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
	o.times[line] = after
}

func (o *told) State(from, to v1alpha1.State)  { o.add(fmt.Sprintf("%s → %s", from, to), 0) }
func (o *told) JobCreated(after time.Duration) { o.add("created", after) }
func (o *told) FirstShard(after time.Duration) { o.add("first shard", after) }

func TestObserversAreToldEachTransitionOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := &told{times: map[string]time.Duration{}}
	w.operator.Observers = []Observer{o}
	job := w.create(MakeJob("observed").Shards(2).Obj())
	created := w.read(job).CreationTimestamp.Time
	w.clock.SetTime(created.Add(3 * time.Second))
	w.settle(job)
	w.until(job, allRun, "running", inState(v1alpha1.StateRunning))
	got := w.until(job, allSucceed(1), "ended", func(j *v1alpha1.AnalysisJob, _ *batchv1.Job) bool { return finished(j) })
	w.isQuiet(got)
	want := []string{" → Pending", "created", "Pending → Running", "first shard", "Running → Succeeded"}
	if diff := cmp.Diff(want, o.lines); diff != "" {
		t.Errorf("the observer was told (-want +got):\n%s", diff)
	}
	if o.times["created"] != 3*time.Second {
		t.Errorf("the Job came %v after its object, want 3s", o.times["created"])
	}
	if want := got.Status.StartTime.Sub(created); o.times["first shard"] != want {
		t.Errorf("the first shard came %v after the object, want %v", o.times["first shard"], want)
	}
}
