package why

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden with the answers given now")

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// ago is a time before now, e.g. ago("12m").
func ago(d string) metav1.Time {
	duration, err := time.ParseDuration(d)
	if err != nil {
		panic(err)
	}
	return metav1.NewTime(now.Add(-duration))
}

type conditions = []metav1.Condition

func is(kind string, status metav1.ConditionStatus, reason, since string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, LastTransitionTime: ago(since)}
}

// version is a survey of a version with the status, an hour old.
func version(status v1alpha1.ModelVersionStatus, change ...func(*survey.Survey)) *survey.Survey {
	if status.ObservedGeneration == 0 {
		status.ObservedGeneration = 2
	}
	s := &survey.Survey{Version: &v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Name: "pat-s-2", Namespace: "clarity", UID: "u", Generation: 2, CreationTimestamp: ago("1h")},
		Spec:       v1alpha1.ModelVersionSpec{Model: "pat-s", Version: "2", Serving: v1alpha1.Serving{Class: "gpu-l4"}},
		Status:     status,
	}}
	for _, c := range change {
		c(s)
	}
	return s
}

// job is a survey of a job with the status, an hour old, whose Job has ten shards.
func job(status v1alpha1.AnalysisJobStatus, change ...func(*survey.Survey)) *survey.Survey {
	if status.ObservedGeneration == 0 {
		status.ObservedGeneration = 1
	}
	s := &survey.Survey{Job: &v1alpha1.AnalysisJob{
		ObjectMeta: metav1.ObjectMeta{Name: "backfill", Namespace: "clarity", UID: "u", Generation: 1, CreationTimestamp: ago("1h")},
		Spec:       v1alpha1.AnalysisJobSpec{Shards: 10, QueueName: "nightly", Model: &v1alpha1.ModelReference{Name: "pat-s"}},
		Status:     status,
	}}
	for _, c := range change {
		c(s)
	}
	return s
}

func child(active, ready int32) func(*survey.Survey) {
	return func(s *survey.Survey) {
		s.Job.Status.Job = "backfill-1"
		s.Children = append(s.Children, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "backfill-1"}, Status: batchv1.JobStatus{Active: active, Ready: &ready}})
	}
}

func pod(name string, status corev1.PodStatus) func(*survey.Survey) {
	return func(s *survey.Survey) {
		s.Pods = append(s.Pods, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: ago("20m")},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}}, Status: status,
		})
	}
}

func unschedulable(since string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, LastTransitionTime: ago(since),
		Message: "0/8 nodes are available: 4 Insufficient nvidia.com/gpu, 4 node(s) didn't match Pod's node affinity/selector.",
	}}}
}

func waiting(reason string, restarts int32) corev1.PodStatus {
	c := corev1.ContainerStatus{Name: "main", RestartCount: restarts, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: reason, Message: "worker shard --subject=TOKEN-THAT-NOBODY-MAY-SEE",
	}}}
	if restarts > 0 {
		c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 139}
	}
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{c}}
}

func event(kind, name, reason, message, since string) func(*survey.Survey) {
	return func(s *survey.Survey) {
		s.Events = append(s.Events, corev1.Event{
			InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name, UID: types.UID(name)},
			Reason:         reason, Message: message, LastTimestamp: ago(since),
		})
	}
}

func workload(reason, message string) func(*survey.Survey) {
	return func(s *survey.Survey) {
		s.Workload = &unstructured.Unstructured{Object: map[string]any{"kind": "Workload", "status": map[string]any{"conditions": []any{
			map[string]any{"type": "QuotaReserved", "status": "False", "reason": reason, "message": message},
		}}}}
	}
}

func unread(why string) func(*survey.Survey) {
	return func(s *survey.Survey) { s.Unread = append(s.Unread, why) }
}

func deleted(since string, finalizers ...string) func(*survey.Survey) {
	return func(s *survey.Survey) {
		at := ago(since)
		s.Object().SetDeletionTimestamp(&at)
		s.Object().SetFinalizers(finalizers)
	}
}

func specWrittenAt(since string) func(*survey.Survey) {
	return func(s *survey.Survey) {
		at := ago(since)
		s.Object().SetManagedFields([]metav1.ManagedFieldsEntry{
			{Manager: "kubectl", Time: &at}, {Manager: "clarity", Subresource: "status", Time: &metav1.Time{Time: now}},
		})
	}
}

// answers are the cases, in the order of the golden file.
func answers() []struct {
	name   string
	survey *survey.Survey
} {
	type answer = struct {
		name   string
		survey *survey.Survey
	}
	const (
		yes = metav1.ConditionTrue
		no  = metav1.ConditionFalse
	)
	stage := func(stage v1alpha1.Stage, reason, message string, weight int32) v1alpha1.ModelVersionStatus {
		since := ago("12m")
		return v1alpha1.ModelVersionStatus{Stage: stage, Since: &since, Reason: reason, Message: message, Traffic: v1alpha1.TrafficStatus{Weight: weight},
			Serving:    v1alpha1.ServingStatus{Replicas: 2, Ready: 2, Loaded: 2, Summary: "2/2"},
			Conditions: conditions{is(v1alpha1.ConditionReady, no, reason, "40m")}}
	}
	state := func(state v1alpha1.State, message string, c ...metav1.Condition) v1alpha1.AnalysisJobStatus {
		return v1alpha1.AnalysisJobStatus{State: state, Message: message, Conditions: append(c, is(v1alpha1.ConditionAccepted, yes, "Accepted", "1h"))}
	}
	resolved := is(v1alpha1.ConditionModelResolved, yes, v1alpha1.ReasonResolved, "1h")
	unstarted := is(v1alpha1.ConditionStarted, no, v1alpha1.ReasonWaitingForShard, "59m")
	started := is(v1alpha1.ConditionStarted, yes, v1alpha1.ReasonShardStarted, "50m")
	queued := is(v1alpha1.ConditionQueued, yes, v1alpha1.ReasonWaitingForQueue, "3h")
	serving := stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "", 100)
	serving.Conditions = conditions{is(v1alpha1.ConditionReady, yes, v1alpha1.ReasonSucceeded, "10m")}
	promoted := ago("10m")
	serving.Rollout = &v1alpha1.RolloutStatus{Promoted: &promoted}
	retiring := *serving.DeepCopy()
	retiring.Message = "retires once another version is active"
	canary := stage(v1alpha1.StageCanary, v1alpha1.ReasonWaitingForSamples, "312 of 500 samples at 5 %", 5)
	step := ago("4m")
	canary.Rollout = &v1alpha1.RolloutStatus{Step: 1, StepStarted: &step}
	canary.Gates = []v1alpha1.GateStatus{{Name: "p99", Verdict: v1alpha1.VerdictPass, Value: "0.120", At: ago("20s")}, {Name: "drift", Verdict: v1alpha1.VerdictWait, At: ago("20s")}}
	crashed := stage(v1alpha1.StageRejected, v1alpha1.ReasonCrashLooping, "container \"triton\" ended 3 times with exit code 139", 0)
	crashed.LastFailure = &v1alpha1.Failure{Stage: v1alpha1.StageStarting, Reason: v1alpha1.ReasonCrashLooping, Message: "exit code 139", Pod: "pat-s-2-a", ExitCode: new(int32(139)), At: ago("12m")}
	stalled := stage(v1alpha1.StageCanary, v1alpha1.ReasonGateSourceUnavailable, "gate \"p99\" had no answer 5 times in a row: Prometheus does not answer", 5)
	stalled.Conditions = append(stalled.Conditions, is(v1alpha1.ConditionStalled, yes, v1alpha1.ReasonGateSourceUnavailable, "2m"))
	failed := state(v1alpha1.StateFailed, "3 of 10 shards failed; 0 may", is(v1alpha1.ConditionFailed, yes, v1alpha1.ReasonTooManyFailedShards, "5m"), resolved, started)
	failed.FailureSummary = []v1alpha1.FailureCount{{Reason: "ShardOOMKilled", Count: 3}}
	ended := ago("5m")
	failed.CompletionTime = &ended
	running := state(v1alpha1.StateRunning, "4 of 10 shards ended", resolved, started)
	running.ETA, running.Rate = "12m", "40/s"
	return []answer{
		{"a version nobody has looked at", version(v1alpha1.ModelVersionStatus{ObservedGeneration: -1}, func(s *survey.Survey) { s.Version.Status.ObservedGeneration = 0 })},
		{"a version created a moment ago", version(v1alpha1.ModelVersionStatus{}, func(s *survey.Survey) {
			s.Version.Status.ObservedGeneration, s.Version.CreationTimestamp = 0, ago("3s")
		})},
		{"a change that nobody has looked at for long", version(stage(v1alpha1.StageCanary, v1alpha1.ReasonPaused, "", 5), specWrittenAt("5m"), func(s *survey.Survey) { s.Version.Generation = 3 })},
		{"a version behind another", version(stage(v1alpha1.StagePending, v1alpha1.ReasonQueuedBehind, "queued behind version 3", 0))},
		{"an unknown serving class", version(stage(v1alpha1.StagePending, v1alpha1.ReasonUnknownServingClass, "", 0))},
		{"a gate that cannot be asked", version(stage(v1alpha1.StagePending, v1alpha1.ReasonGateInvalid, `check gate "sleep": the query has a {{ without its }}`, 0))},
		{"the wrong digest", version(stage(v1alpha1.StageRejected, v1alpha1.ReasonDigestMismatch, "the bundle has another digest than spec.artifact.digest.", 0))},
		{"no node has room, and it is early", version(stage(v1alpha1.StageStarting, v1alpha1.ReasonUnschedulable, "no node has room for a replica", 0), pod("pat-s-2-a", unschedulable("2m")))},
		{"no node has room, and one is coming", version(stage(v1alpha1.StageStarting, v1alpha1.ReasonUnschedulable, "", 0), pod("pat-s-2-a", unschedulable("11m")),
			event("Pod", "pat-s-2-a", "TriggeredScaleUp", "pod triggered scale-up: [{pool-l4 0->1 (max: 4)}]", "10m"))},
		{"no node has room, and no pool can grow", version(stage(v1alpha1.StageStarting, v1alpha1.ReasonUnschedulable, "", 0), pod("pat-s-2-a", unschedulable("2m")),
			event("Pod", "pat-s-2-a", "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached", "1m"))},
		{"no node has room for long", version(stage(v1alpha1.StageStarting, v1alpha1.ReasonUnschedulable, "", 0), pod("pat-s-2-a", unschedulable("14m")))},
		{"the image cannot be pulled", version(stage(v1alpha1.StageStarting, v1alpha1.ReasonProgressing, "waiting for a replica", 0), pod("pat-s-2-a", waiting("ImagePullBackOff", 0)))},
		{"the server crashes for now", version(stage(v1alpha1.StageStarting, v1alpha1.ReasonProgressing, "", 0), pod("pat-s-2-a", waiting("CrashLoopBackOff", 2)))},
		{"no pod may be created", version(stage(v1alpha1.StageStarting, v1alpha1.ReasonProgressing, "", 0),
			event("ReplicaSet", "pat-s-2-f00", "FailedCreate", "pods \"pat-s-2-f00-\" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1", "30s"))},
		{"a crash loop ended it", version(crashed)},
		{"the golden vectors failed", version(stage(v1alpha1.StageRejected, v1alpha1.ReasonValidationFailed, "37 of 40 cases passed; the largest error is 0.02, 0.001 may be", 0))},
		{"held", version(stage(v1alpha1.StageStandby, v1alpha1.ReasonHeld, "", 0))},
		{"paused in the canary", version(stage(v1alpha1.StageCanary, v1alpha1.ReasonPaused, "", 25))},
		{"waiting for samples", version(canary)},
		{"Prometheus is down", version(stalled)},
		{"a gate failed", version(stage(v1alpha1.StageRolledBack, v1alpha1.ReasonGateFailed, "gate \"p99\" was 0.41, above 0.250, 3 times in a row", 0))},
		{"active and well", version(serving)},
		{"active, and it retires", version(retiring)},
		{"active, and its server crashes", version(stage(v1alpha1.StageActive, v1alpha1.ReasonUnavailable, "no replica says that it is ready", 100), pod("pat-s-2-a", waiting("CrashLoopBackOff", 5)))},
		{"active, with nothing ready", version(stage(v1alpha1.StageActive, v1alpha1.ReasonUnavailable, "", 100), pod("pat-s-2-a", corev1.PodStatus{Phase: corev1.PodRunning}))},
		{"superseded", version(stage(v1alpha1.StageStandby, v1alpha1.ReasonSuperseded, "version 3 took its place", 0))},
		{"retired", version(stage(v1alpha1.StageRetired, v1alpha1.ReasonRetired, "", 0))},
		{"deleted a moment ago", version(stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "", 100), deleted("5s", "clarityloop.dev/traffic"))},
		{"deleted for long", version(stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "", 100), deleted("20m", "clarityloop.dev/traffic"))},
		{"a reason of a newer operator", version(stage(v1alpha1.StageStarting, "SolarFlare", "the sun is loud", 0))},

		{"a job in another namespace", job(state(v1alpha1.StatePending, "analyses run in namespace \"clarity\": create it there", is(v1alpha1.ConditionStalled, yes, v1alpha1.ReasonNamespaceNotServed, "9m")))},
		{"a job for a model that is not there", job(state(v1alpha1.StatePending, "there is no model \"pat-s\" yet", is(v1alpha1.ConditionModelResolved, no, v1alpha1.ReasonModelNotFound, "9m"), unstarted))},
		{"a job for a model without an active version", job(state(v1alpha1.StatePending, "no version of model \"pat-s\" is active yet", is(v1alpha1.ConditionModelResolved, no, v1alpha1.ReasonModelNotActive, "9m"), unstarted))},
		{"a job whose first shard is on its way", job(state(v1alpha1.StatePending, "waiting for the first shard to start", resolved, unstarted), child(10, 0))},
		{"a job for which no node has room", job(state(v1alpha1.StatePending, "no node has room for a shard", resolved, unstarted), child(10, 0), pod("backfill-1-0", unschedulable("3m")))},
		{"a job that may create no pod", job(state(v1alpha1.StatePending, "waiting for the first shard to start", resolved, unstarted), child(0, 0),
			event("Job", "backfill-1", "FailedCreate", "Error creating: pods \"backfill-1-0\" is forbidden: error looking up service account clarity/clarity-worker: serviceaccount \"clarity-worker\" not found", "10s"))},
		{"a job whose shards' configuration is missing", job(state(v1alpha1.StatePending, "no shard can start", resolved, unstarted, is(v1alpha1.ConditionStalled, yes, v1alpha1.ReasonShardCannotStart, "4m")), child(10, 0), pod("backfill-1-0", waiting("CreateContainerConfigError", 0)))},
		{"a job in a full queue", job(state(v1alpha1.StateQueued, "couldn't assign flavors to pod set main: insufficient unused quota for cpu", resolved, queued), child(0, 0), workload("Pending", "couldn't assign flavors to pod set main: insufficient unused quota for cpu"))},
		{"a job in a queue that there is not", job(state(v1alpha1.StateQueued, "", resolved, queued), child(0, 0), workload("Inadmissible", "LocalQueue nightly doesn't exist"))},
		{"a queued job without Kueue", job(state(v1alpha1.StateQueued, "waiting for queue \"nightly\"", resolved, queued), child(0, 0))},
		{"a queued job whose workload may not be read", job(state(v1alpha1.StateQueued, "waiting for queue \"nightly\"", resolved, queued), child(0, 0), unread("list workloads.kueue.x-k8s.io: not allowed"))},
		{"a suspended job", job(state(v1alpha1.StateSuspended, "suspended by spec.suspend", resolved, started, is(v1alpha1.ConditionSuspended, yes, v1alpha1.ReasonSuspendedBySpec, "30m")))},
		{"a running job", job(running, child(6, 6))},
		{"a running job whose shards all wait again", job(running, child(6, 0), pod("backfill-1-4", unschedulable("6m")))},
		{"a job that succeeded", job(state(v1alpha1.StateSucceeded, "all 10 shards succeeded", resolved, started, is(v1alpha1.ConditionSucceeded, yes, v1alpha1.ReasonCompleted, "5m")))},
		{"a job that failed", job(failed, child(0, 0), pod("backfill-1-3", corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}}}))},
		{"a job that was cancelled", job(state(v1alpha1.StateCancelled, "cancelled by spec.cancel", resolved, is(v1alpha1.ConditionFailed, yes, v1alpha1.ReasonCancelled, "5m")))},
		{"a job that missed its deadline", job(state(v1alpha1.StateFailed, "not finished within 6h0m0s of creation", resolved, started, is(v1alpha1.ConditionFailed, yes, v1alpha1.ReasonDeadlineExceeded, "5m")))},
		{"a job whose Job was deleted", job(state(v1alpha1.StateFailed, "Job \"backfill-1\" was deleted; there is never a second one: create a new AnalysisJob", resolved, started, is(v1alpha1.ConditionFailed, yes, v1alpha1.ReasonJobDeleted, "5m")))},
		{"a deleted job", job(running, deleted("3s", "foregroundDeletion"))},
	}
}

func TestAnswers(t *testing.T) {
	var b strings.Builder
	for _, tt := range answers() {
		a := Explain(tt.survey, now)
		fmt.Fprintf(&b, "# %s\n%s\n", tt.name, a.Sentence(now))
		for _, f := range a.Facts {
			fmt.Fprintf(&b, "  %s\n", f)
		}
		b.WriteString("\n")
	}
	golden(t, "why.golden", b.String())
	if strings.Contains(b.String(), "NOBODY-MAY-SEE") {
		t.Error("an answer quotes a container's command line")
	}
	if strings.Contains(b.String(), "{") && strings.Contains(b.String(), "{name}") {
		t.Error("an answer has a gap that nothing filled")
	}
}

// Every answer fits one line, names who acts, and says what to do where someone has to.
func TestAnAnswerIsOneSentence(t *testing.T) {
	for _, tt := range answers() {
		a := Explain(tt.survey, now)
		s := a.Sentence(now)
		if strings.ContainsAny(s, "\n\t") || !strings.HasSuffix(s, ".") || strings.HasSuffix(s, "..") {
			t.Errorf("%s: not one sentence: %q", tt.name, s)
		}
		if a.Who == "" || a.Who != Nobody && a.Do == "" {
			t.Errorf("%s: says %q acts, and to do %q", tt.name, a.Who, a.Do)
		}
		if a.Since == nil {
			t.Errorf("%s: does not say since when", tt.name)
		}
		for _, gap := range []string{"{name}", "{ns}", "{model}", "{class}", "{queue}", "{job}", "  "} {
			if strings.Contains(s, gap) {
				t.Errorf("%s: nothing filled %q: %q", tt.name, gap, s)
			}
		}
	}
}

func TestAnAnswerAsYAML(t *testing.T) {
	for _, tt := range answers() {
		if tt.name != "waiting for samples" {
			continue
		}
		data, err := yaml.Marshal(Explain(tt.survey, now))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "answer.golden", string(data))
		return
	}
	t.Fatal("no version waits for samples")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); `go test -update` rewrites it:\n%s", file, diff)
	}
}
