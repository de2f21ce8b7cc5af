package modelversion

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// accept takes the versions in: those of the served namespace, one object a
// version, of a class there is, whose contract workers can feed. Then the
// endings on record are heard of, where a crash kept them from the status.
func (r *Reconciler) accept(_ context.Context, p *modelPass) (outcome.Outcome, error) {
	if p.namespace != r.config.Namespace {
		for _, m := range p.versions {
			m.exclude(v1alpha1.ReasonNamespaceNotServed, fmt.Sprintf("models are served in namespace %q: create it there", r.config.Namespace))
		}
		return outcome.Done{}, nil
	}
	p.recall()
	first := map[string]*versionPass{}
	for _, m := range slices.Backward(p.versions) { // the oldest first
		if older := first[m.mv.Spec.Version]; older != nil {
			m.exclude(v1alpha1.ReasonVersionTaken, fmt.Sprintf("ModelVersion %q is version %q of the model already: delete one of them", older.mv.Name, m.mv.Spec.Version))
			continue
		}
		first[m.mv.Spec.Version] = m
		if m.leaving() || m.deployment != nil {
			continue
		}
		if _, known := r.config.ServingClasses[m.mv.Spec.Serving.Class]; !known {
			m.exclude(v1alpha1.ReasonUnknownServingClass, fmt.Sprintf("the operator's configuration has no serving class %q", m.mv.Spec.Serving.Class))
			continue
		}
		if err := checkGates(m.mv.Spec.Rollout.Gates); err != nil {
			m.exclude(v1alpha1.ReasonGateInvalid, err.Error())
			continue
		}
		if why := feedable(m.mv.Spec.Contract, r.config.Feeds); why != "" && !m.verified() {
			m.end(rollout.Outcome{UID: m.mv.UID, Version: m.mv.Spec.Version, Stage: v1alpha1.StagePending, Reason: v1alpha1.ReasonContractUnsupported, Message: why, At: p.now})
		}
	}
	p.chooseCandidate()
	return outcome.Continue{}, nil
}

// checkGates says which gate could never be asked. It is told before anything
// starts, not when the first step waits for its verdict.
func checkGates(gates []v1alpha1.Gate) error {
	for _, g := range gates {
		if err := gate.Check(g); err != nil {
			return err
		}
	}
	return nil
}

// recall hears of what is on record and not in the statuses.
func (p *modelPass) recall() {
	for _, e := range p.record.state.Ended {
		if m := p.version(e.UID); m != nil {
			m.end(e)
		}
	}
	j := p.record.state.Evaluation
	if j == nil {
		return
	}
	m := p.version(j.UID)
	if m == nil || m.mv.Status.Rollout != nil && m.mv.Status.Rollout.Evaluated != nil && !m.mv.Status.Rollout.Evaluated.Time.Before(j.At) {
		return
	}
	ro := m.rollout()
	ro.Evaluated, ro.Samples = new(metav1.NewTime(j.At)), j.Samples
	m.mv.Status.Gates = j.Gates
}

func (p *modelPass) chooseCandidate() {
	s := p.input()
	p.candidate = nil
	if c := s.Candidate(); c != nil {
		p.candidate = p.version(c.UID)
	}
}

// feedable says why workers cannot feed a model of this contract; "" if they can.
func feedable(c v1alpha1.Contract, feeds []Feed) string {
	var nearest string
	for _, feed := range feeds {
		why := mismatch(c, feed)
		if why == "" {
			return ""
		}
		if nearest == "" || feed.Preprocessing.Name == c.Preprocessing.Name {
			nearest = why
		}
	}
	return nearest
}

// mismatch names the first part of the contract that the feed does not give.
func mismatch(c v1alpha1.Contract, feed Feed) string {
	switch {
	case c.Preprocessing.Name != feed.Preprocessing.Name:
		return fmt.Sprintf("workers do not know preprocessing %q", c.Preprocessing.Name)
	case c.Preprocessing.Digest != feed.Preprocessing.Digest:
		return fmt.Sprintf("preprocessing %q has a different digest on the workers", c.Preprocessing.Name)
	case c.Window.EpochSeconds != feed.Window.EpochSeconds:
		return fmt.Sprintf("workers use epochs of %d s, not %d s", feed.Window.EpochSeconds, c.Window.EpochSeconds)
	case feed.Window.Epochs != 0 && c.Window.Epochs != feed.Window.Epochs:
		return fmt.Sprintf("workers use windows of %d epochs, not %d", feed.Window.Epochs, c.Window.Epochs)
	}
	for _, input := range c.Inputs {
		i := slices.IndexFunc(feed.Inputs, func(t v1alpha1.Tensor) bool { return t.Name == input.Name })
		switch {
		case i < 0:
			return fmt.Sprintf("workers provide no input %q", input.Name)
		case feed.Inputs[i].DType != input.DType:
			return fmt.Sprintf("workers provide input %q as %s, not %s", input.Name, feed.Inputs[i].DType, input.DType)
		case !slices.EqualFunc(feed.Inputs[i].Dims, input.Dims, fits):
			return fmt.Sprintf("workers provide input %q with dims %v, not %v", input.Name, feed.Inputs[i].Dims, input.Dims)
		}
	}
	return ""
}

// fits says whether what is made has the size that is taken; -1 is any.
func fits(made, taken int64) bool { return made == taken || made == -1 || taken == -1 }
