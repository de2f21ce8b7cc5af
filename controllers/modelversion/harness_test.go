package modelversion

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

var cluster testenv.Cluster

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(testenv.Main(m, &cluster))
}

// world is a namespace of the real API server with an operator whose clock the
// test moves, a kubelet that plays a script, and gates that say what they are told.
type world struct {
	*testenv.Namespace
	t        *testing.T
	live     client.WithWatch
	clock    *testclock.FakeClock
	crash    *testenv.Crash
	events   *events.FakeRecorder
	config   Config
	seen     *sightings
	stage    *stage
	operator *Reconciler
	rests    bool
	again    int // after how many writes those die that come after one that died; never if 0
}

func newWorld(t *testing.T) *world {
	t.Helper()
	n := cluster.Namespace(t, "models")
	w := &world{Namespace: n, t: t, live: mirrored(n), clock: testclock.NewFakeClock(time.Now()), seen: &sightings{}, stage: &stage{}}
	w.config = testConfig(n.Name)
	w.config.Propagation.Duration, w.config.EvaluationInterval.Duration = 10*time.Second, 30*time.Second
	w.start(-1, false)
	return w
}

// mirrored reads from watches, as the operator does from its cache.
func mirrored(n *testenv.Namespace) client.WithWatch {
	byModel := func(o client.Object) fields.Set {
		if mv, ok := o.(*v1alpha1.ModelVersion); ok {
			return fields.Set{modelField: mv.Spec.Model}
		}
		return nil
	}
	return n.Mirror(byModel, &v1alpha1.ModelVersionList{}, &appsv1.DeploymentList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{},
		&autoscalingv2.HorizontalPodAutoscalerList{}, &policyv1.PodDisruptionBudgetList{}, &networkingv1.NetworkPolicyList{},
		&batchv1.JobList{}, &corev1.PodList{})
}

// start starts the operator anew, as a new process would: nothing is remembered.
func (w *world) start(after int, loseReply bool) {
	w.t.Helper()
	w.crash = &testenv.Crash{After: after, LoseReply: loseReply}
	w.events = events.NewFakeRecorder(1000)
	operator, err := New(w.config, Needs{
		Client: w.crash.Wrap(w.live), Live: w.Live, Events: w.events, Clock: w.clock, Probe: w.stage, Gates: w.stage,
		Observers: []Observer{w.seen},
	})
	w.must(err)
	w.operator = operator
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(mv *v1alpha1.ModelVersion) *v1alpha1.ModelVersion {
	w.t.Helper()
	mv.Namespace = w.Name
	w.must(w.live.Create(w.t.Context(), mv))
	return mv
}

// pass runs one reconcile of the model.
func (w *world) pass() (reconcile.Result, error) {
	return w.operator.Reconcile(w.t.Context(), request(w.Name, "pat"))
}

// settle runs passes until one writes nothing.
func (w *world) settle() {
	w.t.Helper()
	for range 30 {
		before := w.crash.Writes()
		_, err := w.pass()
		w.must(err)
		if w.crash.Writes() == before {
			return
		}
	}
	w.t.Fatal("the model does not come to rest")
}

func (w *world) read(mv *v1alpha1.ModelVersion) *v1alpha1.ModelVersion {
	w.t.Helper()
	var got v1alpha1.ModelVersion
	w.must(w.live.Get(w.t.Context(), client.ObjectKeyFromObject(mv), &got))
	return &got
}

func (w *world) edit(mv *v1alpha1.ModelVersion, change func(*v1alpha1.ModelVersionSpec)) {
	w.t.Helper()
	got := w.read(mv)
	changed := got.DeepCopy()
	change(&changed.Spec)
	w.must(w.live.Patch(w.t.Context(), changed, client.MergeFrom(got)))
}

func (w *world) remove(mv *v1alpha1.ModelVersion, how metav1.DeletionPropagation) {
	w.t.Helper()
	w.must(w.live.Delete(w.t.Context(), mv.DeepCopy(), client.PropagationPolicy(how)))
}

// plan reads the model's plan; the zero plan where there is none.
func (w *world) plan() traffic.Plan {
	w.t.Helper()
	var object corev1.ConfigMap
	err := w.live.Get(w.t.Context(), client.ObjectKey{Namespace: w.Name, Name: traffic.ConfigMapName("pat")}, &object)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil {
		return traffic.Plan{}
	}
	plan, err := traffic.ParsePlan([]byte(object.Data[traffic.PlanKey]))
	w.must(err)
	return plan
}

// weights is the plan in one line.
func (w *world) weights() string {
	w.t.Helper()
	plan, line := w.plan(), ""
	for _, e := range plan.Entries {
		line += fmt.Sprintf("%s=%d ", e.Version, e.Weight)
	}
	if plan.Shadow != nil {
		line += fmt.Sprintf("shadow %s=%d ", plan.Shadow.Version, plan.Shadow.Percent)
	}
	return line
}

// until runs passes and kubelet steps until the world is as wanted. Where
// nothing happens, the clock moves to when the operator wants to look again. A
// crashed operator is started anew; one whose reply was lost lives on.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	w.untilEvery(0, what, is)
}

// untilEvery moves the clock by step where nothing happens.
func (w *world) untilEvery(step time.Duration, what string, is func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		before := w.crash.Writes()
		result, err := w.pass()
		if w.crash.Crashed() {
			w.revive()
			continue
		}
		w.must(err)
		moved := w.kubelet()
		w.rests = w.crash.Writes() == before && !moved && result.RequeueAfter >= resync
		if is() {
			return
		}
		if w.crash.Writes() != before || moved {
			continue
		}
		move := result.RequeueAfter
		if step > 0 {
			move = step
		}
		if w.jobsRun() {
			move = min(move, 2*time.Second)
			w.awaitJobs()
		}
		w.clock.Step(move)
	}
	w.t.Fatalf("it is never that %s; the plan is %q, and\n%s", what, w.weights(), w.table())
}

// revive starts the operator that died anew. Where only a reply was lost it
// lives on, with what it remembers. The next one dies too, if it is to go on so.
func (w *world) revive() {
	w.t.Helper()
	after := -1
	if w.again > 0 {
		after = w.again
	}
	if !w.crash.LoseReply {
		w.start(after, false)
		return
	}
	w.crash = &testenv.Crash{After: after, LoseReply: w.again > 0}
	w.operator.Client = w.crash.Wrap(w.live)
}

// atRest says whether the last turn wrote nothing, moved nothing, and the
// operator wants to look again only because it always does.
func (w *world) atRest() bool { return w.rests }

// table is what kubectl get would show, and a little more.
func (w *world) table() string {
	var list v1alpha1.ModelVersionList
	w.must(w.live.List(w.t.Context(), &list, client.InNamespace(w.Name)))
	text := ""
	for _, mv := range list.Items {
		text += fmt.Sprintf("%s %s %d%% %s %s: %s\n", mv.Name, mv.Status.Stage, mv.Status.Traffic.Weight, mv.Status.Serving.Summary, mv.Status.Reason, mv.Status.Message)
	}
	return text
}

// in says whether the version is in the stage.
func (w *world) in(mv *v1alpha1.ModelVersion, stage v1alpha1.Stage) func() bool {
	return func() bool { return w.read(mv).Status.Stage == stage }
}

// active brings a version to all of the traffic.
func (w *world) active(mv *v1alpha1.ModelVersion) *v1alpha1.ModelVersion {
	w.t.Helper()
	mv = w.create(mv)
	w.until(mv.Name+" is active", w.in(mv, v1alpha1.StageActive))
	return mv
}

// An actor is how the programs of one version behave.
type actor struct {
	verify, validate testenv.Exit // the zero Exit is a pass
	server           string       // "" serves; silent serves and answers no probe; pending, unready, crash, badFetch, noImage
}

// stage is where the programs play: it answers probes and gates.
type stage struct {
	mu     sync.Mutex
	actors map[string]actor
	gates  map[string]gate.Answer // by name; a pass where there is none
	few    bool                   // too few samples
	noProm bool                   // the source of samples does not tell
}

func (s *stage) play(version string, a actor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.actors == nil {
		s.actors = map[string]actor{}
	}
	s.actors[version] = a
}

func (s *stage) actor(version string) actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.actors[version]
}

func (s *stage) answer(name string, a gate.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates == nil {
		s.gates = map[string]gate.Answer{}
	}
	s.gates[name] = a
}

func (s *stage) samples(few, noProm bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.few, s.noProm = few, noProm
}

// Ready answers as the version's server would.
func (s *stage) Ready(_ context.Context, pod *corev1.Pod, model string) (bool, error) {
	how := s.actor(pod.Labels[label.Version]).server
	if how == "silent" {
		return false, errors.New("no answer")
	}
	return how == "" && model == pod.Labels[label.Model], nil
}

// Samples is plenty, too few, or unavailable.
func (s *stage) Samples(context.Context, gate.Question, bool) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.noProm:
		return 0, errors.New("no answer")
	case s.few:
		return 7, nil
	}
	return 100000, nil
}

// Ask says what the gate was told to say.
func (s *stage) Ask(_ context.Context, g v1alpha1.Gate, _ gate.Question, _ bool) gate.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.gates[g.Name]; ok {
		return a
	}
	return gate.Answer{Verdict: v1alpha1.VerdictPass, Value: "0.1", Message: "it is 0.1, within max 0.25"}
}

// jobsRun says whether the Job controller has something to do.
func (w *world) jobsRun() bool {
	w.t.Helper()
	var jobs batchv1.JobList
	w.must(w.live.List(w.t.Context(), &jobs, client.InNamespace(w.Name)))
	return len(jobs.Items) > 0
}

// awaitJobs gives the Job controller its turn: until something of a Job has
// changed, or for a while.
func (w *world) awaitJobs() {
	w.t.Helper()
	var first string
	for range 10 {
		var now string
		var jobs batchv1.JobList
		w.must(w.live.List(w.t.Context(), &jobs, client.InNamespace(w.Name)))
		for i := range jobs.Items {
			now += jobs.Items[i].ResourceVersion + " "
		}
		if first == "" {
			first = now
		}
		if now != first {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kubelet makes and moves pods as the Deployments' controllers and a node would.
func (w *world) kubelet() bool {
	w.t.Helper()
	var deployments appsv1.DeploymentList
	w.must(w.live.List(w.t.Context(), &deployments, client.InNamespace(w.Name)))
	var pods corev1.PodList
	w.must(w.live.List(w.t.Context(), &pods, client.InNamespace(w.Name)))
	there, moved := map[string]*corev1.Pod{}, false
	for i := range pods.Items {
		there[pods.Items[i].Name] = &pods.Items[i]
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		for n := range int32(3) {
			name := fmt.Sprintf("%s-%d", d.Name, n)
			wanted := n < replicasOf(d) && d.DeletionTimestamp.IsZero()
			switch pod := there[name]; {
			case wanted && pod == nil:
				w.must(w.live.Create(w.t.Context(), podOf(d, name)))
				moved = true
			case !wanted && pod != nil && pod.DeletionTimestamp.IsZero():
				w.must(client.IgnoreNotFound(w.live.Delete(w.t.Context(), pod)))
				moved = true
			}
		}
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.DeletionTimestamp.IsZero() && w.move(pod) {
			moved = true
		}
	}
	return moved
}

func podOf(d *appsv1.Deployment, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: d.Namespace, Labels: d.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: d.Spec.Template.Spec,
	}
}

// move moves one pod on, and says whether it did.
func (w *world) move(pod *corev1.Pod) bool {
	w.t.Helper()
	a := w.stage.actor(pod.Labels[label.Version])
	if component := pod.Labels[label.Component]; component != label.Server {
		if pod.Status.Phase != corev1.PodPending && pod.Status.Phase != corev1.PodRunning {
			return false
		}
		end, good := a.verify, `{"verified":true}`
		if component == label.Validate {
			end, good = a.validate, `{"cases":5,"passed":5,"maxError":"1.2e-05"}`
		}
		if end == (testenv.Exit{}) {
			end.Message = good
		}
		return w.tell(testenv.Finish(w.t.Context(), w.live, pod, w.clock.Now(), end))
	}
	if pod.Status.Message == "plays "+a.server {
		return false
	}
	pod.Status = serverStatus(a.server, pod)
	pod.Status.Message = "plays " + a.server
	return w.tell(client.IgnoreNotFound(w.live.Status().Update(w.t.Context(), pod)))
}

// tell is what came of a node's word about a pod. Where somebody else wrote to
// the pod meanwhile, the node looks again, as a kubelet does.
func (w *world) tell(err error) bool {
	w.t.Helper()
	if !apierrors.IsConflict(err) {
		w.must(err)
	}
	return true
}

// serverStatus is what a node says of a server that behaves so.
func serverStatus(how string, pod *corev1.Pod) corev1.PodStatus {
	status := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}}
	state := corev1.ContainerStatus{Name: serving.ServerContainer, Image: pod.Spec.Containers[0].Image, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	ready := corev1.ConditionFalse
	switch how {
	case "", "silent":
		ready, state.Ready = corev1.ConditionTrue, true
	case "pending":
		status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available"}}}
		return status
	case "noImage":
		status.Phase = corev1.PodPending
		state.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "secret-host refused"}}
	case "crash":
		state.RestartCount = 3
		state.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		state.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	case "badFetch":
		status.Phase = corev1.PodPending
		status.InitContainerStatuses = []corev1.ContainerStatus{{
			Name: serving.FetchContainer, Image: pod.Spec.InitContainers[0].Image, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: worker.ExitInvalidInput, Message: `{"reason":"DigestMismatch","message":"the bundle has another digest"}`}}}}
		state.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
	}
	status.ContainerStatuses = []corev1.ContainerStatus{state}
	status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return status
}

// sightings are what an observer is told.
type sightings struct {
	mu    sync.Mutex
	lines []string
}

func (s *sightings) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// Stage is one of the sightings.
func (s *sightings) Stage(model string, from, to v1alpha1.Stage, took time.Duration) {
	s.add("%s %s→%s %v", model, from, to, took >= 0)
}

// Verdict is one of the sightings.
func (s *sightings) Verdict(kind string, verdict v1alpha1.Verdict) { s.add("%s %s", kind, verdict) }

// RolledBack is one of the sightings.
func (s *sightings) RolledBack(model, reason string) { s.add("%s rolled back: %s", model, reason) }
