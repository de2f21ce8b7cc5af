package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/internal/kubelab/kube"
	"github.com/clarity-loop/clarity/internal/kubelab/node"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// patience is how long a step may take on a busy machine.
const patience = 4 * time.Minute

// read is the version as the API server said last.
func (l *lab) read(version string) *v1alpha1.ModelVersion {
	if mv := l.s.watch.version(l.model + "-" + version); mv != nil {
		return mv
	}
	return &v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: l.model + "-" + version}}
}

// reaches waits until the version's one word is stage.
func (l *lab) reaches(version string, stage v1alpha1.Stage) *v1alpha1.ModelVersion {
	l.t.Helper()
	return l.until(version, string(stage), func(mv *v1alpha1.ModelVersion) bool { return mv.Status.Stage == stage })
}

func (l *lab) until(version, what string, is func(*v1alpha1.ModelVersion) bool) *v1alpha1.ModelVersion {
	l.t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		mv := l.read(version)
		if is(mv) {
			return mv
		}
		if time.Now().After(limit) {
			status, _ := json.MarshalIndent(mv.Status, "", " ")
			l.t.Fatalf("model version %q is never %s; it went %v: %s", mv.Name, what, l.s.watch.went(mv.Name), status)
		}
	}
}

// serves wants one version to have all of the traffic, in the plan and of the requests.
func (l *lab) serves(version string) {
	l.t.Helper()
	eventually(l.t, patience, version+" of "+l.model+" has all of the traffic", func() bool {
		return l.s.watch.plan(l.model).Weight(version) == 100
	})
	before := l.answers(version)
	eventually(l.t, patience, version+" of "+l.model+" answers", func() bool { return l.answers(version) > before })
}

// says wants the row of `kubectl get mv` to begin like this: name, model, version, stage, weight, ready, reason.
func (l *lab) says(version, want string) {
	l.t.Helper()
	want = strings.ReplaceAll(want, "@", l.model)
	if got := l.s.line(l.t, "mv", l.model+"-"+version); !strings.HasPrefix(got, want) {
		l.t.Errorf("kubectl get mv says %q, want %q", got, want)
	}
}

// why wants `kubectl clarity why` to tell the reason in its first line.
func (l *lab) why(version string, reasons ...string) {
	l.t.Helper()
	mv := l.read(version)
	command := exec.Command(filepath.Join(l.s.bin, "kubectl-clarity"), "why", "mv/"+mv.Name, "--namespace="+namespace,
		"--kubeconfig="+kube.Kubeconfig(cluster.Started().Folder))
	output, err := command.CombinedOutput()
	if err != nil {
		l.t.Fatalf("kubectl clarity why: %v: %s", err, output)
	}
	l.t.Logf("kubectl clarity why: %s", output)
	for _, reason := range append(reasons, mv.Status.Message) {
		if !strings.Contains(string(output), reason) {
			l.t.Errorf("kubectl clarity why says %q and not %q", output, reason)
		}
	}
}

// first applies a first version and waits until it serves.
func (l *lab) first() {
	l.t.Helper()
	l.s.create(l.t, l.build("v1", 1))
	l.reaches("v1", v1alpha1.StageActive)
	l.serves("v1")
}

// kept is how every bad version must leave the good one: serving, as before.
func (l *lab) kept() {
	l.t.Helper()
	l.serves("v1")
	l.says("v1", "@-v1 @ v1 Active 100 2/2")
}

const rate = 10 // requests a second to each model of the scenarios

func aRollout(t *testing.T, s *system) {
	l := newLab(t, s, "rollout", rate)
	l.first()
	l.says("v1", "rollout-v1 rollout v1 Active 100 2/2")
	v2 := l.build("v2", good)
	v2.Spec.Rollout.KeepWarm = &metav1.Duration{Duration: 3 * time.Second}
	s.create(t, v2)
	l.reaches("v2", v1alpha1.StageActive)
	want := []v1alpha1.Stage{"Verifying", "Starting", "Validating", "Shadow", "Canary", "Active"}
	got := slices.DeleteFunc(s.watch.went("rollout-v2"), func(s v1alpha1.Stage) bool { return s == v1alpha1.StagePending })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	l.serves("v2")
	l.says("v2", "rollout-v2 rollout v2 Active 100 2/2")
	l.reaches("v1", v1alpha1.StageStandby)
	eventually(t, patience, "v1 is put away once it need not be warm", func() bool { return l.replicas("v1") == 0 })
	l.says("v1", "rollout-v1 rollout v1 Standby 0")
}

// replicas is how many servers the version's Deployment is to have; -1 where there is none.
func (l *lab) replicas(version string) int32 {
	l.t.Helper()
	var list appsv1.DeploymentList
	if err := l.s.live.List(l.t.Context(), &list, client.InNamespace(namespace),
		client.MatchingLabels{"clarityloop.dev/model": l.model, "clarityloop.dev/version": version}); err != nil {
		l.t.Fatal(err)
	}
	if len(list.Items) == 0 {
		return -1
	}
	return *list.Items[0].Spec.Replicas
}

// A bad version ends where docs/operations/modelversion.md says, with the reason in one line, and the good one serves on.
func aBadVersion(model string, stage v1alpha1.Stage, reason string, spoil func(*lab, *v1alpha1.ModelVersion)) func(*testing.T, *system) {
	return func(t *testing.T, s *system) {
		l := newLab(t, s, model, rate)
		l.first()
		v2 := l.build("v2", good)
		spoil(l, v2)
		s.create(t, v2)
		mv := l.reaches("v2", stage)
		if mv.Status.Reason != reason || mv.Status.Message == "" || mv.Status.LastFailure == nil || mv.Status.LastFailure.Reason != reason {
			t.Errorf("reason %s, message %q, last failure %+v; want %s", mv.Status.Reason, mv.Status.Message, mv.Status.LastFailure, reason)
		}
		row := regexp.MustCompile(fmt.Sprintf(`^%s %s v2 %s( 0)?( \d/\d)? %s `, mv.Name, model, stage, reason))
		if got := s.line(t, "mv", mv.Name); !row.MatchString(got) {
			t.Errorf("kubectl get mv says %q, want %v", got, row)
		}
		l.why("v2", reason)
		l.kept()
		if stage == v1alpha1.StageRejected && l.answers("v2") > 0 {
			t.Errorf("a rejected version answered %d requests", l.answers("v2"))
		}
		eventually(t, patience, "its servers are gone", func() bool { return l.replicas("v2") <= 0 })
	}
}

func badVersions() map[string]func(*testing.T, *system) {
	of := func(l *lab) *build { return l.builds["v2"] }
	return map[string]func(*testing.T, *system){
		"a version whose digest is wrong": aBadVersion("wrong-digest", v1alpha1.StageRejected, v1alpha1.ReasonDigestMismatch, func(_ *lab, v2 *v1alpha1.ModelVersion) {
			v2.Spec.Artifact.Digest = "sha256:" + strings.Repeat("0", 64)
		}),
		"a version whose server crashes": aBadVersion("crash-loop", v1alpha1.StageRejected, v1alpha1.ReasonCrashLooping, func(l *lab, _ *v1alpha1.ModelVersion) {
			of(l).crashes = true
		}),
		"a version that fails its golden vectors": aBadVersion("bad-golden", v1alpha1.StageRejected, v1alpha1.ReasonValidationFailed, func(l *lab, _ *v1alpha1.ModelVersion) {
			of(l).seed = 3 // the servers compute something else than the bundle says
		}),
		"a version that drifts in the shadow": aBadVersion("drifting", v1alpha1.StageRolledBack, v1alpha1.ReasonGateFailed, func(l *lab, v2 *v1alpha1.ModelVersion) {
			*v2 = *l.build("v2", 40) // it does what its bundle says, which is not what v1 does
		}),
		"a version that is slow under traffic": aBadVersion("slow", v1alpha1.StageRolledBack, v1alpha1.ReasonGateFailed, func(l *lab, _ *v1alpha1.ModelVersion) {
			go func() {
				for l.t.Context().Err() == nil && l.read("v2").Status.Stage != v1alpha1.StageCanary {
					time.Sleep(10 * time.Millisecond)
				}
				l.breaks("v2", tritontest.Faults{Delay: 2 * time.Second})
			}()
		}),
	}
}

func aRollbackByDelete(t *testing.T, s *system) {
	l := newLab(t, s, "deleted", rate)
	l.first()
	s.create(t, l.build("v2", good))
	l.reaches("v2", v1alpha1.StageActive)
	l.serves("v2")
	if _, err := s.kubectl("delete", "mv", "deleted-v2", "--wait=true", "--timeout=2m"); err != nil {
		t.Fatal(err)
	}
	l.serves("v1")
	l.says("v1", "deleted-v1 deleted v1 Active 100 2/2")
	eventually(t, patience, "the deleted version's servers are gone", func() bool { return l.replicas("v2") == -1 })
}

func aRollbackByAbort(t *testing.T, s *system) {
	l := newLab(t, s, "aborted", rate)
	l.first()
	v2 := l.build("v2", good)
	v2.Spec.Rollout.Steps[0].MinDuration = &metav1.Duration{Duration: time.Hour}
	s.create(t, v2)
	l.reaches("v2", v1alpha1.StageCanary)
	eventually(t, patience, "v2 answers", func() bool { return l.answers("v2") > 0 })
	s.patch(t, "mv", v2.Name, `{"spec":{"rollout":{"abort":true}}}`)
	mv := l.reaches("v2", v1alpha1.StageRolledBack)
	if mv.Status.Reason != v1alpha1.ReasonAborted {
		t.Errorf("reason %s, want %s", mv.Status.Reason, v1alpha1.ReasonAborted)
	}
	l.kept()
}

// v3 is applied while v2 is in its canary: v2 steps back at once, v3 goes its own way.
func aVersionInTheMiddleOfAnother(t *testing.T, s *system) {
	l := newLab(t, s, "overtaken", rate)
	l.first()
	v2 := l.build("v2", good)
	v2.Spec.Rollout.Steps[0].MinDuration = &metav1.Duration{Duration: time.Hour}
	s.create(t, v2)
	l.reaches("v2", v1alpha1.StageCanary)
	s.create(t, l.build("v3", good+0.0001))
	l.until("v2", "without traffic", func(mv *v1alpha1.ModelVersion) bool { return mv.Status.Traffic.Weight == 0 })
	l.reaches("v3", v1alpha1.StageActive)
	l.serves("v3")
	mv := l.reaches("v2", v1alpha1.StageStandby)
	if mv.Status.Reason != v1alpha1.ReasonSuperseded {
		t.Errorf("reason of v2 %s, want %s", mv.Status.Reason, v1alpha1.ReasonSuperseded)
	}
	l.reaches("v1", v1alpha1.StageStandby)
}

// An analysis that names a model is told once which version that is.
func anAnalysisWithAModel(t *testing.T, s *system) {
	l := newLab(t, s, "analysed", rate)
	job := analysis("with-model", 2)
	job.Spec.Model = &v1alpha1.ModelReference{Name: "analysed"}
	job.Spec.Analyses = append(job.Spec.Analyses, "model")
	told := make(chan []string, 2)
	s.roles.play(job.Name, func(_ context.Context, pod *corev1.Pod) node.End {
		told <- pod.Spec.Containers[0].Args
		return node.End{Message: report(termination.Report{Subjects: 1, Succeeded: 1})}
	})
	s.create(t, job)
	eventually(t, patience, "the job waits for the model", func() bool {
		return s.watch.job(job.Name).Status.Message == `there is no model "analysed" yet`
	})
	l.first()
	got := s.becomes(t, job.Name, v1alpha1.StateSucceeded)
	want := &v1alpha1.ResolvedModel{Name: "analysed", Version: "v1", Digest: l.builds["v1"].bundle.Digest}
	if diff := cmp.Diff(want, got.Status.Model); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
	if endpoint := l.read("v1").Status.Serving.Endpoint; !slices.Contains(<-told, "--model-endpoint="+endpoint) {
		t.Errorf("shards were not told the version's endpoint %s", endpoint)
	}
}
