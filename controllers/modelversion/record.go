package modelversion

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// A record is where a model's rollout stands. It is written with the plan, in
// one object, at every step: whatever reads the one reads the other.
type record struct {
	// Stable carries the traffic, all of it or what the candidate does not.
	Stable *seat `json:"stable,omitempty"`
	// Candidate is in the shadow (step 0) or carries the weight of its step.
	Candidate   *seat     `json:"candidate,omitempty"`
	Step        int32     `json:"step,omitempty"`
	StepStarted time.Time `json:"stepStarted,omitzero"`
	// Former were stable before, the last one first: the last known good.
	Former []seat `json:"former,omitempty"`
	// Changed is when who serves, or is compared, last changed.
	Changed time.Time `json:"changed,omitzero"`
	// Judged is what the gates said when they last moved someone, forward or back.
	Judged *judged `json:"judged,omitempty"`
	// Ended are versions that were taken out of the plan for good, until their status says so.
	Ended []ending `json:"ended,omitempty"`
}

// A seat is one version's place in the record.
type seat struct {
	Version  string    `json:"version"`
	UID      types.UID `json:"uid"`
	Promoted time.Time `json:"promoted,omitzero"`
	Demoted  time.Time `json:"demoted,omitzero"`
}

// An ending is why a version is rejected or rolled back.
type ending struct {
	UID      types.UID      `json:"uid"`
	Version  string         `json:"version"`
	Stage    v1alpha1.Stage `json:"stage"` // where it had come
	Reason   string         `json:"reason"`
	Message  string         `json:"message"`
	Pod      string         `json:"pod,omitempty"`
	ExitCode *int32         `json:"exitCode,omitempty"`
	At       time.Time      `json:"at"`
}

// judged is what moved a version: its status may not say so yet.
type judged struct {
	UID     types.UID             `json:"uid"`
	At      time.Time             `json:"at"`
	Samples int64                 `json:"samples,omitempty"`
	Gates   []v1alpha1.GateStatus `json:"gates,omitempty"`
}

const (
	maxFormer = 10
	maxEnded  = 50
)

func (s *seat) is(uid types.UID) bool { return s != nil && s.UID == uid }

// holds says whether the version carries traffic or is compared.
func (r record) holds(uid types.UID) bool { return r.Stable.is(uid) || r.Candidate.is(uid) }

// former is the version's place among those that were stable; nil if it was not.
func (r record) former(uid types.UID) *seat {
	for i := range r.Former {
		if r.Former[i].UID == uid {
			return &r.Former[i]
		}
	}
	return nil
}

func (r record) clone() record {
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

// forget drops what the record says of versions that are no more.
func (r *record) forget(exists func(types.UID) bool) {
	r.Former = slices.DeleteFunc(r.Former, func(s seat) bool { return !exists(s.UID) })
	r.Ended = slices.DeleteFunc(r.Ended, func(e ending) bool { return !exists(e.UID) })
	r.Former = r.Former[:min(len(r.Former), maxFormer)]
	r.Ended = r.Ended[max(len(r.Ended)-maxEnded, 0):]
}

// A ledger is a plan, its record, and the object that holds them.
type ledger struct {
	plan   traffic.Plan
	record record
	// object is the ConfigMap as read; nil where there is none.
	object *corev1.ConfigMap
	// lost says that plan and record were made up from the versions' statuses.
	lost bool
}

// readLedger reads plan and record. An object that does not hold them as they
// were written is as good as none: ok is false.
func readLedger(model string, object *corev1.ConfigMap) (l ledger, ok bool) {
	l.object = object
	if object == nil {
		return l, false
	}
	plan, err := traffic.ParsePlan([]byte(object.Data[traffic.PlanKey]))
	if err != nil || plan.Model != model {
		return l, false
	}
	if err := json.Unmarshal([]byte(object.Data[traffic.RecordKey]), &l.record); err != nil {
		return ledger{object: object}, false
	}
	l.plan = plan
	return l, true
}

// data is what the ConfigMap holds.
func (l ledger) data() (map[string]string, error) {
	if err := l.plan.Validate(); err != nil {
		return nil, fmt.Errorf("check traffic plan of model %q: %w", l.plan.Model, err)
	}
	plan, err := json.Marshal(l.plan)
	if err != nil {
		return nil, fmt.Errorf("write traffic plan of model %q: %w", l.plan.Model, err)
	}
	kept, err := json.Marshal(l.record)
	if err != nil {
		return nil, fmt.Errorf("write record of model %q: %w", l.plan.Model, err)
	}
	return map[string]string{traffic.PlanKey: string(plan), traffic.RecordKey: string(kept)}, nil
}
