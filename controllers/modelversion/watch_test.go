package modelversion

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

// film is everything that happened to the objects of a namespace, in the order
// in which the API server wrote it.
type film struct {
	mu     sync.Mutex
	frames []frame
}

// frame is one write: the object as it then was.
type frame struct {
	revision int64
	kind     watch.EventType
	object   client.Object
}

// watchAll films the namespace until the test ends, and then holds the film
// against what must hold at every moment.
func (w *world) watchAll() {
	w.t.Helper()
	f := &film{}
	ctx, stop := context.WithCancel(context.Background())
	var filming sync.WaitGroup
	for _, list := range []client.ObjectList{
		&v1alpha1.ModelVersionList{}, &corev1.ConfigMapList{}, &appsv1.DeploymentList{}, &batchv1.JobList{}, &corev1.ServiceList{},
	} {
		seen, err := w.live.Watch(ctx, list, client.InNamespace(w.Name))
		w.must(err)
		filming.Go(func() {
			for event := range seen.ResultChan() {
				f.add(event)
			}
		})
	}
	w.t.Cleanup(func() {
		last := w.mark()
		for deadline := time.Now().Add(time.Minute); !f.reached(last) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		}
		stop()
		filming.Wait()
		for _, fault := range f.faults() {
			w.t.Error(fault)
		}
	})
}

// mark writes an object whose sighting says that everything before it was seen.
func (w *world) mark() map[string]int64 {
	last := map[string]int64{}
	mark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mark", Namespace: w.Name}}
	if err := w.live.Create(context.Background(), mark); err != nil {
		w.t.Error(err)
	}
	last["mark"] = revisionOf(mark)
	var versions v1alpha1.ModelVersionList
	if err := w.live.List(context.Background(), &versions, client.InNamespace(w.Name)); err != nil {
		w.t.Error(err)
	}
	for i := range versions.Items {
		last[versions.Items[i].Name] = revisionOf(&versions.Items[i])
	}
	return last
}

func revisionOf(o client.Object) int64 {
	n, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (f *film) add(event watch.Event) {
	object, ok := event.Object.(client.Object)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frames = append(f.frames, frame{revisionOf(object), event.Type, object})
}

// reached says whether the film shows the objects as of these revisions.
func (f *film) reached(last map[string]int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := len(last)
	for _, fr := range f.frames {
		if last[fr.object.GetName()] == fr.revision {
			left--
		}
	}
	return left <= 0
}

// scene is the namespace at one moment of the film.
type scene struct {
	versions map[string]*v1alpha1.ModelVersion
	plan     traffic.Plan
	stable   string
	faults   []string
}

// faults plays the film and returns what broke a rule at any moment.
func (f *film) faults() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortStableFunc(f.frames, func(a, b frame) int { return cmp.Compare(a.revision, b.revision) })
	s := &scene{versions: map[string]*v1alpha1.ModelVersion{}}
	for _, fr := range f.frames {
		switch o := fr.object.(type) {
		case *v1alpha1.ModelVersion:
			s.version(fr.kind, o)
		case *corev1.ConfigMap:
			if o.Labels[label.Component] == label.Plan {
				s.planned(fr.kind, o)
			}
		default:
			s.child(fr.kind, o)
		}
	}
	slices.Sort(s.faults)
	return slices.Compact(s.faults)
}

func (s *scene) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// named finds the version of the plan's entry. Of two objects of one version
// it is the one that is available.
func (s *scene) named(version string) *v1alpha1.ModelVersion {
	var found *v1alpha1.ModelVersion
	for _, mv := range s.versions {
		if mv.Spec.Version == version && (found == nil || isTrue(mv, v1alpha1.ConditionAvailable)) {
			found = mv
		}
	}
	return found
}

// planned: weights sum to 100, only an available and validated version is given
// anything, and revisions rise by one.
func (s *scene) planned(kind watch.EventType, o *corev1.ConfigMap) {
	if kind == watch.Deleted {
		s.plan, s.stable = traffic.Plan{}, ""
		return
	}
	l, ok := readRecord("pat", o)
	if !ok {
		return // a test broke it
	}
	for _, e := range l.plan.Entries {
		mv := s.named(e.Version)
		switch {
		case mv == nil:
			s.fault("revision %d gives traffic to %q, which is not there", l.plan.Revision, e.Version)
		case e.Weight <= s.plan.Weight(e.Version) || s.stable == e.Version:
		case !isTrue(mv, v1alpha1.ConditionAvailable) || !isTrue(mv, v1alpha1.ConditionValidated):
			s.fault("revision %d gives %q %d %%, and it is not available or not validated", l.plan.Revision, e.Version, e.Weight)
		case mv.DeletionTimestamp != nil:
			s.fault("revision %d gives %q traffic while it is being deleted", l.plan.Revision, e.Version)
		}
	}
	if sh := l.plan.Shadow; sh != nil && !isTrue(s.named(sh.Version), v1alpha1.ConditionValidated) {
		s.fault("revision %d shadows %q, which is not validated", l.plan.Revision, sh.Version)
	}
	if old := s.plan.Revision; old != 0 && (l.plan.Revision < old || l.plan.Revision > old+1 || l.plan.Revision == old && !rollout.SamePlan(l.plan, s.plan)) {
		s.fault("revision %d follows %d", l.plan.Revision, old)
	}
	s.plan, s.stable = l.plan, ""
	if l.state.Stable != nil {
		s.stable = l.state.Stable.Version
	}
}

// version: conditions do not contradict each other, the stage is what they say,
// the weight is the plan's, and who goes has no traffic.
func (s *scene) version(kind watch.EventType, mv *v1alpha1.ModelVersion) {
	if kind == watch.Deleted {
		delete(s.versions, mv.Name)
		if s.plan.Weight(mv.Spec.Version) > 0 && s.named(mv.Spec.Version) == nil {
			s.fault("%q is gone with %d %% of the traffic", mv.Name, s.plan.Weight(mv.Spec.Version))
		}
		return
	}
	s.versions[mv.Name] = mv
	is := func(kind string) bool { return isTrue(mv, kind) }
	st := mv.Status
	if len(st.Conditions) == 0 {
		return
	}
	ended := st.Stage == v1alpha1.StageRejected || st.Stage == v1alpha1.StageRolledBack
	promoted := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionPromoted)
	for what, wrong := range map[string]bool{
		"ready and stalled":                            is(v1alpha1.ConditionReady) && is(v1alpha1.ConditionStalled),
		"ready and reconciling":                        is(v1alpha1.ConditionReady) && is(v1alpha1.ConditionReconciling),
		"reconciling and stalled":                      is(v1alpha1.ConditionReconciling) && is(v1alpha1.ConditionStalled),
		"ended and not stalled":                        ended && !is(v1alpha1.ConditionStalled),
		"ended and promoted":                           ended && is(v1alpha1.ConditionPromoted),
		"ended without a failure":                      ended && st.LastFailure == nil,
		"its stage hides its end":                      !ended && rollout.IsFinal(promoted.Reason),
		"validated and not verified":                   is(v1alpha1.ConditionValidated) && !is(v1alpha1.ConditionArtifactVerified),
		"active and not promoted":                      (st.Stage == v1alpha1.StageActive) != is(v1alpha1.ConditionPromoted),
		"has traffic and is in no stage of it":         st.Traffic.Weight > 0 && st.Stage != v1alpha1.StageActive && st.Stage != v1alpha1.StageCanary,
		"has another weight than the plan's":           st.Traffic.Revision == s.plan.Revision && s.named(mv.Spec.Version) == mv && st.Traffic.Weight != s.plan.Weight(mv.Spec.Version),
		"is active and nobody serves":                  st.Stage == v1alpha1.StageActive && len(s.plan.Entries) == 0 && mv.DeletionTimestamp == nil && s.plan.Revision > 0,
		"failed its validation and has had traffic":    meta.IsStatusConditionFalse(st.Conditions, v1alpha1.ConditionValidated) && st.Traffic.Weight > 0,
		"its status is beyond 8 kB":                    len(testenv.JSON(st)) > 8192,
		"it serves and the collector may take servers": st.Traffic.Weight > 0 && !slices.Contains(mv.Finalizers, finalizer),
	} {
		if wrong {
			s.fault("%s: %s: %s", mv.Name, what, testenv.JSON(st))
		}
	}
}

// child: nothing is made under a version that is being deleted, and no server
// is stopped while its version is in the plan.
func (s *scene) child(kind watch.EventType, o client.Object) {
	for _, mv := range s.versions {
		if o.GetLabels()[label.Instance] != serving.Name(mv) {
			continue
		}
		if kind == watch.Added && mv.DeletionTimestamp != nil {
			s.fault("%T %q is made for %q, which is being deleted", o, o.GetName(), mv.Name)
		}
		d, ok := o.(*appsv1.Deployment)
		if !ok || s.plan.Weight(mv.Spec.Version) == 0 || s.named(mv.Spec.Version) != mv {
			continue
		}
		if kind == watch.Deleted || replicasOf(d) == 0 || d.DeletionTimestamp != nil {
			s.fault("the servers of %q are stopped while it has %d %% of the traffic", mv.Name, s.plan.Weight(mv.Spec.Version))
		}
	}
}

// isQuiet is invariant 10: passes over a model at rest write nothing, however long they go on.
func (w *world) isQuiet() {
	w.t.Helper()
	w.settle()
	before := w.crash.Writes()
	for range 3 {
		w.clock.Step(time.Second)
		_, err := w.pass()
		w.must(err)
	}
	if n := w.crash.Writes() - before; n != 0 {
		w.t.Errorf("%d writes over a model at rest, want none\n%s", n, w.table())
	}
}
