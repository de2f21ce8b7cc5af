package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// labelsOf are what the operator puts on a version's children.
func labelsOf(v *v1alpha1.ModelVersion, component string) map[string]string {
	return map[string]string{"app.kubernetes.io/managed-by": "clarity", "clarityloop.dev/component": component,
		"clarityloop.dev/model": v.Spec.Model, "clarityloop.dev/version": v.Spec.Version}
}

func owned(name string, labels map[string]string, owner client.Object, kind string) metav1.ObjectMeta {
	apiVersion := map[string]string{"ModelVersion": "clarityloop.dev/v1alpha1", "AnalysisJob": "clarityloop.dev/v1alpha1",
		"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "Job": "batch/v1"}[kind]
	return metav1.ObjectMeta{Name: name, Labels: labels, OwnerReferences: []metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true)}}}
}

func template(labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "triton", Image: "none"}}}}
}

// serve gives a version its Deployment, ReplicaSet and one pod with the status.
func (w *world) serve(v *v1alpha1.ModelVersion, node string, status corev1.PodStatus) {
	labels := labelsOf(v, "server")
	selector := &metav1.LabelSelector{MatchLabels: labels}
	hash := sha256.Sum256([]byte(v.UID)) // servers have a label and no owner
	labels["app.kubernetes.io/instance"] = v.Name + "-" + hex.EncodeToString(hash[:5])
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: v.Name + "-d", Labels: labels},
		Spec:   appsv1.DeploymentSpec{Selector: selector, Template: template(labels)},
		Status: appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1}}
	w.create(d)
	set := &appsv1.ReplicaSet{ObjectMeta: owned(v.Name+"-r", labels, d, "Deployment"),
		Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template(labels)}, Status: appsv1.ReplicaSetStatus{Replicas: 1}}
	w.create(set)
	pod := &corev1.Pod{ObjectMeta: owned(v.Name+"-p", labels, set, "ReplicaSet"), Spec: template(labels).Spec, Status: status}
	pod.Spec.InitContainers = []corev1.Container{{Name: "fetch", Image: "none"}}
	pod.Spec.NodeName = node
	w.create(pod)
}

// shards gives a job its Job and a pod a shard, in the phases given.
func (w *world) shards(j *v1alpha1.AnalysisJob, node string, phases ...corev1.PodPhase) {
	n := int32(len(phases)) //nolint:gosec // a few
	batch := &batchv1.Job{ObjectMeta: owned(j.Name+"-1", map[string]string{"clarityloop.dev/component": "shard"}, j, "AnalysisJob"),
		Spec: batchv1.JobSpec{CompletionMode: new(batchv1.IndexedCompletion), Completions: &n, Parallelism: &n, Template: template(nil), Suspend: new(true)}}
	batch.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	w.create(batch)
	for i, phase := range phases {
		index := string(rune('0' + i))
		labels := map[string]string{batchv1.ControllerUidLabel: string(batch.UID), batchv1.JobCompletionIndexAnnotation: index}
		pod := &corev1.Pod{ObjectMeta: owned(batch.Name+"-"+index, labels, batch, "Job"), Spec: template(nil).Spec, Status: corev1.PodStatus{Phase: phase}}
		pod.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: index}
		pod.Spec.Containers[0].Name = "shard"
		pod.Spec.NodeName = node
		w.create(pod)
	}
}

func noRoom(since time.Time) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
		Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", LastTransitionTime: metav1.NewTime(since)}}}
}

// starting is a version that no node has room for, three minutes from now.
func (w *world) starting() *v1alpha1.ModelVersion {
	v := MakeVersion("pat-s", "2").Stage(v1alpha1.StageStarting, v1alpha1.ReasonUnschedulable, "no node has room").Since(w.now).Obj()
	w.create(v)
	w.serve(v, "", noRoom(w.now))
	w.now = w.now.Add(3 * time.Minute)
	return v
}

func TestTreeShowsWhatIsOwned(t *testing.T) {
	w := newWorld(t)
	v := w.starting()
	stranger := MakeVersion("pat-s", "2").Obj() // an older object of the same version, whose pod is still going
	stranger.Name, stranger.UID = "gone", "gone"
	w.create(&corev1.Pod{ObjectMeta: owned("leftover", labelsOf(v, "verify"), stranger, "ModelVersion"), Spec: template(nil).Spec})
	old := labelsOf(v, "server")
	old["app.kubernetes.io/instance"] = "pat-s-2-0000000000"
	w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "older-server", Labels: old}, Spec: template(nil).Spec})
	const want = `NAME STATE READY AGE NODE REASON
modelversion/pat-s-2 Starting - AGE - Unschedulable
└─deployment/pat-s-2-d Rolling 0/1 AGE - -
└─replicaset/pat-s-2-r - 0/1 AGE - -
└─pod/pat-s-2-p Pending 0/1 AGE - Unschedulable
`
	if diff := cmp.Diff(want, words(w.ok("tree", "mv/pat-s-2"))); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	for _, names := range [][]string{{"modelversion/pat-s-2"}, {"mv", "pat-s-2"}, {"modelversions.clarityloop.dev/pat-s-2"}} {
		if other := w.ok(append([]string{"tree"}, names...)...); !strings.Contains(other, "pod/pat-s-2-p") {
			t.Errorf("tree %v:\n%s", names, other)
		}
	}
	if out := w.ok("tree", "mv/pat-s-2", "-o", "json"); !strings.Contains(out, `"object": "replicaset/pat-s-2-r"`) {
		t.Errorf("as json:\n%s", out)
	}
}

// words is a table without its spaces and its ages.
func words(table string) string {
	table = regexp.MustCompile(`\b[0-9]+m([0-9]+s)?\b|\b[0-9]+s\b`).ReplaceAllString(table, "AGE")
	var b strings.Builder
	for _, line := range lines(table) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

func TestWhyReadsPodsAndEvents(t *testing.T) {
	w := newWorld(t)
	w.starting()
	var pod corev1.Pod
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "pat-s-2-p"}, &pod))
	before := w.ok("why", "mv/pat-s-2")
	if want := `modelversion/pat-s-2 has been Starting for 3m: pod "pat-s-2-p": 0/1 nodes are available: 1 Insufficient nvidia.com/gpu (Unschedulable); the cluster autoscaler acts`; !strings.HasPrefix(before, want) {
		t.Errorf("why: %s\nwant %s…", before, want)
	}
	w.create(&corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Reason: "NotTriggerScaleUp", Message: "pod didn't trigger scale-up",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: w.namespace, UID: pod.UID}, LastTimestamp: metav1.NewTime(w.now)})
	after := w.ok("why", "mv/pat-s-2", "--facts")
	if !strings.Contains(after, "a platform engineer can fix it: no node pool can grow") || !strings.Contains(after, "\n  event 0s ago on pod/pat-s-2-p: NotTriggerScaleUp") {
		t.Errorf("with the autoscaler's event: %s", after)
	}
	var answer struct{ Who, Reason string }
	w.must(yaml.Unmarshal([]byte(w.ok("why", "mv/pat-s-2", "-o", "yaml")), &answer))
	if answer.Who != "platform engineer" || answer.Reason != "Unschedulable" {
		t.Errorf("as yaml: %+v", answer)
	}
}

func TestWhyOfAJobReadsItsWaitingPods(t *testing.T) {
	w := newWorld(t)
	j := MakeJob("backfill", 3).State(v1alpha1.StatePending, "waiting for the first shard to start").Child("backfill-1").
		Condition(v1alpha1.ConditionModelResolved, metav1.ConditionTrue, v1alpha1.ReasonNoModel, w.now).
		Condition(v1alpha1.ConditionStarted, metav1.ConditionFalse, v1alpha1.ReasonWaitingForShard, w.now).Obj()
	w.create(j)
	w.shards(j, "", corev1.PodSucceeded, corev1.PodPending, corev1.PodPending)
	var pod corev1.Pod
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "backfill-1-2"}, &pod))
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "shard", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
	w.must(w.client.Status().Update(t.Context(), &pod))
	if got := w.ok("why", "analysisjob/backfill"); !strings.Contains(got, `pod "backfill-1-2": the image cannot be pulled (ImagePullBackOff); a platform engineer can fix it`) {
		t.Errorf("why: %s", got)
	}
	tree := w.ok("tree", "ajob/backfill")
	if first := strings.Index(tree, "backfill-1-2"); first < 0 || first > strings.Index(tree, "backfill-1-0") {
		t.Errorf("the pod that is not well is not first:\n%s", tree)
	}
}

func TestTraffic(t *testing.T) {
	w := newWorld(t)
	w.create(MakeVersion("pat-s", "1").Stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "").Weight(95).Serving(2, 2, "2/2").Obj())
	w.create(MakeVersion("pat-s", "2").Stage(v1alpha1.StageCanary, v1alpha1.ReasonWaitingForSamples, "").Weight(5).Serving(1, 1, "1/1").Obj())
	w.create(MakeVersion("pat-s", "0").Stage(v1alpha1.StageStandby, v1alpha1.ReasonSuperseded, "").Obj())
	w.refused(fault.NotFound, []string{"no plan yet", "kubectl clarity why mv/"}, "traffic", "pat-s")
	w.create(planOf(t, traffic.Plan{Model: "pat-s", Revision: 7, Salt: "s", Entries: []traffic.Entry{entry("2", 5), entry("1", 95)},
		Shadow: &traffic.Shadow{Version: "3", Percent: 10, Endpoint: "three:8001", Digest: digestOfOnes}}))
	want := `model pat-s, plan revision 7
VERSION   SHARE            STAGE     READY   REASON              ENDPOINT
2         5 %              Canary    1/1     WaitingForSamples   v2.clarity.svc:8001
1         95 %             Active    2/2     Succeeded           v1.clarity.svc:8001
3         copies of 10 %   -         -       -                   three:8001
0         none             Standby   -       Superseded          -
`
	for _, arg := range []string{"pat-s", "mv/pat-s-1"} {
		if diff := cmp.Diff(want, w.ok("traffic", arg)); diff != "" {
			t.Errorf("traffic %s (-want +got):\n%s", arg, diff)
		}
	}
	plan, err := traffic.ParsePlan([]byte(w.ok("traffic", "pat-s", "-o", "json"))) // what is printed is the plan itself
	if err != nil || plan.Revision != 7 || plan.Weight("1") != 95 || plan.Shadow.Percent != 10 {
		t.Errorf("as json: %+v, %v", plan, err)
	}
	w.refused(fault.NotFound, []string{`namespace "` + w.namespace + `" has no version of it`}, "traffic", "pat-l")
}

func TestPauseResumePromote(t *testing.T) {
	w := newWorld(t)
	w.create(MakeVersion("pat-s", "2").Stage(v1alpha1.StageCanary, v1alpha1.ReasonWaitingForSamples, "").Weight(5).Obj())
	w.create(MakeJob("backfill", 2).State(v1alpha1.StateRunning, "").Obj())
	steps := []struct {
		args []string
		out  string
		want v1alpha1.Rollout
	}{
		{[]string{"pause", "mv/pat-s-2", "--dry-run=server"}, "modelversion.clarityloop.dev/pat-s-2 paused (server dry run)\n", v1alpha1.Rollout{Strategy: "Canary"}},
		{[]string{"pause", "mv/pat-s-2"}, "modelversion.clarityloop.dev/pat-s-2 paused\n", v1alpha1.Rollout{Strategy: "Canary", Paused: true}},
		{[]string{"pause", "mv/pat-s-2"}, "modelversion.clarityloop.dev/pat-s-2 unchanged\n", v1alpha1.Rollout{Strategy: "Canary", Paused: true}},
		{[]string{"resume", "mv/pat-s-2"}, "modelversion.clarityloop.dev/pat-s-2 resumed\n", v1alpha1.Rollout{Strategy: "Canary"}},
		{[]string{"promote", "mv/pat-s-2", "-y", "-o", "name"}, "modelversion.clarityloop.dev/pat-s-2\n", v1alpha1.Rollout{Strategy: "Immediate"}},
		{[]string{"promote", "mv/pat-s-2", "--canary"}, "modelversion.clarityloop.dev/pat-s-2 promoted\n", v1alpha1.Rollout{Strategy: "Canary"}},
	}
	for _, s := range steps {
		if diff := cmp.Diff(s.out, w.ok(s.args...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", s.args, diff)
		}
		got := w.version("pat-s-2").Spec.Rollout
		got.KeepWarm = nil
		if diff := cmp.Diff(s.want, got); diff != "" {
			t.Errorf("%v: rollout (-want +got):\n%s", s.args, diff)
		}
	}
	for _, m := range w.version("pat-s-2").ManagedFields {
		if m.Manager == "kubectl-clarity" && !strings.Contains(m.FieldsV1.String(), "f:strategy") {
			t.Errorf("kubectl-clarity owns %s", m.FieldsV1)
		}
	}
	w.ok("pause", "ajob/backfill")
	if !w.job("backfill").Spec.Suspend {
		t.Error("the job is not suspended")
	}
	w.ok("resume", "ajob/backfill")
	if w.job("backfill").Spec.Suspend {
		t.Error("the job is still suspended")
	}
}

func TestAbortAsks(t *testing.T) {
	w := newWorld(t)
	w.create(MakeVersion("pat-s", "1").Stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "").Weight(95).Obj())
	w.create(MakeVersion("pat-s", "2").Stage(v1alpha1.StageCanary, v1alpha1.ReasonWaitingForSamples, "").Weight(5).Obj())
	w.create(MakeJob("backfill", 2).State(v1alpha1.StateRunning, "").Obj())
	const shows = "modelversion/pat-s-1 (version 1) serves 100 %, as it did before."
	w.refused(fault.Usage, []string{shows, "cannot ask for confirmation without a terminal: add --yes"}, "abort", "mv/pat-s-2")
	w.terminal = true
	for _, no := range []string{"n\n", "\n", "", "yesterday\n"} {
		w.in = no
		w.refused(fault.Changed, []string{shows, "Continue? [y/N]", "answered with no"}, "abort", "mv/pat-s-2")
	}
	if w.version("pat-s-2").Spec.Rollout.Abort {
		t.Fatal("aborted without a yes")
	}
	w.in = "Y\n"
	if out := w.ok("abort", "mv/pat-s-2"); out != "modelversion.clarityloop.dev/pat-s-2 aborted\n" {
		t.Errorf("abort: %q", out)
	}
	if !w.version("pat-s-2").Spec.Rollout.Abort {
		t.Error("not aborted")
	}
	w.terminal = false
	w.ok("abort", "ajob/backfill", "--yes")
	if !w.job("backfill").Spec.Cancel {
		t.Error("the job is not cancelled")
	}
	if out := w.ok("abort", "ajob/backfill"); !strings.Contains(out, "unchanged") {
		t.Errorf("abort again: %s", out)
	}
}

func TestRollback(t *testing.T) {
	w := newWorld(t)
	hour := w.now.Add(-time.Hour)
	one := MakeVersion("pat-s", "1").Stage(v1alpha1.StageStandby, v1alpha1.ReasonSuperseded, "").Serving(2, 2, "2/2").Served(hour, w.now).Obj()
	w.create(one)
	w.create(MakeVersion("pat-s", "2").Stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "").Weight(100).Served(w.now, time.Time{}).Obj())
	w.create(planOf(t, traffic.Plan{Model: "pat-s", Revision: 3, Salt: "s", Entries: []traffic.Entry{entry("2", 100)}}, one.UID))
	o := w.run("rollback", "pat-s", "--dry-run=server")
	if o.code != fault.Done || !strings.Contains(o.err, "modelversion/pat-s-1 (version 1) serves next; it is warm (2/2).") || !strings.Contains(o.out, "rolled back (server dry run)") {
		t.Errorf("dry run: %+v", o)
	}
	if w.version("pat-s-2").Spec.Rollout.Abort {
		t.Fatal("a dry run wrote")
	}
	w.refused(fault.CouldNot, []string{`reached version "2" last`}, "rollback", "pat-s", "--version", "1", "--yes")
	for range 2 { // a script may say it twice
		w.ok("rollback", "pat-s", "--version", "2", "--yes")
	}
	if !w.version("pat-s-2").Spec.Rollout.Abort || w.version("pat-s-1").Spec.Rollout.Abort {
		t.Error("not version 2 alone is aborted")
	}
	w.refused(fault.CouldNot, []string{"being rolled back already", "kubectl clarity why mv/pat-s-2"}, "rollback", "pat-s", "--yes")
	w.refused(fault.NotFound, nil, "rollback", "pat-l", "--yes")
}

func TestJobCreate(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "job.yaml")
	write := func(content string) { w.must(os.WriteFile(file, []byte(content), 0o600)) }
	write("apiVersion: clarityloop.dev/v1alpha1\nkind: AnalysisJob\nmetadata: {name: from-file}\nspec:\n  subjects: {all: {}}\n  window: {lastDays: 7}\n  analyses: [wear]\n  shards: 4\n")

	w.ok("job", "create", "from-flags", "--manifest", "gs://cohorts/a.txt@"+digestOfOnes, "--start=2026-10-01", "--end=2026-10-31",
		"--analyses=wear,model", "--model=pat-s@2", "--shards=200", "--parallelism=20", "--queue=nightly", "--priority-class=low", "--replace", "--suspend")
	want := v1alpha1.AnalysisJobSpec{
		Subjects: v1alpha1.Subjects{Manifest: &v1alpha1.Artifact{URI: "gs://cohorts/a.txt", Digest: digestOfOnes}},
		Window:   v1alpha1.AnalysisWindow{Start: "2026-10-01", End: "2026-10-31"}, Analyses: []v1alpha1.AnalysisName{"wear", "model"},
		Model: &v1alpha1.ModelReference{Name: "pat-s", Version: "2"}, Shards: 200, Parallelism: new(int32(20)), QueueName: "nightly",
		PriorityClassName: "low", OnExisting: v1alpha1.OnExistingReplace, Suspend: true,
		Retry: v1alpha1.Retry{PerShard: new(int32(3)), MaxFailedShardsPercent: new(int32(0))},
	}
	if diff := cmp.Diff(want, w.job("from-flags").Spec); diff != "" {
		t.Errorf("from flags (-want +got):\n%s", diff)
	}
	if out := w.ok("job", "create", "--file", file, "--shards=9"); out != "analysisjob.clarityloop.dev/from-file created\n" {
		t.Errorf("from a file: %q", out)
	}
	if got := w.job("from-file").Spec; got.Shards != 9 || got.Subjects.All == nil {
		t.Errorf("flags over a file: %+v", got)
	}
	w.in = "apiVersion: clarityloop.dev/v1alpha1\nkind: AnalysisJob\nspec: {subjects: {subject: abcdefghijklmnop}, window: {lastDays: 7}, analyses: [sleep]}\n"
	if out := w.ok("job", "create", "-f", "-"); !strings.HasPrefix(out, "analysisjob.clarityloop.dev/analysis-") {
		t.Errorf("from standard input: %q", out)
	}

	// What is printed can be applied.
	out := w.ok("job", "create", "--all", "--last-days=7", "--analyses=wear", "--dry-run=client", "-o", "yaml", "tried")
	var printed v1alpha1.AnalysisJob
	w.must(yaml.UnmarshalStrict([]byte(out), &printed))
	if printed.Kind != "AnalysisJob" || printed.Name != "tried" || printed.Namespace != w.namespace || strings.Contains(out, "creationTimestamp") {
		t.Errorf("client dry run:\n%s", out)
	}
	if out := w.ok("job", "create", "tried", "--all", "--last-days=7", "--analyses=wear", "--dry-run=server", "-o", "jsonpath={.spec.shards}"); out != "1" {
		t.Errorf("server dry run has no defaults: %q", out)
	}
	err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "tried"}, &v1alpha1.AnalysisJob{})
	if client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("a dry run created: %v", err)
	}

	good := []string{"job", "create", "--all", "--last-days=7", "--analyses=wear"}
	with := func(more ...string) []string { return append(append([]string{}, good...), more...) }
	w.refused(fault.Usage, []string{"whose data", "which days", "what to compute"}, "job", "create")
	w.refused(fault.Usage, []string{"--all and --subject exclude each other"}, with("--subject=abcdefghijklmnop")...)
	w.refused(fault.Usage, []string{"exclude each other"}, with("--start=2026-10-01", "--end=2026-10-02")...)
	w.refused(fault.Usage, []string{"lacks the file's digest"}, "job", "create", "--manifest=gs://cohorts/a.txt", "--last-days=7", "--analyses=wear")
	w.refused(fault.Usage, []string{"--dry-run=perhaps"}, with("--dry-run=perhaps")...)
	w.refused(fault.CouldNot, []string{"spec.analyses", "Unsupported value"}, "job", "create", "--all", "--last-days=7", "--analyses=palmistry")
	w.refused(fault.CouldNot, []string{"the analysis model needs spec.model"}, "job", "create", "--all", "--last-days=7", "--analyses=model")
	w.refused(fault.CouldNot, []string{"already exists"}, with("from-file")...)
	write("apiVersion: clarityloop.dev/v1alpha1\nkind: AnalysisJob\nspec: {shard: 4}\n")
	w.refused(fault.Usage, []string{`unknown field "shard"`, "kubectl explain"}, "job", "create", "-f", file)
	write("apiVersion: batch/v1\nkind: Job\n")
	w.refused(fault.Usage, []string{`of kind "Job" in "batch/v1"`}, "job", "create", "-f", file)
	write("apiVersion: clarityloop.dev/v1alpha1\nkind: AnalysisJob\nmetadata: {namespace: elsewhere}\nspec: {subjects: {all: {}}, window: {lastDays: 7}, analyses: [wear]}\n")
	w.refused(fault.Usage, []string{`the file says namespace "elsewhere"`}, "job", "create", "-f", file)
	w.refused(fault.CouldNot, []string{"no such file"}, "job", "create", "-f", file+".none")
}
