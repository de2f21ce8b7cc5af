package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"

	"github.com/clarity-loop/clarity/api/traffic"
)

// render writes the plan that the state says. It has a new revision where it
// differs from the one there is.
func (d *Decision) render(s *Input) {
	plan := Render(s, d.State)
	plan.Revision, plan.Salt = s.Plan.Revision, s.Plan.Salt
	if d.State.Candidate != nil {
		plan.Salt = saltOf(s.Model, d.State.Candidate.Version)
	} else if plan.Salt == "" && d.State.Stable != nil {
		plan.Salt = saltOf(s.Model, d.State.Stable.Version)
	}
	d.Plan = s.Plan
	if SamePlan(plan, s.Plan) {
		return
	}
	if !slices.Equal(versionsOf(plan), versionsOf(s.Plan)) || !reflect.DeepEqual(plan.Shadow, s.Plan.Shadow) {
		d.State.Changed = s.Now
	}
	plan.Revision++
	d.Plan = plan
}

// Render is the plan of a state, without revision and salt. A step whose
// weight was edited has the new weight; one that was removed, the last there is.
func Render(s *Input, r State) traffic.Plan {
	plan := traffic.Plan{Model: s.Model, Entries: []traffic.Entry{}}
	stable, candidate := s.at(r.Stable), s.at(r.Candidate)
	if stable == nil {
		return plan
	}
	var weight int32
	if candidate != nil && r.Step > 0 && len(candidate.Rollout.Steps) > 0 {
		weight = candidate.Rollout.Steps[min(int(r.Step), len(candidate.Rollout.Steps))-1].Weight
		plan.Entries = append(plan.Entries, candidate.entry(weight))
	}
	plan.Entries = append(plan.Entries, stable.entry(traffic.Total-weight))
	if candidate != nil && r.Step == 0 && candidate.Rollout.Shadow != nil {
		plan.Shadow = &traffic.Shadow{
			Version: candidate.Version, Percent: candidate.Rollout.Shadow.Percent, Endpoint: candidate.Endpoint, Digest: candidate.Digest,
		}
	}
	return plan
}

func (s *VersionState) entry(weight int32) traffic.Entry {
	return traffic.Entry{Version: s.Version, Weight: weight, Endpoint: s.Endpoint, Digest: s.Digest}
}

// SamePlan says whether two plans send the same requests to the same versions, whatever their revisions.
func SamePlan(a, b traffic.Plan) bool {
	return a.Model == b.Model && a.Salt == b.Salt && slices.Equal(a.Entries, b.Entries) && reflect.DeepEqual(a.Shadow, b.Shadow)
}

func versionsOf(p traffic.Plan) []string {
	list := make([]string, len(p.Entries))
	for i, e := range p.Entries {
		list[i] = e.Version
	}
	return list
}

// saltOf stays for a rollout, and differs from that of any other version.
func saltOf(model, version string) string {
	hash := sha256.Sum256([]byte(model + "@" + version))
	return hex.EncodeToString(hash[:8])
}
