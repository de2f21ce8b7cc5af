package modelversion

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving/probe"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

func TestARolloutFromTheFirstVersionToTheSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	one := w.create(MakeVersion("1").Obj())
	w.until("1 is active", w.in(one, v1alpha1.StageActive))
	if got := w.weights(); got != "1=100 " {
		t.Errorf("plan %q", got)
	}
	w.isQuiet()
	two := w.create(MakeVersion("2").Obj())
	var plans []string
	w.until("2 is active", func() bool {
		if got := w.weights(); len(plans) == 0 || plans[len(plans)-1] != got {
			plans = append(plans, got)
		}
		return w.in(two, v1alpha1.StageActive)()
	})
	if diff := cmp.Diff([]string{"1=100 ", "1=100 shadow 2=10 ", "2=5 1=95 ", "2=50 1=50 ", "2=100 "}, plans); diff != "" {
		t.Errorf("plans (-want +got):\n%s", diff)
	}
	w.isQuiet()
	if got := w.replicas(one); got != "1" {
		t.Errorf("the version before has %s replicas, want it warm", got)
	}
	w.clock.Step(time.Hour)
	w.settle()
	if got := w.replicas(one); got != "0" {
		t.Errorf("after keepWarm the version before has %s replicas, want 0", got)
	}
	w.kubelet()
	w.isQuiet()
	if diff := cmp.Diff("pat-1 Standby 0% 0/0 Superseded: version \"2\" took its place\npat-2 Active 100% 1/1 Succeeded: \n", w.table()); diff != "" {
		t.Errorf("kubectl get (-want +got):\n%s", diff)
	}
	w.seen.want(t, "pat Verifying→Starting true", "pat Canary→Active true", "pat Active→Standby true", "Latency Pass", "ShadowDrift Pass")
	w.eventsTell("Normal Canary 5 % of the traffic", "Normal Canary 50 % of the traffic", "Normal Active 100 % of the traffic")
}

// replicas of the version's Deployment; "none" where there is none.
func (w *world) replicas(mv *v1alpha1.ModelVersion) string {
	w.t.Helper()
	var d appsv1.Deployment
	err := w.live.Get(w.t.Context(), client.ObjectKey{Namespace: w.Name, Name: serving.Name(mv)}, &d)
	if apierrors.IsNotFound(err) || err == nil && d.DeletionTimestamp != nil {
		return "none"
	}
	w.must(err)
	return fmt.Sprint(replicasOf(&d))
}

func (s *sightings) want(t *testing.T, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		if !slices.Contains(s.lines, line) {
			t.Errorf("the observer is not told %q: %q", line, s.lines)
		}
	}
}

// eventsTell looks for events, and for secrets in all of them.
func (w *world) eventsTell(want ...string) {
	w.t.Helper()
	var seen []string
	for len(w.events.Events) > 0 {
		seen = append(seen, <-w.events.Events)
	}
	for _, line := range want {
		if !slices.ContainsFunc(seen, func(s string) bool { return strings.Contains(s, line) }) {
			w.t.Errorf("no event tells %q: %q", line, seen)
		}
	}
}

// Every way in which a second version is bad ends where it should, with the
// reason in one line, and the first one serves throughout.
func TestABadSecondVersionNeverTakesOver(t *testing.T) {
	t.Parallel()
	fail := func(name string) func(*world) {
		return func(w *world) {
			w.stage.answer(name, gate.Answer{Verdict: v1alpha1.VerdictFail, Value: "0.9", Message: "it is 0.9, beyond max 0.25"})
		}
	}
	bad := func(a actor) func(*world) { return func(w *world) { w.stage.play("2", a) } }
	tests := map[string]struct {
		version *versionWrapper
		from    v1alpha1.Stage // where the trouble begins; from birth if empty
		trouble func(*world)
		want    string // the line of kubectl get
		failure string // stage, pod and exit code
	}{
		"the bundle has another digest": {
			MakeVersion("2"), "", bad(actor{verify: testenv.Exit{Code: 65, Message: `{"reason":"DigestMismatch","message":"the bundle has digest sha256:1"}`}}),
			"Rejected 0% DigestMismatch: the bundle has digest sha256:1", "Verifying pod exit 65",
		},
		"the golden set has another digest": {
			MakeVersion("2"), "", bad(actor{verify: testenv.Exit{Code: 65, Message: `{"reason":"GoldenSetMismatch","message":"the golden set has digest sha256:1"}`}}),
			"Rejected 0% GoldenSetMismatch: the golden set has digest sha256:1", "Verifying pod exit 65",
		},
		"the check rejects its input and says no more": {
			MakeVersion("2"), "", bad(actor{verify: testenv.Exit{Code: 65, Message: `password=hunter2`}}),
			"Rejected 0% VerificationFailed: the verify Job rejected its input and gave no reason", "Verifying pod exit 65",
		},
		"workers cannot feed it": {
			MakeVersion("2").Preprocessing("other/1"), "", nil,
			`Rejected 0% ContractUnsupported: workers do not know preprocessing "other/1"`, "Pending",
		},
		"its server crashes": {
			MakeVersion("2"), "", bad(actor{server: "crash"}),
			"Rejected 0% CrashLooping: container \"triton\" of pod \"POD\" ended 3 times, last with exit code 137 (OOMKilled)", "Starting pod exit 137",
		},
		"the bundle that is fetched is another one": {
			MakeVersion("2"), "", bad(actor{server: "badFetch"}),
			"Rejected 0% DigestMismatch: the bundle has another digest", "Starting pod exit 65",
		},
		"no node has room": {
			MakeVersion("2"), "", bad(actor{server: "pending"}),
			"Rejected 0% StartDeadlineExceeded: not ready within 15m0s: no node has room for a server", "Starting",
		},
		"its image cannot be pulled": {
			MakeVersion("2"), "", bad(actor{server: "noImage"}),
			"Rejected 0% StartDeadlineExceeded: not ready within 15m0s: pod \"POD\" says ImagePullBackOff", "Starting",
		},
		"it fails its golden vectors": {
			MakeVersion("2"), "", bad(actor{validate: testenv.Exit{Code: 65, Message: `{"cases":5,"passed":3,"maxError":"0.2","reason":"ValidationFailed","message":"2 of 5 cases are beyond the tolerance"}`}}),
			"Rejected 0% ValidationFailed: 2 of 5 cases are beyond the tolerance", "Validating pod exit 65",
		},
		"it drifts in the shadow": {
			MakeVersion("2"), v1alpha1.StageShadow, fail("drift"),
			`RolledBack 0% GateFailed: gate "drift" in the shadow: it is 0.9, beyond max 0.25`, "Shadow",
		},
		"it is slow at its first step": {
			MakeVersion("2"), v1alpha1.StageCanary, fail("p99"),
			`RolledBack 0% GateFailed: gate "p99" at step 1 of 2, 5 % of the traffic: it is 0.9, beyond max 0.25`, "Canary",
		},
		"it crashes at its first step": {
			MakeVersion("2"), v1alpha1.StageCanary, bad(actor{server: "crash"}),
			"RolledBack 0% CrashLooping: container \"triton\" of pod \"POD\" ended 3 times, last with exit code 137 (OOMKilled)", "Canary pod exit 137",
		},
		"it is not ready any more in the shadow": {
			MakeVersion("2"), v1alpha1.StageShadow, bad(actor{server: "unready"}),
			"RolledBack 0% Unavailable: no replica says that it is ready", "Shadow",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.watchAll()
			one := w.active(MakeVersion("1").Obj())
			if tt.from == "" && tt.trouble != nil {
				tt.trouble(w)
			}
			two := w.create(tt.version.Obj())
			if tt.from != "" {
				w.until("2 has come to "+string(tt.from), w.in(two, tt.from))
				tt.trouble(w)
			}
			w.untilEvery(20*time.Second, "2 has ended", func() bool {
				s := w.read(two).Status.Stage
				return s == v1alpha1.StageRejected || s == v1alpha1.StageRolledBack
			})
			w.untilEvery(10*time.Second, "nothing of 2 is left", func() bool { return w.replicas(two) == "none" && !w.jobsRun() })
			got := w.read(two)
			s := got.Status
			line := fmt.Sprintf("%s %d%% %s: %s", s.Stage, s.Traffic.Weight, s.Reason, s.Message)
			if diff := cmp.Diff(tt.want, strings.ReplaceAll(line, serving.Name(two)+"-0", "POD")); diff != "" {
				t.Errorf("kubectl get (-want +got):\n%s", diff)
			}
			failure := string(s.LastFailure.Stage)
			if s.LastFailure.Pod != "" {
				failure += fmt.Sprintf(" pod exit %d", *s.LastFailure.ExitCode)
			}
			if failure != tt.failure {
				t.Errorf("last failure %q, want %q", failure, tt.failure)
			}
			if got := w.weights(); got != "1=100 " || w.read(one).Status.Stage != v1alpha1.StageActive {
				t.Errorf("the first version does not serve: %q\n%s", got, w.table())
			}
			if len(got.Finalizers) > 0 {
				t.Errorf("a version that ended is held by %q", got.Finalizers)
			}
			w.isQuiet()
			w.start(-1, false)
			w.isQuiet()
			w.remove(two, metav1.DeletePropagationForeground)
			w.must(client.IgnoreNotFound(w.live.Get(t.Context(), client.ObjectKeyFromObject(two), two)))
		})
	}
}

// A server that does not answer for a moment ends nothing, but is given nothing
// meanwhile; one that goes on so is out.
func TestASilentServerIsGivenAnotherChance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	w.active(MakeVersion("1").Obj())
	two := w.create(MakeVersion("2").Obj())
	w.until("2 is in the shadow", w.in(two, v1alpha1.StageShadow))
	w.settle()
	interval := w.operator.config.ProbeInterval.Duration
	look := func(line, weights string) {
		t.Helper()
		w.clock.Step(interval)
		w.settle()
		s := w.read(two).Status
		if got := fmt.Sprintf("%s %s %s: %s", s.Stage, s.Serving.Summary, s.Reason, s.Message); got != line || w.weights() != weights {
			t.Fatalf("%s, plan %q\nwant %s, plan %q", got, w.weights(), line, weights)
		}
	}
	w.stage.play("2", actor{server: "silent"})
	w.clock.Step(30*time.Second - interval) // its gates pass at the next look
	const asked = "Shadow 1/1 Progressing: whether it is ready still will be asked again"
	look(asked, "1=100 shadow 2=10 ")
	look(asked, "1=100 shadow 2=10 ")
	w.stage.play("2", actor{})
	w.until("2 has its first step", w.in(two, v1alpha1.StageCanary))
	w.settle()
	w.stage.play("2", actor{server: "silent"})
	for range probe.MaxSilences - 1 {
		look("Canary 1/1 Progressing: being observed at step 1 of 2, 5 % of the traffic", "2=5 1=95 ")
	}
	look("RolledBack 0/1 Unavailable: no replica says that it is ready", "1=100 ")
}

// Prometheus is down: nobody goes on, a condition tells after a while, and it heals by itself.
func TestWhileTheGatesSourceIsDownNothingIsPromoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	w.active(MakeVersion("1").Obj())
	two := w.create(MakeVersion("2").Obj())
	w.until("2 is in the shadow", w.in(two, v1alpha1.StageShadow))
	w.stage.answer("p99", gate.Answer{Verdict: v1alpha1.VerdictError, Message: "Prometheus does not answer"})
	for look := range 4 {
		w.clock.Step(30 * time.Second)
		w.settle()
		if got := w.read(two).Status; got.Rollout.SourceErrors != int32(look+1) || isTrue(w.read(two), v1alpha1.ConditionStalled) {
			t.Fatalf("look %d: %s", look+1, testenv.JSON(got))
		}
		w.start(-1, false) // it is counted in status
		w.settle()
	}
	w.clock.Step(30 * time.Second)
	w.settle()
	got := w.read(two)
	want := `gate "p99" in the shadow: Prometheus does not answer`
	if got.Status.Stage != v1alpha1.StageShadow || got.Status.Reason != v1alpha1.ReasonGateSourceUnavailable || got.Status.Message != want {
		t.Errorf("after 5 looks: %s %s %s", got.Status.Stage, got.Status.Reason, got.Status.Message)
	}
	if !isTrue(got, v1alpha1.ConditionStalled) || w.weights() != "1=100 shadow 2=10 " {
		t.Errorf("after 5 looks: plan %q, %s", w.weights(), testenv.JSON(got.Status.Conditions))
	}
	w.isQuiet()
	w.stage.answer("p99", gate.Answer{Verdict: v1alpha1.VerdictPass, Value: "0.1"})
	w.until("2 is active", w.in(two, v1alpha1.StageActive))
	if n := w.read(two).Status.Rollout.SourceErrors; n != 0 || w.read(two).Status.LastFailure != nil {
		t.Errorf("healed, %d errors and a failure %v are kept", n, w.read(two).Status.LastFailure)
	}
}

func TestAGateMayFailAsOftenAsItsLimitSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	w.active(MakeVersion("1").Obj())
	two := w.create(MakeVersion("2").Rollout(func(r *v1alpha1.Rollout) { r.Gates[0].FailureLimit = 2 }).Obj())
	w.until("2 is in the shadow", w.in(two, v1alpha1.StageShadow))
	look := func(verdict v1alpha1.Verdict, failures int32) {
		t.Helper()
		w.stage.answer("p99", gate.Answer{Verdict: verdict, Value: "0.9", Message: "it is 0.9"})
		w.clock.Step(30 * time.Second)
		w.settle()
		w.start(-1, false) // what was counted is counted
		w.settle()
		if got := w.read(two).Status.Gates[0]; got.Failures != failures || got.Verdict != verdict {
			t.Errorf("after %s: %+v", verdict, got)
		}
	}
	w.stage.samples(true, false) // it does not go on meanwhile
	look(v1alpha1.VerdictFail, 1)
	look(v1alpha1.VerdictFail, 2)
	look(v1alpha1.VerdictPass, 0)
	look(v1alpha1.VerdictFail, 1)
	look(v1alpha1.VerdictWait, 1)
	look(v1alpha1.VerdictError, 1)
	look(v1alpha1.VerdictFail, 2)
	if got := w.read(two).Status; got.Stage != v1alpha1.StageShadow {
		t.Fatalf("two failures of two tolerated ended it: %s", testenv.JSON(got))
	}
	look(v1alpha1.VerdictFail, 3)
	if got := w.read(two).Status; got.Stage != v1alpha1.StageRolledBack || got.Reason != v1alpha1.ReasonGateFailed {
		t.Errorf("three failures of two tolerated: %s %s", got.Stage, got.Reason)
	}
}
