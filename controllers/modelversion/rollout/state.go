package rollout

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Decode reads plan and state from the ConfigMap's data. What does not hold them
// as they were written is as good as none: ok is false.
func Decode(model string, data map[string]string) (plan traffic.Plan, r State, ok bool) {
	plan, err := traffic.ParsePlan([]byte(data[traffic.PlanKey]))
	if err != nil || plan.Model != model {
		return traffic.Plan{}, State{}, false
	}
	if err := json.Unmarshal([]byte(data[traffic.StateKey]), &r); err != nil {
		return traffic.Plan{}, State{}, false
	}
	return plan, r, true
}

// Encode is what the ConfigMap holds.
func Encode(plan traffic.Plan, r State) (map[string]string, error) {
	if err := plan.Validate(); err != nil {
		return nil, fmt.Errorf("check traffic plan of model %q: %w", plan.Model, err)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("write traffic plan of model %q: %w", plan.Model, err)
	}
	kept, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write rollout state of model %q: %w", plan.Model, err)
	}
	return map[string]string{traffic.PlanKey: string(text), traffic.StateKey: string(kept)}, nil
}

// A State is where a model's rollout stands. It is written with the plan, in
// one object, at every step: whatever reads the one reads the other.
type State struct {
	// Stable carries the traffic, all of it or what the candidate does not.
	Stable *traffic.Slot `json:"stable,omitempty"`
	// Candidate is in the shadow (step 0) or carries the weight of its step.
	Candidate   *traffic.Slot `json:"candidate,omitempty"`
	Step        int32         `json:"step,omitempty"`
	StepStarted time.Time     `json:"stepStarted,omitzero"`
	traffic.LastGood
	// Changed is when who serves, or is compared, last changed.
	Changed time.Time `json:"changed,omitzero"`
	// Evaluation is what the gates said when they last moved someone, forward or back.
	Evaluation *Evaluation `json:"judged,omitempty"`
	// Ended are versions that were taken out of the plan for good, until their status says so.
	Ended []Outcome `json:"ended,omitempty"`
}

// An Outcome is why a version is rejected or rolled back.
type Outcome struct {
	UID      types.UID      `json:"uid"`
	Version  string         `json:"version"`
	Stage    v1alpha1.Stage `json:"stage"` // where it had come
	Reason   string         `json:"reason"`
	Message  string         `json:"message"`
	Pod      string         `json:"pod,omitempty"`
	ExitCode *int32         `json:"exitCode,omitempty"`
	At       time.Time      `json:"at"`
}

// An Evaluation is what moved a version: its status may not say so yet.
type Evaluation struct {
	UID     types.UID             `json:"uid"`
	At      time.Time             `json:"at"`
	Samples int64                 `json:"samples,omitempty"`
	Gates   []v1alpha1.GateStatus `json:"gates,omitempty"`
}

const (
	maxFormer = 10
	maxEnded  = 50
)

// IsStable says whether the version is the stable one.
func (r State) IsStable(uid types.UID) bool { return of(r.Stable, uid) }

// IsCandidate says whether the version is the candidate.
func (r State) IsCandidate(uid types.UID) bool { return of(r.Candidate, uid) }

// Holds says whether the version carries traffic or is compared.
func (r State) Holds(uid types.UID) bool { return r.IsStable(uid) || r.IsCandidate(uid) }

// of says whether the slot is there and the version's.
func of(s *traffic.Slot, uid types.UID) bool { return s != nil && s.UID == string(uid) }

// FormerSlot is the version's place among those that were stable; nil if it was not.
func (r State) FormerSlot(uid types.UID) *traffic.Slot {
	for i := range r.Former {
		if of(&r.Former[i], uid) {
			return &r.Former[i]
		}
	}
	return nil
}

func (r State) clone() State {
	if r.Stable != nil {
		r.Stable = new(*r.Stable)
	}
	if r.Candidate != nil {
		r.Candidate = new(*r.Candidate)
	}
	r.Former = slices.Clone(r.Former)
	r.Ended = slices.Clone(r.Ended)
	return r
}

// prune drops what the state says of versions that are no more.
func (r *State) prune(exists func(types.UID) bool) {
	r.Former = slices.DeleteFunc(r.Former, func(s traffic.Slot) bool { return !exists(types.UID(s.UID)) })
	r.Ended = slices.DeleteFunc(r.Ended, func(e Outcome) bool { return !exists(e.UID) })
	r.Former = r.Former[:min(len(r.Former), maxFormer)]
	r.Ended = r.Ended[max(len(r.Ended)-maxEnded, 0):]
}

// IsFinal says whether a version that is not promoted for this reason never will be.
func IsFinal(reason string) bool {
	switch reason {
	case v1alpha1.ReasonContractUnsupported, v1alpha1.ReasonDigestMismatch, v1alpha1.ReasonArtifactNotFound, v1alpha1.ReasonContractMismatch,
		v1alpha1.ReasonGoldenSetMismatch, v1alpha1.ReasonUnreadable, v1alpha1.ReasonVerificationFailed, v1alpha1.ReasonValidationIncomplete,
		v1alpha1.ReasonCrashLooping, v1alpha1.ReasonStartDeadline, v1alpha1.ReasonValidationFailed, v1alpha1.ReasonValidationTimeout,
		v1alpha1.ReasonGateFailed, v1alpha1.ReasonUnavailable, v1alpha1.ReasonAborted:
		return true
	}
	return false
}
