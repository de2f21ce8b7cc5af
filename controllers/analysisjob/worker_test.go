package analysisjob

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
)

// What the operator writes of a job is what a shard's worker reads of it.
func TestTheWorkerReadsWhatAShardIsTold(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1", 64)
	artifact := worker.Artifact{URI: "gs://models/pat-s", Digest: digestOfOnes}
	tests := map[string]struct {
		change func(*v1alpha1.AnalysisJobSpec)
		model  bool
		want   worker.ShardArgs // but for what every job says
	}{
		"everyone": {func(*v1alpha1.AnalysisJobSpec) {}, false, worker.ShardArgs{All: true}},
		"everyone, replaced": {func(s *v1alpha1.AnalysisJobSpec) { s.OnExisting = v1alpha1.OnExistingReplace }, false,
			worker.ShardArgs{All: true, Replace: true}},
		"one person": {func(s *v1alpha1.AnalysisJobSpec) { s.Subjects = v1alpha1.Subjects{Subject: "pseudonym"} }, false,
			worker.ShardArgs{Subject: "pseudonym"}},
		"a manifest": {func(s *v1alpha1.AnalysisJobSpec) {
			s.Subjects = v1alpha1.Subjects{Manifest: &v1alpha1.Artifact{URI: "gs://cohorts/november", Digest: digest}}
		}, false, worker.ShardArgs{Manifest: worker.Artifact{URI: "gs://cohorts/november", Digest: digest}}},
		"a model that is served": {func(*v1alpha1.AnalysisJobSpec) {}, true, worker.ShardArgs{All: true,
			Model: &worker.ShardModel{Name: "pat-s", Version: "1", Artifact: artifact, Endpoint: "pat-s-1.clarity.svc:8001"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			job := withWindow(MakeJob("x").Shards(7).Obj())
			job.UID = "a-uid"
			tt.change(&job.Spec)
			r, p := &Reconciler{config: Config{ModelServer: true}}, newPass(job, time.Now())
			if tt.model {
				p.model = MakeVersion("pat-s", "1").Endpoint("pat-s-1.clarity.svc:8001").Obj()
			}
			want := tt.want
			want.Run, want.Shards, want.Start, want.End = "a-uid", 7, job.Status.Window.Start, job.Status.Window.End
			for _, a := range job.Spec.Analyses {
				want.Analyses = append(want.Analyses, string(a))
			}
			line := r.shardArgs(p)
			got, err := worker.ParseShardArgs(line[1:], io.Discard)
			if diff := cmp.Diff(want, got); err != nil || line[0] != worker.Shard || diff != "" {
				t.Errorf("%q: %v (-written +read):\n%s", line, err, diff)
			}
		})
	}
}

// A pod has in its environment what its worker asks for.
func TestAShardsEnvironmentIsWhatTheWorkerReads(t *testing.T) {
	env := map[string]string{worker.EnvCompletionIndex: "3"} // the Job controller's
	for i, e := range shardEnv() {
		env[e.Name] = []string{"a-uid", "2", "5"}[i]
	}
	got, err := worker.ParseShardPod(func(name string) string { return env[name] })
	if want := (worker.ShardPod{Index: 3, Attempt: 7, UID: "a-uid"}); err != nil || got != want {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
}

func TestWhatAnExitCodeMeansForTheJob(t *testing.T) {
	got := map[int32]batchv1.PodFailurePolicyAction{}
	for _, rule := range podFailurePolicy().Rules {
		if rule.OnExitCodes == nil {
			continue
		}
		if on := rule.OnExitCodes; *on.ContainerName != ContainerName || on.Operator != batchv1.PodFailurePolicyOnExitCodesOpIn {
			t.Errorf("rule %+v is about something else", on)
		}
		for _, code := range rule.OnExitCodes.Values {
			got[code] = rule.Action
		}
	}
	want := map[int32]batchv1.PodFailurePolicyAction{
		worker.ExitInvalidInput:  batchv1.PodFailurePolicyActionFailIndex,
		worker.ExitConfiguration: batchv1.PodFailurePolicyActionFailJob,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions by exit code (-want +got):\n%s", diff)
	}
}

func TestAWorkerThatIsConfiguredWronglyEndsTheJob(t *testing.T) {
	job := MakeJob("x").Shards(200).Retry(20, 100).Obj()
	p := newPass(job, time.Now())
	p.child = &batchv1.Job{}
	p.endAs(&batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonPodFailurePolicy})
	if p.end.succeeded || p.end.why.Reason != v1alpha1.ReasonWorkerMisconfigured || !strings.Contains(p.end.why.Message, "78") {
		t.Errorf("ends with %+v", p.end)
	}
	pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: ContainerName,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: worker.ExitConfiguration, Reason: "Error"}}}}}}
	if got := failureOf(pod); got != "InvalidConfiguration" {
		t.Errorf("its shard failed for %q", got)
	}
}
