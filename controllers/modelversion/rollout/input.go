package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// A VersionState is what is known of one version in this pass.
type VersionState struct {
	UID              types.UID
	Version          string
	Endpoint, Digest string
	Rollout          v1alpha1.Rollout
	Stage            v1alpha1.Stage
	Deleting, Retire bool
	Eligible         bool // it may be served here
	Ended            bool // rejected or rolled back, on record
	Validated        bool // on record
	Available        bool // on record, and seen in this pass
	Broken           *Outcome
}

// out says whether the version is to carry no traffic any more.
func (s *VersionState) out() bool {
	return s.Deleting || s.Ended || s.Retire || s.Rollout.Abort
}

// hopeless says whether the version will never serve. One that was validated
// has started once: it may wait for a node as long as it takes.
func (s *VersionState) hopeless() bool {
	return s.Broken != nil && !s.Available && (!s.Validated || s.Broken.Reason != v1alpha1.ReasonStartDeadline)
}

// An Input is everything that a decision depends on.
type Input struct {
	Model    string
	Now      time.Time
	Versions []VersionState // the newest first
	Plan     traffic.Plan
	State    State
	Gates    GateResult // of the candidate on record
}

// Version is the state of the version with the UID; nil where there is none.
func (s *Input) Version(uid types.UID) *VersionState {
	for i := range s.Versions {
		if s.Versions[i].UID == uid {
			return &s.Versions[i]
		}
	}
	return nil
}

// at is the state of the version in the slot; nil where there is none.
func (s *Input) at(place *traffic.Slot) *VersionState {
	if place == nil {
		return nil
	}
	return s.Version(types.UID(place.UID))
}

// Candidate is the newest version that may still earn its place; nil where the
// newest such one has it. What is older than the stable version never may.
func (s *Input) Candidate() *VersionState {
	for i := range s.Versions {
		v := &s.Versions[i]
		if s.State.IsStable(v.UID) {
			return nil
		}
		if v.Eligible && !v.out() && s.State.FormerSlot(v.UID) == nil {
			return v
		}
	}
	return nil
}

// leaves says whether the stable version is to hand over now. A retired one
// waits for a candidate that is on its way.
func (s *Input) leaves(stable, candidate *VersionState) bool {
	switch {
	case stable == nil:
		return true
	case stable.Deleting || stable.Ended || stable.Rollout.Abort:
		return true
	}
	return stable.Retire && candidate == nil && len(s.lastGood(stable)) > 0
}

// lastGood are the versions that were stable before stable and may be again, the last one first.
func (s *Input) lastGood(stable *VersionState) []*VersionState {
	var list []*VersionState
	for _, place := range s.State.Former {
		if v := s.Version(types.UID(place.UID)); v != nil && v != stable && !v.out() && v.Validated {
			list = append(list, v)
		}
	}
	return list
}

// Successor is the version that is to take over from a stable one that leaves, or from none;
// nil while the stable one stays, or where nobody can follow.
func (s *Input) Successor(candidate *VersionState) *VersionState {
	stable := s.at(s.State.Stable)
	if !s.leaves(stable, candidate) {
		return nil
	}
	return s.successor(stable, candidate)
}

// successor is the version that takes over from the stable one: the last known
// good, else the candidate. While the stable one still serves it is waited for;
// where none serves, the first that is available will do.
func (s *Input) successor(stable, candidate *VersionState) *VersionState {
	list := s.lastGood(stable)
	if candidate != nil {
		list = append(list, candidate)
	}
	list = slices.DeleteFunc(list, func(v *VersionState) bool { return v.Broken != nil && !v.Available })
	if stable == nil {
		for _, v := range list {
			if v.Available && s.blocks(v) == nil {
				return v
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// blocks says why the version may not be given all of the traffic now; nil if it may.
func (s *Input) blocks(v *VersionState) *pass.Reason {
	former := s.State.FormerSlot(v.UID) != nil
	switch {
	case !v.Validated:
		return &pass.Reason{Reason: v1alpha1.ReasonProgressing, Message: "not validated yet"}
	case !former && v.Rollout.Strategy == v1alpha1.StrategyHold:
		return &pass.Reason{Reason: v1alpha1.ReasonHeld, Message: "validated and warm; no traffic while spec.rollout.strategy is Hold"}
	case !former && v.Rollout.Paused && !s.State.IsCandidate(v.UID):
		return &pass.Reason{Reason: v1alpha1.ReasonPaused, Message: "paused by spec.rollout.paused before any traffic"}
	case !v.Available:
		return &pass.Reason{Reason: v1alpha1.ReasonUnavailable, Message: "no replica is ready yet"}
	}
	return nil
}
