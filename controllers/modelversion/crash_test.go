package modelversion

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

// crashStory is a part of a model's life. It begins with what others did before
// (never crashed) and ends when nothing is left to be done.
type crashStory struct {
	before func(*world)
	play   func(*world)
}

func one(w *world) { w.active(MakeVersion("1").Obj()) }

// rises is the whole of a rollout: the first version, and the second.
var rises = crashStory{func(*world) {}, func(w *world) {
	one(w)
	w.active(MakeVersion("2").Obj())
}}

func crashStories() map[string]crashStory {
	return map[string]crashStory{
		"the second version rises": rises,
		"the second version fails at its first step": {one, func(w *world) {
			two := w.create(MakeVersion("2").Obj())
			w.until("2 is in canary", w.in(two, v1alpha1.StageCanary))
			w.stage.answer("p99", gate.Answer{Verdict: v1alpha1.VerdictFail, Value: "0.9", Message: "it is 0.9"})
			w.until("2 is rolled back", w.in(two, v1alpha1.StageRolledBack))
			w.until("nothing of 2 is left", func() bool { return w.replicas(two) == "none" })
		}},
		"a third version, which is rejected, comes in the middle": {one, func(w *world) {
			two := w.create(MakeVersion("2").Obj())
			w.until("2 is in canary", w.in(two, v1alpha1.StageCanary))
			w.stage.play("3", actor{verify: testenv.Exit{Code: 65, Message: `{"reason":"DigestMismatch","message":"it is another"}`}})
			three := w.create(MakeVersion("3").Obj())
			w.until("3 is rejected", w.in(three, v1alpha1.StageRejected))
			w.until("2 is active", w.in(two, v1alpha1.StageActive))
		}},
		"the active version is deleted, the one before is cold": {func(w *world) {
			one(w)
			w.active(MakeVersion("2").Strategy(v1alpha1.StrategyImmediate).Obj())
			w.until("1 is cold", func() bool { return w.replicas(MakeVersion("1").at(w)) == "0" })
		}, func(w *world) {
			two := MakeVersion("2").at(w)
			w.remove(two, metav1.DeletePropagationForeground)
			w.until("2 is gone", w.gone(two))
		}},
	}
}

// at is the version as the API server has it.
func (v *versionWrapper) at(w *world) *v1alpha1.ModelVersion {
	mv := v.Obj()
	mv.Namespace = w.Name
	return w.read(mv)
}

// The operator dies after its k-th write, for every k of a rollout. The end is
// that of an operator that never died, and every moment on the way keeps the rules.
func TestCrashAfterTheKthWriteComesToTheSameEnd(t *testing.T) {
	t.Parallel()
	writes, calm := tell(t, rises, crashes{after: -1})
	if writes < 30 {
		t.Fatalf("an operator that never dies writes %d times: the story is too short", writes)
	}
	t.Logf("%d writes", writes)
	for k := range writes {
		t.Run(fmt.Sprintf("after %d writes", k), func(t *testing.T) {
			t.Parallel()
			_, crashed := tell(t, rises, crashes{after: k})
			if diff := cmp.Diff(calm, crashed); diff != "" {
				t.Errorf("end (-calm +crashed):\n%s", diff)
			}
		})
	}
}

// The operator dies again and again: at every write, at every second, at every
// third; or the reply to every write is lost, and it lives on.
func TestCrashAgainAndAgainComesToTheSameEnd(t *testing.T) {
	t.Parallel()
	for name, story := range crashStories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			writes, calm := tell(t, story, crashes{after: -1})
			if writes < 4 {
				t.Fatalf("an operator that never dies writes %d times: the story is too short", writes)
			}
			for how, c := range map[string]crashes{
				"at every write": {1, true, false}, "at every second write": {2, true, false}, "at every third write": {3, true, false},
				"no write has a reply": {1, true, true},
			} {
				t.Run(how, func(t *testing.T) {
					t.Parallel()
					_, crashed := tell(t, story, c)
					if diff := cmp.Diff(calm, crashed); diff != "" {
						t.Errorf("end (-calm +crashed):\n%s", diff)
					}
				})
			}
		})
	}
}

// crashes say when an operator dies, whether its successors do too, and whether
// it is no death but a reply that is lost.
type crashes struct {
	after int
	again bool
	lose  bool
}

// endState is how a world ends: what must be the same after any crash.
type endState struct {
	Plan     string
	Statuses map[string]v1alpha1.ModelVersionStatus
	Replicas map[string]string
	Jobs     bool
	Held     []string
}

func (w *world) endState() endState {
	w.t.Helper()
	s := endState{Plan: w.weights(), Statuses: map[string]v1alpha1.ModelVersionStatus{}, Replicas: map[string]string{}, Jobs: w.jobsRun()}
	var list v1alpha1.ModelVersionList
	w.must(w.live.List(w.t.Context(), &list, client.InNamespace(w.Name)))
	for i := range list.Items {
		mv := &list.Items[i]
		status := timeless(mv)
		if status.Rollout != nil {
			status.Rollout.SourceErrors = 0
		}
		s.Statuses[mv.Name], s.Replicas[mv.Name] = status, w.replicas(mv)
		if slices.Contains(mv.Finalizers, finalizer) {
			s.Held = append(s.Held, mv.Name)
		}
	}
	return s
}

// tell plays a story and returns how many writes it took and how it ended.
func tell(t *testing.T, story crashStory, c crashes) (int, endState) {
	t.Helper()
	w := newWorld(t)
	w.watchAll()
	story.before(w)
	w.settle()
	w.kubelet()
	w.settle()
	w.start(c.after, c.lose)
	if c.again {
		w.again = c.after
	}
	first := w.crash
	story.play(w)
	w.until("it is at rest", w.atRest)
	if c.after >= 0 && !first.Crashed() {
		t.Errorf("the operator never died: it wrote %d times", first.Writes())
	}
	w.again = 0
	w.start(-1, false)
	w.isQuiet()
	return first.Writes(), w.endState()
}

// lagging reads what was there a number of reads of the same thing ago: a cache
// that is always behind. Writes go through.
type lagging struct {
	client.WithWatch
	by   int
	gets map[string][]func(client.Object) error
	list map[string][]client.ObjectList
}

func (l *lagging) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	now := o.DeepCopyObject().(client.Object)
	err := l.WithWatch.Get(ctx, key, now, opts...)
	id := fmt.Sprintf("%T %s", o, key)
	l.gets[id] = append(l.gets[id], func(into client.Object) error { copyInto(now, into); return err })
	return l.gets[id][max(len(l.gets[id])-1-l.by, 0)](o)
}

func (l *lagging) List(ctx context.Context, o client.ObjectList, opts ...client.ListOption) error {
	now := o.DeepCopyObject().(client.ObjectList)
	if err := l.WithWatch.List(ctx, now, opts...); err != nil {
		return err
	}
	id := fmt.Sprintf("%T", o)
	l.list[id] = append(l.list[id], now)
	copyInto(l.list[id][max(len(l.list[id])-1-l.by, 0)], o)
	return nil
}

// A cache that is always one or three passes behind: the same story, the same rules, the same end.
func TestAStaleCacheComesToTheSameEnd(t *testing.T) {
	t.Parallel()
	story := func(w *world) endState {
		w.watchAll()
		w.until("1 is active", w.in(w.create(MakeVersion("1").Obj()), v1alpha1.StageActive))
		two := w.create(MakeVersion("2").Obj())
		w.until("2 is active", w.in(two, v1alpha1.StageActive))
		three := w.create(MakeVersion("3").Obj())
		w.until("3 is in canary", w.in(three, v1alpha1.StageCanary))
		w.stage.answer("p99", gate.Answer{Verdict: v1alpha1.VerdictFail, Value: "0.9", Message: "it is 0.9"})
		w.until("3 is rolled back", w.in(three, v1alpha1.StageRolledBack))
		w.remove(two, metav1.DeletePropagationBackground)
		w.until("2 is gone", w.gone(two))
		w.until("it is at rest", w.atRest)
		w.start(-1, false)
		w.isQuiet()
		return w.endState()
	}
	want := story(newWorld(t))
	for _, by := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d behind", by), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.operator.Client = w.crash.Wrap(&lagging{w.live, by, map[string][]func(client.Object) error{}, map[string][]client.ObjectList{}})
			if diff := cmp.Diff(want, story(w)); diff != "" {
				t.Errorf("end (-fresh +stale):\n%s", diff)
			}
		})
	}
}

// No event arrives at all: the operator comes back when it said it would, and
// that is enough.
func TestWithoutAnyEventTheOperatorComesBackByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	w.create(MakeVersion("1").Obj())
	run := func(what string, is func() bool) {
		t.Helper()
		for range 400 {
			result, err := w.pass()
			w.must(err)
			if result.RequeueAfter <= 0 || result.RequeueAfter > resync {
				t.Fatalf("%s: the operator does not come back: %v", what, result)
			}
			if is() {
				return
			}
			w.clock.Step(result.RequeueAfter)
			w.kubelet()
			if w.jobsRun() {
				time.Sleep(50 * time.Millisecond)
			}
		}
		t.Fatalf("%s never comes\n%s", what, w.table())
	}
	one := MakeVersion("1").at(w)
	run("1 is active", w.in(one, v1alpha1.StageActive))
	two := w.create(MakeVersion("2").Obj())
	run("2 is active", w.in(two, v1alpha1.StageActive))
	w.remove(two, metav1.DeletePropagationBackground)
	run("2 is gone", w.gone(two))
	if got := w.weights(); got != "1=100 " {
		t.Errorf("plan %q\n%s", got, w.table())
	}
}
