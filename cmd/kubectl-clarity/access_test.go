package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

// everyCommand is a command line of each command that talks to the API server.
func everyCommand() map[string][]string {
	return map[string][]string{
		"tree": {"tree", "mv/pat-s-2"}, "why": {"why", "mv/pat-s-2"}, "why of a job": {"why", "ajob/backfill"},
		"traffic": {"traffic", "pat-s"}, "logs": {"logs", "mv/pat-s-2"}, "logs of a job": {"logs", "ajob/backfill"},
		"promote": {"promote", "mv/pat-s-2", "--yes"}, "pause": {"pause", "mv/pat-s-2"}, "resume": {"resume", "ajob/backfill"},
		"abort": {"abort", "mv/pat-s-2", "--yes"}, "rollback": {"rollback", "pat-s", "--yes"},
		"job create": {"job", "create", "--all", "--last-days=7", "--analyses=wear"},
	}
}

// aModel is an active version, a canary and a running job.
func (w *world) aModel() {
	w.create(MakeVersion("pat-s", "1").Stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "").Weight(95).Obj())
	w.create(MakeVersion("pat-s", "2").Stage(v1alpha1.StageCanary, v1alpha1.ReasonWaitingForSamples, "").Weight(5).Obj())
	w.create(planOf(w.t, traffic.Plan{Model: "pat-s", Revision: 3, Salt: "s", Entries: []traffic.Entry{entry("2", 5), entry("1", 95)}}))
	w.create(MakeJob("backfill", 2).State(v1alpha1.StateRunning, "0 of 2 shards ended").Child("backfill-1").Obj())
}

func TestAUserWithoutRightsIsToldWhichAreMissing(t *testing.T) {
	w := newWorld(t)
	w.aModel()
	w.kubeconfig = w.userConfig("nobody-" + w.namespace)
	for name, args := range everyCommand() {
		t.Run(name, func(t *testing.T) {
			w.at(t).refused(fault.NotAllowed, []string{"not allowed in namespace", "kubectl auth can-i"}, args...)
		})
	}
}

func TestAUserWhoMayOnlyReadTheObjectStillGetsAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.aModel()
	user := "reader-" + w.namespace
	w.allow(user, []string{"get", "list"}, "clarityloop.dev", "modelversions", "analysisjobs")
	w.kubeconfig = w.userConfig(user)
	if got := w.ok("why", "mv/pat-s-2", "--facts"); !strings.HasPrefix(got, "modelversion/pat-s-2 is Canary at 5 %: ") || !strings.Contains(got, "not read: list pods: not allowed") {
		t.Errorf("why: %s", got)
	}
	if got := w.ok("tree", "ajob/backfill"); !strings.Contains(got, "(not read)") || !strings.Contains(got, `get jobs "backfill-1": not allowed`) {
		t.Errorf("tree:\n%s", got)
	}
	w.refused(fault.NotAllowed, []string{"list pods: not allowed"}, "logs", "mv/pat-s-2")
	w.refused(fault.NotAllowed, []string{"get configmaps", "clarity-traffic-pat-s"}, "traffic", "pat-s")
	w.refused(fault.NotAllowed, []string{"patch modelversions", "kubectl auth can-i patch modelversions"}, "pause", "mv/pat-s-2")
	// Who may patch may roll back, though not read the operator's record.
	w.allow(user, []string{"patch"}, "clarityloop.dev", "modelversions")
	w.ok("rollback", "pat-s", "--yes")
	if !w.version("pat-s-2").Spec.Rollout.Abort {
		t.Error("not rolled back")
	}
}

func TestARefusedTokenIsSaidToBeRefused(t *testing.T) {
	w := newWorld(t)
	config, err := clientcmd.LoadFromFile(w.kubeconfig)
	w.must(err)
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: "expired"}
	}
	w.must(clientcmd.WriteToFile(*config, w.kubeconfig))
	w.refused(fault.NotAllowed, []string{"refuses the kubeconfig's credentials", "kubectl config view"}, "why", "mv/pat-s-2")
}

func TestWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{"why", "mv/none"}, {"tree", "ajob/none"}, {"pause", "ajob/none"}, {"logs", "mv/none"}, {"promote", "mv/none", "-y"}, {"traffic", "none"}} {
		w.refused(fault.NotFound, []string{`namespace "` + w.namespace + `"`, "next:  kubectl get"}, args...)
	}
}

func TestAskedWrongly(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{
		{"wy", "mv/x"}, {"why"}, {"why", "pod/x"}, {"why", "mv/"}, {"why", "mv/x", "y", "z"}, {"why", "mv/UPPER"}, {"why", "mv/x", "--fats"},
		{"promote", "ajob/x"}, {"rollback"}, {"rollback", "a", "b"}, {"tree", "mv/x", "-o", "xml"}, {"job", "destroy"}, {"completion", "tcsh"},
		{"pause", "mv/x", "--dry-run=client"}, {"logs", "mv/x", "--shard=1"}, {"logs", "ajob/x", "--component=server"},
	} {
		if o := w.run(args...); o.code != fault.Usage && o.code != fault.NotFound || o.err == "" || args[0] != "tree" && o.code != fault.Usage {
			t.Errorf("%v: exit %d\n%s", args, o.code, o.err)
		}
	}
}

func TestAClusterWithoutTheKinds(t *testing.T) {
	w := newWorld(t)
	bare, err := newEnvironment("")
	w.must(err)
	_, err = bare.Start()
	w.must(err)
	t.Cleanup(func() {
		if err := bare.Stop(); err != nil {
			t.Error(err)
		}
	})
	user, err := bare.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	w.must(err)
	data, err := user.KubeConfig()
	w.must(err)
	w.kubeconfig, w.namespace = filepath.Join(t.TempDir(), "bare"), "default"
	w.must(os.WriteFile(w.kubeconfig, data, 0o600))
	for name, args := range everyCommand() {
		t.Run(name, func(t *testing.T) {
			w.at(t).refused(fault.NotFound, []string{"does not serve this kind: Clarity Loop is not installed there", "kubectl get crds"}, args...)
		})
	}
}

func TestAKubeconfigThatLeadsNowhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	content := "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: a, context: {cluster: c}}]\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	w := &world{t: t, namespace: "default", now: time.Now()}
	tests := map[string]struct {
		kubeconfig string
		more       []string
		words      []string
	}{
		"no such file":          {file + ".none", nil, []string{"read kubeconfig", "no such file", "ls -l"}},
		"no such context":       {file, []string{"--context=b"}, []string{"read kubeconfig", `context "b" does not exist`, "kubectl config get-contexts"}},
		"nobody listens there":  {file, nil, []string{"cannot reach the API server at https://127.0.0.1:1", "connection refused", "kubectl cluster-info"}},
		"there is none at all":  {"", nil, []string{"read kubeconfig: there is none", "KUBECONFIG"}},
		"a file of another one": {"access_test.go", nil, []string{"read kubeconfig"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w.kubeconfig = tt.kubeconfig
			w.at(t).refused(fault.CouldNot, tt.words, append([]string{"why", "mv/x"}, tt.more...)...)
		})
	}
}

func TestAnInterruptedCommandSaysSo(t *testing.T) {
	w := newWorld(t)
	w.aModel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := w.runIn(ctx, "why", "mv/pat-s-2"); o.code != fault.CouldNot || o.err != "error: interrupted\n" {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

// The write holds only for what was shown: where someone else changed it in
// between so that something else would happen, nothing is written.
func TestNothingIsWrittenThatWasNotShown(t *testing.T) {
	w := newWorld(t)
	w.aModel()
	w.terminal = true
	change := func(name string, do func(*v1alpha1.ModelVersion)) {
		v := w.version(name)
		do(v)
		w.must(w.client.Status().Update(t.Context(), v))
	}
	answer := &lateAnswer{t: t, before: func() { // while the question stands, the candidate becomes active
		change("pat-s-2", func(v *v1alpha1.ModelVersion) { v.Status.Stage, v.Status.Traffic.Weight = v1alpha1.StageActive, 100 })
		change("pat-s-1", func(v *v1alpha1.ModelVersion) { v.Status.Stage, v.Status.Traffic.Weight = v1alpha1.StageStandby, 0 })
	}}
	o := w.runWith(answer, "abort", "mv/pat-s-2")
	if o.code != fault.CouldNot || !strings.Contains(o.err, "no other version of model") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	answer = &lateAnswer{t: t, before: func() { // only a number moved: what was shown still holds
		change("pat-s-2", func(v *v1alpha1.ModelVersion) { v.Status.Message = "moved" })
	}}
	if o := w.runWith(answer, "abort", "mv/pat-s-2", "--leave-unserved"); o.code != fault.Done || !w.version("pat-s-2").Spec.Rollout.Abort {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	// Deleted and applied again under the same name, it is another object.
	w.create(MakeVersion("pat-l", "1").Stage(v1alpha1.StageCanary, "", "").Obj())
	answer = &lateAnswer{t: t, before: func() {
		w.must(w.client.Delete(t.Context(), w.version("pat-l-1")))
		w.create(MakeVersion("pat-l", "1").Stage(v1alpha1.StageShadow, "", "").Obj())
	}}
	if o := w.runWith(answer, "promote", "mv/pat-l-1"); o.code != fault.Changed || !strings.Contains(o.err, "no longer what was shown") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	if got := w.version("pat-l-1").Spec.Rollout.Strategy; got != v1alpha1.StrategyCanary {
		t.Errorf("strategy %s was written", got)
	}
}

// lateAnswer says yes after something happened.
type lateAnswer struct {
	t      *testing.T
	before func()
	said   bool
}

func (a *lateAnswer) Read(p []byte) (int, error) {
	if a.said {
		return 0, os.ErrClosed
	}
	a.said = true
	a.before()
	return copy(p, "y\n"), nil
}

func TestWritesSurviveABusyOperator(t *testing.T) {
	w := newWorld(t)
	w.create(MakeJob("busy", 2).State(v1alpha1.StateRunning, "").Obj())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // writes the status as fast as it can
		defer close(done)
		for i := int64(1); ctx.Err() == nil; i++ {
			j := &v1alpha1.AnalysisJob{ObjectMeta: metav1.ObjectMeta{Name: "busy", Namespace: w.namespace}}
			patch := client.MergeFrom(j.DeepCopy())
			j.Status.Subjects.Done = i
			_ = w.client.Status().Patch(ctx, j, patch) // the last one is cut off
			time.Sleep(50 * time.Millisecond)
		}
	}()
	for range 5 {
		w.ok("pause", "ajob/busy")
		w.ok("resume", "ajob/busy")
	}
	w.ok("abort", "ajob/busy", "--yes")
	cancel()
	<-done
	if got := w.job("busy").Spec; got.Suspend || !got.Cancel {
		t.Errorf("suspend %v, cancel %v", got.Suspend, got.Cancel)
	}
}

// Deleted and created again while a patch is on its way, it is another object.
func TestAPatchIsForTheObjectThatWasRead(t *testing.T) {
	w := newWorld(t)
	w.create(MakeJob("again", 2).State(v1alpha1.StateRunning, "").Obj())
	cluster := w.connect()
	reads := 0
	_, _, err := cluster.Patch(t.Context(), kube.Target{Kind: kube.AnalysisJob, Name: "again"}, kube.Write{}, func(_ context.Context, now client.Object) (kube.Change, error) {
		if reads++; reads > 1 {
			return nil, fmt.Errorf("read again: %s", now.GetUID())
		}
		w.must(w.client.Delete(t.Context(), w.job("again")))
		w.create(MakeJob("again", 2).State(v1alpha1.StateRunning, "").Obj())
		return kube.Change{"suspend": true}, nil
	})
	if err == nil || !strings.Contains(err.Error(), string(w.job("again").UID)) || w.job("again").Spec.Suspend {
		t.Errorf("%v; the new object has suspend %v", err, w.job("again").Spec.Suspend)
	}
}
