package modelversion

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// A standing is what is known of one version in this pass.
type standing struct {
	uid              types.UID
	version          string
	endpoint, digest string
	rollout          v1alpha1.Rollout
	stage            v1alpha1.Stage
	deleting, retire bool
	eligible         bool // it may be served here
	ended            bool // rejected or rolled back, on record
	validated        bool // on record
	available        bool // on record, and seen in this pass
	broken           *ending
}

// out says whether the version is to carry no traffic any more.
func (s *standing) out() bool {
	return s.deleting || s.ended || s.retire || s.rollout.Abort
}

// hopeless says whether the version will never serve. One that was validated
// has started once: it may wait for a node as long as it takes.
func (s *standing) hopeless() bool {
	return s.broken != nil && !s.available && (!s.validated || s.broken.Reason != v1alpha1.ReasonStartDeadline)
}

// A situation is everything that a decision depends on.
type situation struct {
	model    string
	now      time.Time
	versions []standing // newest first
	plan     traffic.Plan
	record   record
	gates    judgement // of the record's candidate
}

// A decision is what plan and record should be, and what versions wait for.
type decision struct {
	plan   traffic.Plan
	record record
	why    map[types.UID]verdict
	ends   []ending
}

// verdict is a reason with its sentence.
type verdict struct{ reason, message string }

func (s *situation) find(uid types.UID) *standing {
	for i := range s.versions {
		if s.versions[i].uid == uid {
			return &s.versions[i]
		}
	}
	return nil
}

func (s *situation) at(place *seat) *standing {
	if place == nil {
		return nil
	}
	return s.find(place.UID)
}

// candidate is the newest version that may still earn its place; nil where the
// newest such one has it. What is older than the stable version never may.
func (s *situation) candidate() *standing {
	for i := range s.versions {
		v := &s.versions[i]
		if s.record.Stable.is(v.uid) {
			return nil
		}
		if v.eligible && !v.out() && s.record.former(v.uid) == nil {
			return v
		}
	}
	return nil
}

// leaves says whether the stable version is to hand over now. A retired one
// waits for a candidate that is on its way.
func (s *situation) leaves(stable, candidate *standing) bool {
	switch {
	case stable == nil:
		return true
	case stable.deleting || stable.ended || stable.rollout.Abort:
		return true
	}
	return stable.retire && candidate == nil && len(s.good(stable)) > 0
}

// good are the versions that were stable before stable and may be again, the last one first.
func (s *situation) good(stable *standing) []*standing {
	var list []*standing
	for _, place := range s.record.Former {
		if v := s.find(place.UID); v != nil && v != stable && !v.out() && v.validated {
			list = append(list, v)
		}
	}
	return list
}

// heir is the version that takes over from the stable one: the last known
// good, else the candidate. While the stable one still serves it is waited for;
// where none serves, the first that is available will do.
func (s *situation) heir(stable, candidate *standing) *standing {
	list := s.good(stable)
	if candidate != nil {
		list = append(list, candidate)
	}
	list = slices.DeleteFunc(list, func(v *standing) bool { return v.broken != nil && !v.available })
	if stable == nil {
		for _, v := range list {
			if v.available && s.blocks(v) == nil {
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
func (s *situation) blocks(v *standing) *verdict {
	former := s.record.former(v.uid) != nil
	switch {
	case !v.validated:
		return &verdict{v1alpha1.ReasonProgressing, "not validated yet"}
	case !former && v.rollout.Strategy == v1alpha1.StrategyHold:
		return &verdict{v1alpha1.ReasonHeld, "validated and warm; no traffic while spec.rollout.strategy is Hold"}
	case !former && v.rollout.Paused && !s.record.Candidate.is(v.uid):
		return &verdict{v1alpha1.ReasonPaused, "paused by spec.rollout.paused before any traffic"}
	case !v.available:
		return &verdict{v1alpha1.ReasonUnavailable, "no replica is ready yet"}
	}
	return nil
}

// decide says what plan and record should be. It looks at nothing else.
func decide(s situation) decision {
	d := decision{plan: s.plan, record: s.record.clone(), why: map[types.UID]verdict{}}
	candidate, stable := s.candidate(), s.at(s.record.Stable)
	d.withdraw(&s, candidate)
	for i := range s.versions { // what ends without having had any traffic
		switch v := &s.versions[i]; {
		case v.ended || v.deleting || s.record.holds(v.uid):
		case v.rollout.Abort:
			d.ends = append(d.ends, aborted(v, s.now))
		case v == candidate && v.hopeless():
			d.ends = append(d.ends, *v.broken)
		}
	}
	if s.leaves(stable, candidate) {
		d.handOver(&s, stable, candidate)
	} else if candidate != nil {
		d.advance(&s, candidate)
	}
	d.record.forget(func(uid types.UID) bool { return s.find(uid) != nil })
	d.render(&s)
	return d
}

func aborted(v *standing, now time.Time) ending {
	return ending{UID: v.uid, Version: v.version, Stage: v.stage, Reason: v1alpha1.ReasonAborted, Message: "aborted by spec.rollout.abort", At: now}
}

// end takes a version that is in the plan out for good: the reason stands in the same write.
func (d *decision) end(e ending) {
	d.record.Ended = append(d.record.Ended, e)
	d.ends = append(d.ends, e)
}

// withdraw takes the recorded candidate out of the plan where it may not stay.
func (d *decision) withdraw(s *situation, candidate *standing) {
	if s.record.Candidate == nil {
		return
	}
	v := s.at(s.record.Candidate)
	switch {
	case v == nil || v.deleting || v.ended:
	case v.rollout.Abort:
		d.end(aborted(v, s.now))
	case v != candidate: // retired, superseded, or not to be served any more
	case !v.available:
		e := ending{Reason: v1alpha1.ReasonUnavailable, Message: "no replica says that it is ready"}
		if v.broken != nil {
			e = *v.broken
		}
		e.UID, e.Version, e.Stage, e.At = v.uid, v.version, v.stage, s.now
		d.end(e)
	case s.gates.failed != nil:
		d.end(ending{UID: v.uid, Version: v.version, Stage: v.stage, At: s.now, Reason: s.gates.failed.reason, Message: s.gates.failed.message})
	case v.rollout.Strategy == v1alpha1.StrategyHold:
	default:
		return
	}
	d.record.Candidate, d.record.Step, d.record.StepStarted = nil, 0, time.Time{}
}

// handOver gives the traffic to the heir, if there is one, and keeps the stable
// version serving until it can take it.
func (d *decision) handOver(s *situation, stable, candidate *standing) {
	if candidate != nil && d.over(candidate.uid) {
		candidate = nil
	}
	if stable == nil {
		d.record.Stable = nil
	}
	heir := s.heir(stable, candidate)
	if heir == nil {
		d.leave(s, stable)
		return
	}
	if block := s.blocks(heir); block != nil {
		if heir == candidate {
			d.why[heir.uid] = *block
		}
		if stable != nil {
			d.why[stable.uid] = verdict{v1alpha1.ReasonHandingOver,
				fmt.Sprintf("serves until version %q can: %s", heir.version, block.message)}
		}
		return
	}
	d.leave(s, stable)
	d.seat(heir, s.now)
	d.record.Candidate, d.record.Step, d.record.StepStarted = nil, 0, time.Time{}
}

// over says whether this decision ended the version.
func (d *decision) over(uid types.UID) bool {
	return slices.ContainsFunc(d.ends, func(e ending) bool { return e.UID == uid })
}

// leave empties the stable version's place.
func (d *decision) leave(s *situation, stable *standing) {
	if stable != nil && stable.rollout.Abort && !stable.ended && !stable.deleting {
		d.end(aborted(stable, s.now))
	}
	d.record.Stable = nil
}

// seat makes the version the stable one.
func (d *decision) seat(v *standing, now time.Time) {
	d.record.Former = slices.DeleteFunc(d.record.Former, func(f seat) bool { return f.UID == v.uid })
	d.record.Stable = &seat{Version: v.version, UID: v.uid, Promoted: now}
}

// advance moves the candidate along its way, one step at most.
func (d *decision) advance(s *situation, v *standing) {
	if d.over(v.uid) {
		return
	}
	block, started := s.blocks(v), s.record.Candidate.is(v.uid)
	if block != nil {
		d.why[v.uid] = *block
		return
	}
	steps := v.rollout.Steps
	switch {
	case v.rollout.Paused:
		d.why[v.uid] = verdict{v1alpha1.ReasonPaused, fmt.Sprintf("paused by spec.rollout.paused %s", placeOf(s.record.Step, steps))}
		return
	case v.rollout.Strategy == v1alpha1.StrategyImmediate:
		d.promote(s, v)
		return
	case !started && v.rollout.Shadow != nil:
		d.enter(v, 0, s.now)
		return
	case !started:
		d.enterOrPromote(s, v, 1)
		return
	case s.gates.holds != nil:
		d.why[v.uid] = *s.gates.holds
		return
	case !s.gates.asked:
		d.why[v.uid] = verdict{v1alpha1.ReasonProgressing, "is watched " + placeOf(s.record.Step, steps)}
		return
	}
	d.enterOrPromote(s, v, s.record.Step+1)
}

// placeOf words where on its way a version is.
func placeOf(step int32, steps []v1alpha1.Step) string {
	if i := int(step) - 1; i >= 0 && i < len(steps) {
		return fmt.Sprintf("at step %d of %d, %d %% of the traffic", step, len(steps), steps[i].Weight)
	}
	if step == 0 {
		return "in the shadow"
	}
	return "after its last step"
}

func (d *decision) enter(v *standing, step int32, now time.Time) {
	d.record.Candidate = &seat{Version: v.version, UID: v.uid}
	d.record.Step, d.record.StepStarted = step, now
	steps := v.rollout.Steps
	d.why[v.uid] = verdict{v1alpha1.ReasonProgressing, "is watched " + placeOf(step, steps)}
}

func (d *decision) enterOrPromote(s *situation, v *standing, step int32) {
	if int(step) <= len(v.rollout.Steps) {
		d.enter(v, step, s.now)
		return
	}
	d.promote(s, v)
}

// promote gives the candidate all of the traffic. The stable version becomes
// the last known good.
func (d *decision) promote(s *situation, v *standing) {
	before := d.record.Stable
	d.seat(v, s.now)
	if before != nil {
		place := *before
		place.Demoted = s.now
		d.record.Former = append([]seat{place}, d.record.Former...)
	}
	d.record.Candidate, d.record.Step, d.record.StepStarted = nil, 0, time.Time{}
}

// render writes the plan that the record says. It has a new revision where it
// differs from the one there is.
func (d *decision) render(s *situation) {
	plan := render(s, d.record)
	plan.Revision, plan.Salt = s.plan.Revision, s.plan.Salt
	if d.record.Candidate != nil {
		plan.Salt = saltOf(s.model, d.record.Candidate.Version)
	} else if plan.Salt == "" && d.record.Stable != nil {
		plan.Salt = saltOf(s.model, d.record.Stable.Version)
	}
	d.plan = s.plan
	if samePlan(plan, s.plan) {
		return
	}
	if !slices.Equal(weightless(plan), weightless(s.plan)) || !reflect.DeepEqual(plan.Shadow, s.plan.Shadow) {
		d.record.Changed = s.now
	}
	plan.Revision++
	d.plan = plan
}

// render is the plan of a record, without revision and salt. A step whose
// weight was edited has the new weight; one that was removed, the last there is.
func render(s *situation, r record) traffic.Plan {
	plan := traffic.Plan{Model: s.model, Entries: []traffic.Entry{}}
	stable, candidate := s.at(r.Stable), s.at(r.Candidate)
	if stable == nil {
		return plan
	}
	var weight int32
	if candidate != nil && r.Step > 0 && len(candidate.rollout.Steps) > 0 {
		weight = candidate.rollout.Steps[min(int(r.Step), len(candidate.rollout.Steps))-1].Weight
		plan.Entries = append(plan.Entries, candidate.entry(weight))
	}
	plan.Entries = append(plan.Entries, stable.entry(traffic.Total-weight))
	if candidate != nil && r.Step == 0 && candidate.rollout.Shadow != nil {
		plan.Shadow = &traffic.Shadow{
			Version: candidate.version, Percent: candidate.rollout.Shadow.Percent, Endpoint: candidate.endpoint, Digest: candidate.digest,
		}
	}
	return plan
}

func (s *standing) entry(weight int32) traffic.Entry {
	return traffic.Entry{Version: s.version, Weight: weight, Endpoint: s.endpoint, Digest: s.digest}
}

func samePlan(a, b traffic.Plan) bool {
	return a.Model == b.Model && a.Salt == b.Salt && slices.Equal(a.Entries, b.Entries) && reflect.DeepEqual(a.Shadow, b.Shadow)
}

func weightless(p traffic.Plan) []string {
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
