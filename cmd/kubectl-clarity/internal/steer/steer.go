// Package steer decides what pause, resume, promote, abort and rollback write,
// and refuses what would do nothing or harm. It reads and writes nothing itself.
package steer

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

// A Step is what a command is about to write to one object.
type Step struct {
	Change kube.Change
	// Announce says to a person what the change does; the change holds only as long as it does not change.
	Announce string
}

// Pause holds a rollout at its step, or suspends a job.
func Pause(o client.Object) (Step, error) {
	switch o := o.(type) {
	case *v1alpha1.ModelVersion:
		if err := underWay(o, "pause"); err != nil {
			return Step{}, err
		}
		if o.Status.Stage == v1alpha1.StageActive {
			return Step{}, fault.New(fault.CouldNot, "kubectl clarity rollback "+o.Spec.Model+" -n "+o.Namespace,
				"pause %s: its rollout is over, it is Active; only a rollback takes its traffic back", ref(o))
		}
		return rollout(o.Spec.Rollout.Paused, "paused", true), nil
	case *v1alpha1.AnalysisJob:
		if err := running(o, "pause"); err != nil {
			return Step{}, err
		}
		return below(o.Spec.Suspend, "suspend", true), nil
	}
	return Step{}, nil
}

// Resume undoes Pause.
func Resume(o client.Object) (Step, error) {
	switch o := o.(type) {
	case *v1alpha1.ModelVersion:
		if err := underWay(o, "resume"); err != nil {
			return Step{}, err
		}
		if !o.Spec.Rollout.Paused && o.Spec.Rollout.Strategy == v1alpha1.StrategyHold {
			return Step{}, fault.New(fault.CouldNot, fmt.Sprintf("kubectl clarity promote mv/%s -n %s --canary", o.Name, o.Namespace),
				"resume %s: it is not paused; spec.rollout.strategy Hold keeps it from traffic", ref(o))
		}
		return rollout(!o.Spec.Rollout.Paused, "paused", false), nil
	case *v1alpha1.AnalysisJob:
		if err := running(o, "resume"); err != nil {
			return Step{}, err
		}
		return below(!o.Spec.Suspend, "suspend", false), nil
	}
	return Step{}, nil
}

// Promote gives a version all of its model's traffic as soon as it is
// validated; with canary it only ends a hold, and shadow, steps and gates decide.
func Promote(v *v1alpha1.ModelVersion, versions []v1alpha1.ModelVersion, canary bool) (Step, error) {
	if err := underWay(v, "promote"); err != nil {
		return Step{}, err
	}
	if v.Status.Stage == v1alpha1.StageActive {
		if v.Status.Traffic.Weight == 100 {
			return Step{}, nil
		}
		return Step{}, fault.New(fault.CouldNot, "kubectl clarity rollback "+v.Spec.Model+" -n "+v.Namespace,
			"promote %s: it is Active already, and gives way to a newer version step by step; rolling that one back gives it all of the traffic again", ref(v))
	}
	if other := inFront(v, versions); other != nil {
		return Step{}, fault.New(fault.CouldNot, "kubectl clarity traffic "+v.Spec.Model+" -n "+v.Namespace,
			"promote %s: %s is newer and %s, and an older version never overtakes a newer one; roll that one back first", ref(v), ref(other), other.Status.Stage)
	}
	change := map[string]any{}
	wish := v1alpha1.StrategyImmediate
	if canary {
		wish = v1alpha1.StrategyCanary
	}
	if v.Spec.Rollout.Strategy != wish {
		change["strategy"] = wish
	}
	if v.Spec.Rollout.Paused {
		change["paused"] = false
	}
	if len(change) == 0 {
		return Step{}, nil
	}
	announce := fmt.Sprintf("%s (%s) gets all of %s's traffic once it is validated: shadow, steps and gates are skipped.", ref(v), describe(v), v.Spec.Model)
	if canary {
		announce = fmt.Sprintf("%s (%s) goes on to shadow and steps, each behind the gates.", ref(v), describe(v))
	}
	return Step{kube.Change{"rollout": change}, announce}, nil
}

// Cancel ends a job for good.
func Cancel(j *v1alpha1.AnalysisJob) (Step, error) {
	if finished(j) {
		return Step{}, ended(kube.AnalysisJob, j.Name, j.Namespace, "abort", string(j.Status.State))
	}
	if j.Spec.Cancel {
		return Step{}, nil
	}
	return Step{kube.Change{"cancel": true}, fmt.Sprintf(
		"analysisjob/%s (%s) is cancelled for good. What its shards have stored stays, and a new job skips it.", j.Name, j.Status.State)}, nil
}

// rollout sets one of the switches of spec.rollout unless it is set already.
func rollout(already bool, field string, to bool) Step {
	if already {
		return Step{}
	}
	return Step{Change: kube.Change{"rollout": map[string]any{field: to}}}
}

func below(already bool, field string, to bool) Step {
	if already {
		return Step{}
	}
	return Step{Change: kube.Change{field: to}}
}

// underWay refuses a version whose rollout has ended for good.
func underWay(v *v1alpha1.ModelVersion, verb string) error {
	if usable(v) {
		return nil
	}
	return ended(kube.ModelVersion, v.Name, v.Namespace, verb, endOf(v))
}

// endOf words how a version that is not usable stands.
func endOf(v *v1alpha1.ModelVersion) string {
	switch v.Status.Stage {
	case v1alpha1.StageRejected, v1alpha1.StageRolledBack, v1alpha1.StageRetired:
		return string(v.Status.Stage)
	}
	return "on its way out"
}

func running(j *v1alpha1.AnalysisJob, verb string) error {
	switch {
	case finished(j):
		return ended(kube.AnalysisJob, j.Name, j.Namespace, verb, string(j.Status.State))
	case j.Spec.Cancel || !j.DeletionTimestamp.IsZero():
		return ended(kube.AnalysisJob, j.Name, j.Namespace, verb, "on its way out")
	}
	return nil
}

func ended(kind kube.Kind, name, namespace, verb, how string) error {
	again := "apply a new ModelVersion"
	if kind == kube.AnalysisJob {
		again = "create a new AnalysisJob"
	}
	return fault.New(fault.CouldNot, fmt.Sprintf("kubectl clarity why %s/%s -n %s", kind.Short(), name, namespace),
		"%s %s/%s: it is %s, and that is final; %s", verb, kind, name, how, again)
}

func finished(j *v1alpha1.AnalysisJob) bool {
	return meta.IsStatusConditionTrue(j.Status.Conditions, v1alpha1.ConditionSucceeded) ||
		meta.IsStatusConditionTrue(j.Status.Conditions, v1alpha1.ConditionFailed)
}

func ref(v *v1alpha1.ModelVersion) string { return "modelversion/" + v.Name }

// describe says version and stage in few words.
func describe(v *v1alpha1.ModelVersion) string {
	words := []string{"version " + v.Spec.Version}
	switch {
	case v.Status.Stage == "":
		words = append(words, "new")
	case v.Status.Traffic.Weight > 0:
		words = append(words, fmt.Sprintf("%s at %d %%", v.Status.Stage, v.Status.Traffic.Weight))
	default:
		words = append(words, string(v.Status.Stage))
	}
	return strings.Join(words, ", ")
}
