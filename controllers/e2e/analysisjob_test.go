package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/analysisjob"
	"github.com/clarity-loop/clarity/internal/kubelab/node"
)

// analysis is everyone's last week, wear only.
func analysis(name string, shards int32) *v1alpha1.AnalysisJob {
	return &v1alpha1.AnalysisJob{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: v1alpha1.AnalysisJobSpec{
			Subjects: v1alpha1.Subjects{All: &v1alpha1.AllSubjects{}},
			Window:   v1alpha1.AnalysisWindow{LastDays: new(int32(7))},
			Analyses: []v1alpha1.AnalysisName{"wear"}, Shards: shards,
		},
	}
}

// report is a shard's termination message.
func report(r termination.Report) string {
	text, _ := json.Marshal(r)
	return string(text)
}

// shardOf is which shard a pod is, and which attempt at it.
func shardOf(pod *corev1.Pod) (shard, attempt int) {
	shard, _ = strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	attempt, _ = strconv.Atoi(pod.Annotations[batchv1.JobIndexFailureCountAnnotation])
	return shard, attempt
}

func (s *system) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := s.live.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func (s *system) patch(t *testing.T, kind, name, patch string) {
	t.Helper()
	if _, err := s.kubectl("patch", kind, name, "--type=merge", "-p", patch); err != nil {
		t.Fatal(err)
	}
}

// becomes waits until the job's one word is state.
func (s *system) becomes(t *testing.T, name string, state v1alpha1.State) *v1alpha1.AnalysisJob {
	t.Helper()
	var job *v1alpha1.AnalysisJob
	for limit := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if job = s.watch.job(name); job.Status.State == state {
			return job
		}
		if time.Now().After(limit) {
			status, _ := json.MarshalIndent(job.Status, "", " ")
			t.Fatalf("analysis job %q does not become %s: %s", name, state, status)
		}
	}
}

// says wants the row of `kubectl get` to begin like this.
func (s *system) says(t *testing.T, name, want string) {
	t.Helper()
	if got := s.line(t, "ajob", name); !strings.HasPrefix(got, want) {
		t.Errorf("kubectl get ajob says %q, want %q", got, want)
	}
}

func oneSubject(t *testing.T, s *system) {
	job := analysis("one-subject", 1)
	job.Spec.Subjects = v1alpha1.Subjects{Subject: "tok-0123456789abcdef"}
	s.roles.play(job.Name, func(_ context.Context, pod *corev1.Pod) node.End {
		if !slices.Contains(pod.Spec.Containers[0].Args, "--subject=tok-0123456789abcdef") {
			return node.End{ExitCode: worker.ExitInvalidInput}
		}
		return node.End{Message: report(termination.Report{Subjects: 1, Succeeded: 1})}
	})
	s.create(t, job)
	got := s.becomes(t, job.Name, v1alpha1.StateSucceeded)
	if diff := cmp.Diff(v1alpha1.SubjectCounts{Done: 1, Succeeded: 1}, got.Status.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	s.says(t, job.Name, "one-subject Succeeded 1/1 1 0")
}

// cohort is what 200 shards of 500 subjects do: one in twenty breaks halfway,
// one is killed for its memory once, and some run until they are told. A shard
// that is tried again reports the same, as one that goes on from a checkpoint does.
type cohort struct {
	hold map[int]chan struct{} // shards that run until told

	mu   sync.Mutex
	said map[int]node.End // what each shard ended with
	held map[int]string   // the node a held shard ran on at first
}

// truth is what the shards did.
func (c *cohort) truth() (subjects v1alpha1.SubjectCounts, why map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	why = map[string]int64{}
	for _, end := range c.said {
		r, err := termination.ParseReport(end.Message)
		if err != nil {
			panic(err) // report wrote it
		}
		subjects.Done += r.Subjects
		subjects.Succeeded += r.Succeeded
		subjects.Skipped += r.Skipped
		subjects.Failed += r.Failed
		for reason, n := range r.Reasons {
			why[reason] += n
		}
		if end.ExitCode != 0 {
			why["ShardInvalidInput"]++
		}
	}
	return subjects, why
}

func (c *cohort) play(ctx context.Context, pod *corev1.Pod) node.End {
	shard, attempt := shardOf(pod)
	wait := c.hold[shard]
	c.mu.Lock()
	if wait != nil && c.held[shard] == "" {
		c.held[shard] = pod.Spec.NodeName
	}
	c.mu.Unlock()
	if wait != nil {
		select {
		case <-ctx.Done():
			return node.End{ExitCode: 143, Message: report(termination.Report{Subjects: 10, Succeeded: 10})}
		case <-wait:
		}
	}
	if shard == 34 && attempt == 0 {
		return node.End{ExitCode: 137, Reason: "OOMKilled"}
	}
	r := termination.Report{Subjects: 500, Failed: int64(shard % 3), Skipped: int64(shard % 7)}
	r.Succeeded = r.Subjects - r.Failed - r.Skipped
	if r.Failed > 0 {
		r.Reasons = map[string]int64{"NoData": r.Failed}
	}
	end := node.End{}
	if shard%20 == 0 {
		r = termination.Report{Subjects: 250, Succeeded: 249, Failed: 1, Reasons: map[string]int64{"Panicked": 1}}
		end.ExitCode = worker.ExitInvalidInput
	}
	end.Message = report(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said[shard] = end
	return end
}

// 100,000 subjects in 200 shards: some fail, a node is taken away, the job is
// suspended and resumed. The numbers in status are what the shards did.
func aCohortAddsUp(t *testing.T, s *system) {
	c := &cohort{said: map[int]node.End{}, held: map[int]string{}, hold: map[int]chan struct{}{33: make(chan struct{}), 150: make(chan struct{})}}
	job := analysis("cohort", 200)
	job.Spec.Parallelism = new(int32(50))
	job.Spec.Retry = v1alpha1.Retry{PerShard: new(int32(1)), MaxFailedShardsPercent: new(int32(5))}
	s.roles.play(job.Name, c.play)
	s.create(t, job)

	on := func(shard int) string { c.mu.Lock(); defer c.mu.Unlock(); return c.held[shard] }
	eventually(t, patience, "shard 33 runs", func() bool { return on(33) != "" })
	s.preempt(t, on(33), job.Name)
	close(c.hold[33])

	eventually(t, patience, "shard 150 runs", func() bool { return on(150) != "" })
	s.patch(t, "ajob", job.Name, `{"spec":{"suspend":true}}`)
	s.becomes(t, job.Name, v1alpha1.StateSuspended)
	eventually(t, patience, "no shard of the suspended job runs", func() bool {
		return !slices.ContainsFunc(s.pods(), func(p *corev1.Pod) bool {
			return p.Annotations[analysisjob.JobAnnotation] == job.Name && p.Status.Phase == corev1.PodRunning
		})
	})
	s.says(t, job.Name, "cohort Suspended")
	close(c.hold[150])
	s.patch(t, "ajob", job.Name, `{"spec":{"suspend":false}}`)

	got := s.becomes(t, job.Name, v1alpha1.StateSucceeded)
	subjects, reasons := c.truth()
	if diff := cmp.Diff(subjects, got.Status.Subjects); diff != "" {
		t.Errorf("subjects (-what the shards did +status):\n%s", diff)
	}
	why := map[string]int64{}
	for _, f := range got.Status.FailureSummary {
		why[f.Reason] = f.Count
	}
	if diff := cmp.Diff(reasons, why); diff != "" {
		t.Errorf("reasons (-what the shards said +status):\n%s", diff)
	}
	if n := got.Status.Shards; n.Succeeded != 190 || n.Failed != 10 || n.Uncounted != 0 || subjects.Done != 97_500 {
		t.Errorf("shards %+v, subjects %d; want 190 that succeeded, 10 that failed, each counted", n, subjects.Done)
	}
	s.says(t, job.Name, fmt.Sprintf("cohort Succeeded 190/200 97500 %d", subjects.Failed))
}

// preempt takes a node away from the pods of a job as Kubernetes does: by a
// taint, which the eviction controller acts on, and gives it back.
func (s *system) preempt(t *testing.T, name, job string) {
	t.Helper()
	if _, err := s.kubectl("taint", "node", name, "going=away:NoExecute"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "node "+name+" is empty of shards", func() bool {
		return !slices.ContainsFunc(s.pods(), func(p *corev1.Pod) bool {
			return p.Annotations[analysisjob.JobAnnotation] == job && p.Spec.NodeName == name && p.Status.Phase == corev1.PodRunning
		})
	})
	if _, err := s.kubectl("taint", "node", name, "going-"); err != nil {
		t.Fatal(err)
	}
}

// runs is a shard that runs until it is stopped.
func runs(ctx context.Context, _ *corev1.Pod) node.End {
	<-ctx.Done()
	return node.End{ExitCode: 143, Message: report(termination.Report{Subjects: 7, Succeeded: 7})}
}

func aCancelledJobStops(t *testing.T, s *system) {
	job := analysis("cancelled", 4)
	s.roles.play(job.Name, func(ctx context.Context, pod *corev1.Pod) node.End {
		if shard, _ := shardOf(pod); shard > 0 {
			return runs(ctx, pod)
		}
		return node.End{Message: report(termination.Report{Subjects: 5, Succeeded: 5})}
	})
	s.create(t, job)
	eventually(t, patience, "one shard is done", func() bool { return s.watch.job(job.Name).Status.Shards.Succeeded == 1 })
	s.patch(t, "ajob", job.Name, `{"spec":{"cancel":true}}`)
	got := s.becomes(t, job.Name, v1alpha1.StateCancelled)
	if diff := cmp.Diff(v1alpha1.SubjectCounts{Done: 5, Succeeded: 5}, got.Status.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	if _, err := s.kubectl("patch", "ajob", job.Name, "--type=merge", "-p", `{"spec":{"cancel":false}}`); err == nil {
		t.Error("cancel was taken back")
	}
}

func aDeadlineEndsAJob(t *testing.T, s *system) {
	job := analysis("too-slow", 2)
	job.Spec.Deadline = &v1alpha1.Deadline{CompleteWithin: &metav1.Duration{Duration: 5 * time.Second}}
	s.roles.play(job.Name, runs)
	s.create(t, job)
	got := s.becomes(t, job.Name, v1alpha1.StateFailed)
	if why := got.Status.Message; !strings.Contains(why, "5s") {
		t.Errorf("message %q does not name the deadline", why)
	}
}

func aJobThatDoesNotStartInTimeFails(t *testing.T, s *system) {
	job := analysis("never-admitted", 2)
	job.Spec.QueueName = "full"
	job.Spec.Deadline = &v1alpha1.Deadline{StartWithin: &metav1.Duration{Duration: 3 * time.Second}}
	s.create(t, job)
	got := s.becomes(t, job.Name, v1alpha1.StateFailed)
	if want := "no shard started within 3s of creation"; got.Status.Message != want {
		t.Errorf("message %q, want %q", got.Status.Message, want)
	}
}

func aQueueDecidesWhenAJobStarts(t *testing.T, s *system) {
	job := analysis("queued", 3)
	job.Spec.QueueName = "night"
	s.roles.play(job.Name, func(_ context.Context, _ *corev1.Pod) node.End {
		return node.End{Message: report(termination.Report{Subjects: 2, Succeeded: 2})}
	})
	s.create(t, job)
	s.becomes(t, job.Name, v1alpha1.StateQueued)
	child := s.child(t, job)
	if child.Spec.Suspend == nil || !*child.Spec.Suspend || child.Labels["kueue.x-k8s.io/queue-name"] != "night" {
		t.Fatalf("suspend %v, labels %v; want born suspended with the queue's label", child.Spec.Suspend, child.Labels)
	}
	s.workload(t, child)
	eventually(t, 30*time.Second, "the job says what its queue waits for", func() bool {
		return s.watch.job(job.Name).Status.Message == "no quota for cpu until morning"
	})
	s.patch(t, "job.batch", child.Name, `{"spec":{"suspend":false}}`) // what Kueue does to admit
	got := s.becomes(t, job.Name, v1alpha1.StateSucceeded)
	if diff := cmp.Diff(v1alpha1.SubjectCounts{Done: 6, Succeeded: 6}, got.Status.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
}

// child returns the one Job of an AnalysisJob.
func (s *system) child(t *testing.T, job *v1alpha1.AnalysisJob) *batchv1.Job {
	t.Helper()
	var child batchv1.Job
	eventually(t, 30*time.Second, "the Job of "+job.Name+" is on record", func() bool { return s.watch.job(job.Name).Status.Job != "" })
	if err := s.live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: s.watch.job(job.Name).Status.Job}, &child); err != nil {
		t.Fatal(err)
	}
	return &child
}

// An object that is deleted takes its Job and pods along, and nothing is made under it.
func aDeletedJobLeavesNothing(t *testing.T, s *system) {
	job := analysis("deleted", 3)
	s.roles.play(job.Name, runs)
	s.create(t, job)
	child := s.child(t, job)
	if _, err := s.kubectl("delete", "ajob", job.Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "Job and pods are gone", func() bool {
		output, err := s.kubectl("get", "jobs,pods", "-l", "batch.kubernetes.io/job-name="+child.Name, "-o", "name")
		if err != nil {
			t.Fatal(err)
		}
		left, err := s.kubectl("get", "job", child.Name, "--ignore-not-found", "-o", "name")
		if err != nil {
			t.Fatal(err)
		}
		return output == "" && left == ""
	})
}
