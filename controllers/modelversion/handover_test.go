package modelversion

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// gone says whether the object is no more.
func (w *world) gone(mv *v1alpha1.ModelVersion) func() bool {
	return func() bool {
		err := w.live.Get(w.t.Context(), client.ObjectKeyFromObject(mv), &v1alpha1.ModelVersion{})
		return apierrors.IsNotFound(err)
	}
}

// Invariant 4, by every way in which the active version is taken back, with the
// last known good one warm or cold.
func TestTheActiveVersionHandsOverToTheLastKnownGood(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		takeBack func(*world, *v1alpha1.ModelVersion)
		cold     bool
		want     string // the second version's line; gone if empty
	}{
		"deleted, as kubectl does":          {func(w *world, mv *v1alpha1.ModelVersion) { w.remove(mv, metav1.DeletePropagationBackground) }, false, ""},
		"deleted, as Argo CD does":          {func(w *world, mv *v1alpha1.ModelVersion) { w.remove(mv, metav1.DeletePropagationForeground) }, false, ""},
		"deleted, the last known good cold": {func(w *world, mv *v1alpha1.ModelVersion) { w.remove(mv, metav1.DeletePropagationForeground) }, true, ""},
		"aborted": {
			func(w *world, mv *v1alpha1.ModelVersion) {
				w.edit(mv, func(s *v1alpha1.ModelVersionSpec) { s.Rollout.Abort = true })
			}, false, "RolledBack 0% Aborted: aborted by spec.rollout.abort",
		},
		"aborted, the last known good cold": {
			func(w *world, mv *v1alpha1.ModelVersion) {
				w.edit(mv, func(s *v1alpha1.ModelVersionSpec) { s.Rollout.Abort = true })
			}, true, "RolledBack 0% Aborted: aborted by spec.rollout.abort",
		},
		"retired, the last known good cold": {
			func(w *world, mv *v1alpha1.ModelVersion) {
				w.edit(mv, func(s *v1alpha1.ModelVersionSpec) { s.Retire = true })
			},
			true, "Retired 0% Retired: retired by spec.retire",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.watchAll()
			one := w.active(MakeVersion("1").Obj())
			two := w.active(MakeVersion("2").Strategy(v1alpha1.StrategyImmediate).Obj())
			w.settle()
			if tt.cold {
				w.clock.Step(2 * time.Hour)
				w.until("1 is cold", func() bool { return w.replicas(one) == "0" })
				w.kubelet()
			}
			tt.takeBack(w, two)
			w.until("1 serves again", func() bool { return w.weights() == "1=100 " })
			if got := w.replicas(two); got != "1" {
				t.Errorf("a moment after the plan left it, its servers are %s", got)
			}
			w.until("nothing of 2 is left", func() bool { return w.replicas(two) == "none" })
			if tt.want == "" {
				w.until("2 is gone", w.gone(two))
			} else {
				s := w.read(two).Status
				if got := fmt.Sprintf("%s %d%% %s: %s", s.Stage, s.Traffic.Weight, s.Reason, s.Message); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			}
			if s := w.read(one).Status; s.Stage != v1alpha1.StageActive || s.Traffic.Weight != 100 || s.Rollout.Demoted != nil {
				t.Errorf("the last known good: %s", w.table())
			}
			w.isQuiet()
		})
	}
}

// While the last known good cannot start, the version that is deleted serves on, and says why.
func TestAVersionIsDeletedOnlyOnceAnotherServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	one := w.active(MakeVersion("1").Obj())
	two := w.active(MakeVersion("2").Strategy(v1alpha1.StrategyImmediate).Obj())
	w.clock.Step(2 * time.Hour)
	w.until("1 is cold", func() bool { return w.replicas(one) == "0" })
	w.kubelet()
	w.stage.play("1", actor{server: "pending"})
	w.remove(two, metav1.DeletePropagationForeground)
	w.until("2 says what it waits for", func() bool { return w.read(two).Status.Reason == v1alpha1.ReasonHandingOver })
	for range 5 {
		w.settle()
		w.kubelet()
		w.clock.Step(time.Minute)
	}
	if got := w.read(two).Status; w.weights() != "2=100 " || got.Message != `serves until version "1" can: no replica is ready yet` {
		t.Errorf("plan %q, message %q", w.weights(), got.Message)
	}
	w.stage.play("1", actor{})
	w.until("2 is gone", w.gone(two))
	if w.weights() != "1=100 " {
		t.Errorf("plan %q", w.weights())
	}
	w.remove(one, metav1.DeletePropagationBackground) // there is no other: nobody serves, and it is not held
	w.until("1 is gone", w.gone(one))
	w.until("nothing is left", func() bool {
		var plan corev1.ConfigMap
		err := w.live.Get(t.Context(), client.ObjectKey{Namespace: w.Name, Name: traffic.ConfigMapName("pat")}, &plan)
		return apierrors.IsNotFound(err) && w.replicas(one) == "none"
	})
}

// A third version comes in the middle of the second: the second loses its
// weight at once, and gets another chance when the third is bad.
func TestAThirdVersionInTheMiddleOfTheSecond(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]bool{"the third is good": false, "the third is bad": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.watchAll()
			one := w.active(MakeVersion("1").Obj())
			two := w.create(MakeVersion("2").Obj())
			w.until("2 is in canary", w.in(two, v1alpha1.StageCanary))
			if bad {
				w.stage.play("3", actor{server: "crash"})
			}
			three := w.create(MakeVersion("3").Obj())
			w.settle()
			if got := w.weights(); got != "1=100 " {
				t.Errorf("the plan is %q once a third version is there", got)
			}
			if s := w.read(two).Status; s.Stage != v1alpha1.StageStandby || s.Reason != v1alpha1.ReasonSuperseded || s.Message != `queued behind version "3"` {
				t.Errorf("the second version: %s", w.table())
			}
			if bad {
				w.until("3 is rejected", w.in(three, v1alpha1.StageRejected))
				w.until("2 is in the shadow again", w.in(two, v1alpha1.StageShadow))
				w.until("2 is active", w.in(two, v1alpha1.StageActive))
				if s := w.read(two).Status.Rollout; s.Promoted == nil || s.Demoted != nil {
					t.Errorf("rollout %+v", s)
				}
			} else {
				w.until("3 is active", w.in(three, v1alpha1.StageActive))
				if s := w.read(two).Status; s.Stage != v1alpha1.StageStandby || s.Reason != v1alpha1.ReasonSuperseded || !isTrue(w.read(two), v1alpha1.ConditionReady) {
					t.Errorf("the second version: %s", w.table())
				}
				w.until("2 has no servers", func() bool { return w.replicas(two) == "0" })
			}
			if got := w.read(one).Status.Stage; got != v1alpha1.StageStandby {
				t.Errorf("the first version is %s", got)
			}
			w.kubelet()
			w.isQuiet()
		})
	}
}

func TestTheSpecSteersTheRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watchAll()
	w.active(MakeVersion("1").Obj())
	two := w.create(MakeVersion("2").Strategy(v1alpha1.StrategyHold).Obj())
	set := func(change func(*v1alpha1.Rollout)) {
		w.edit(two, func(s *v1alpha1.ModelVersionSpec) { change(&s.Rollout) })
	}
	says := func(reason string) func() bool {
		return func() bool { return w.read(two).Status.Reason == reason }
	}
	w.until("2 is held", says(v1alpha1.ReasonHeld))
	if got := w.read(two); got.Status.Stage != v1alpha1.StageStandby || !isTrue(got, v1alpha1.ConditionReady) || w.replicas(two) != "1" || w.weights() != "1=100 " {
		t.Errorf("held: %s plan %q", w.table(), w.weights())
	}
	w.clock.Step(3 * time.Hour)
	w.isQuiet()

	set(func(r *v1alpha1.Rollout) { r.Strategy, r.Paused = v1alpha1.StrategyCanary, true })
	w.until("2 is paused before any traffic", says(v1alpha1.ReasonPaused))
	set(func(r *v1alpha1.Rollout) { r.Paused = false })
	w.until("2 is in canary", w.in(two, v1alpha1.StageCanary))
	set(func(r *v1alpha1.Rollout) { r.Paused = true })
	w.until("2 is paused at its step", says(v1alpha1.ReasonPaused))
	for range 4 {
		w.clock.Step(10 * time.Minute)
		w.settle()
	}
	if got := w.weights(); got != "2=5 1=95 " {
		t.Errorf("paused, the plan moves to %q", got)
	}
	set(func(r *v1alpha1.Rollout) { r.Steps[0].Weight = 20 })
	w.until("the edited weight is in the plan", func() bool { return w.weights() == "2=20 1=80 " })
	set(func(r *v1alpha1.Rollout) { r.Strategy, r.Paused = v1alpha1.StrategyHold, false })
	w.until("held again, it has no traffic", func() bool { return w.weights() == "1=100 " })
	w.stage.samples(true, false)
	set(func(r *v1alpha1.Rollout) { r.Strategy = v1alpha1.StrategyCanary })
	w.until("it waits for samples", says(v1alpha1.ReasonWaitingForSamples))
	if got := w.read(two).Status; got.Message != "7 of 100 requests in the shadow" || got.Rollout.Samples != 7 {
		t.Errorf("message %q, %d samples", got.Message, got.Rollout.Samples)
	}
	w.stage.samples(false, true)
	w.until("the source of samples is down", says(v1alpha1.ReasonGateSourceUnavailable))
	w.stage.samples(false, false)
	w.until("it waits for its time at a step", says(v1alpha1.ReasonWaitingForDuration))
	set(func(r *v1alpha1.Rollout) { r.Strategy = v1alpha1.StrategyImmediate })
	w.until("2 is active", w.in(two, v1alpha1.StageActive))
	w.isQuiet()
}

// Invariant 7: with its spec turned bad and good again, a version comes to the
// state of one that never was bad.
func TestGoodBadGoodIsAsAFreshGoodOne(t *testing.T) {
	t.Parallel()
	end := func(t *testing.T, bad func(*v1alpha1.ModelVersionSpec), at v1alpha1.Stage) (*v1alpha1.ModelVersion, string) {
		w := newWorld(t)
		w.watchAll()
		w.active(MakeVersion("1").Obj())
		two := w.create(MakeVersion("2").Replicas(1, 1).Obj())
		w.until("2 has come to "+string(at), w.in(two, at))
		if bad != nil {
			good := w.read(two).Spec
			w.edit(two, bad)
			w.until("bad has been seen", func() bool { return w.read(two).Status.ObservedGeneration == w.read(two).Generation })
			for range 3 {
				w.clock.Step(time.Minute)
				w.settle()
			}
			w.edit(two, func(s *v1alpha1.ModelVersionSpec) { good.DeepCopyInto(s) })
		}
		w.until("2 is active", w.in(two, v1alpha1.StageActive))
		w.kubelet()
		w.settle()
		return w.read(two), w.weights()
	}
	tests := map[string]struct {
		at  v1alpha1.Stage
		bad func(*v1alpha1.ModelVersionSpec)
	}{
		"too wide for the cluster": {v1alpha1.StageActive, func(s *v1alpha1.ModelVersionSpec) { s.Serving.Replicas = v1alpha1.Replicas{Min: 3, Max: 3} }},
		"held in the shadow":       {v1alpha1.StageShadow, func(s *v1alpha1.ModelVersionSpec) { s.Rollout.Strategy = v1alpha1.StrategyHold }},
		"paused at a step":         {v1alpha1.StageCanary, func(s *v1alpha1.ModelVersionSpec) { s.Rollout.Paused = true }},
		"a step that takes forever": {v1alpha1.StageCanary, func(s *v1alpha1.ModelVersionSpec) {
			s.Rollout.Steps[0].MinSamples = 1_000_000_000
		}},
	}
	fresh, plan := end(t, nil, v1alpha1.StageActive)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, gotPlan := end(t, tt.bad, tt.at)
			if diff := cmp.Diff(timeless(fresh), timeless(got)); diff != "" {
				t.Errorf("status (-fresh +good again):\n%s", diff)
			}
			if plan != gotPlan {
				t.Errorf("plan %q, fresh %q", gotPlan, plan)
			}
		})
	}
}

// timeless is a status without times, generations, revisions and names made of UIDs.
func timeless(mv *v1alpha1.ModelVersion) v1alpha1.ModelVersionStatus {
	s := *mv.Status.DeepCopy()
	s.ObservedGeneration, s.Since, s.Traffic.Revision = 0, nil, 0
	s.Serving.Selector, s.Serving.Endpoint = "", ""
	for i := range s.Conditions {
		s.Conditions[i].ObservedGeneration, s.Conditions[i].LastTransitionTime = 0, metav1.Time{}
	}
	for i := range s.Gates {
		s.Gates[i].At = metav1.Time{}
	}
	if s.Rollout != nil {
		s.Rollout.StepStarted, s.Rollout.Evaluated, s.Rollout.Promoted, s.Rollout.Demoted = nil, nil, nil, nil
	}
	if s.LastFailure != nil {
		s.LastFailure.At, s.LastFailure.Pod = metav1.Time{}, ""
	}
	return s
}
