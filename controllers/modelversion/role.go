package modelversion

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// A role is the version's place among the others, as the record has it now.
type role int

const (
	roleQueued  role = iota // another goes first
	roleChosen              // the candidate, without traffic yet
	roleRising              // the candidate, in the plan
	roleStable              // carries the traffic
	roleFormer              // did, and may again
	rolePassed              // an older one that never did
	roleRetired             // out of service
	roleEnded               // rejected or rolled back
)

func (p *modelPass) roleOf(m *versionPass) role {
	rec, uid := p.record.state, m.mv.UID
	switch {
	case rec.IsStable(uid):
		return roleStable
	case m.ended != nil || m.over():
		return roleEnded
	case rec.IsCandidate(uid):
		return roleRising
	case m.mv.Spec.Retire:
		return roleRetired
	case rec.FormerSlot(uid) != nil:
		return roleFormer
	case p.candidate == m:
		return roleChosen
	}
	if stable := p.stable(); stable != nil && rollout.NewerFirst(stable.mv, m.mv) < 0 {
		return rolePassed
	}
	return roleQueued
}

func (p *modelPass) stable() *versionPass {
	if p.record.state.Stable == nil {
		return nil
	}
	return p.version(types.UID(p.record.state.Stable.UID))
}
