package modelversion

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// tale is a situation in the making: version 1 is stable, or none.
type tale struct{ situation }

// given are versions, the newest first, all validated and ready.
func given(versions ...string) *tale {
	g := &tale{situation{model: "pat", now: noon.Add(time.Hour)}}
	for _, v := range versions {
		g.versions = append(g.versions, standing{
			uid: types.UID("uid-" + v), version: v, endpoint: v + ".svc:8001", digest: "sha256:" + v,
			rollout:  MakeVersion(v).Obj().Spec.Rollout,
			eligible: true, validated: true, available: true,
		})
	}
	return g
}

func (g *tale) version(v string, change func(*standing)) *tale {
	change(g.find(types.UID("uid-" + v)))
	return g
}

func seatOf(v string) *seat { return &seat{Version: v, UID: types.UID("uid-" + v)} }

func (g *tale) stable(v string) *tale { g.record.Stable = seatOf(v); return g.inPlan() }
func (g *tale) former(v string) *tale {
	g.record.Former = append(g.record.Former, *seatOf(v))
	return g
}
func (g *tale) rising(v string, step int32) *tale {
	g.record.Candidate, g.record.Step, g.record.StepStarted = seatOf(v), step, noon
	return g.inPlan()
}
func (g *tale) judged(j judgement) *tale { g.gates = j; j.asked = true; return g }

// inPlan makes the plan what the record says.
func (g *tale) inPlan() *tale {
	g.plan = render(&g.situation, g.record)
	g.plan.Revision, g.plan.Salt = 7, saltOf("pat", "1")
	if g.record.Candidate != nil {
		g.plan.Salt = saltOf("pat", g.record.Candidate.Version)
	}
	return g
}

// line puts a decision into a line: the plan; the record; who ended; who waits for what.
func line(g *tale, d decision) string {
	var parts, ends, waits []string
	for _, e := range d.plan.Entries {
		parts = append(parts, fmt.Sprintf("%s=%d", e.Version, e.Weight))
	}
	if d.plan.Shadow != nil {
		parts = append(parts, fmt.Sprintf("shadow %s=%d", d.plan.Shadow.Version, d.plan.Shadow.Percent))
	}
	text := orElse(strings.Join(parts, " "), "nobody")
	if len(d.record.Former) > 0 {
		text += "; before"
		for _, f := range d.record.Former {
			text += " " + f.Version
		}
	}
	for _, e := range d.ends {
		ends = append(ends, e.Version+" "+e.Reason)
	}
	for uid, why := range d.why {
		waits = append(waits, strings.TrimPrefix(string(uid), "uid-")+" "+why.reason)
	}
	slices.Sort(waits)
	if len(ends) > 0 {
		text += "; ends " + strings.Join(ends, ", ")
	}
	if len(waits) > 0 {
		text += "; waits " + strings.Join(waits, ", ")
	}
	if revision := g.plan.Revision; d.plan.Revision != revision && samePlan(d.plan, g.plan) {
		text += "; a new revision of the same plan"
	}
	return text
}

func passed() judgement { return judgement{asked: true} }

func TestThePlanFollowsFromTheSituation(t *testing.T) {
	hold := func(s *standing) { s.rollout.Strategy = v1alpha1.StrategyHold }
	immediate := func(s *standing) { s.rollout.Strategy = v1alpha1.StrategyImmediate }
	paused := func(s *standing) { s.rollout.Paused = true }
	aborted := func(s *standing) { s.rollout.Abort = true }
	deleting := func(s *standing) { s.deleting = true }
	retired := func(s *standing) { s.retire = true }
	ended := func(s *standing) { s.ended = true }
	unvalidated := func(s *standing) { s.validated, s.available = false, false }
	down := func(s *standing) { s.available = false }
	crashing := func(s *standing) {
		s.available, s.broken = false, &ending{UID: s.uid, Version: s.version, Reason: v1alpha1.ReasonCrashLooping}
	}
	late := func(s *standing) {
		s.available, s.broken = false, &ending{UID: s.uid, Version: s.version, Reason: v1alpha1.ReasonStartDeadline}
	}
	barred := func(s *standing) { s.eligible = false }
	direct := func(s *standing) { s.rollout.Shadow, s.rollout.Steps = nil, nil }
	shadowless := func(s *standing) { s.rollout.Shadow = nil }
	failed := judgement{asked: true, failed: &verdict{v1alpha1.ReasonGateFailed, "p99"}}
	samples := judgement{asked: true, holds: &verdict{v1alpha1.ReasonWaitingForSamples, "7 of 100"}}
	source := judgement{asked: true, holds: &verdict{v1alpha1.ReasonGateSourceUnavailable, "no answer"}}

	tests := map[string]struct {
		given *tale
		want  string
	}{
		// The first version.
		"the first version that is validated gets everything":      {given("1"), "1=100"},
		"the first version waits for its validation":               {given("1").version("1", unvalidated), "nobody; waits 1 Progressing"},
		"the first version waits until it is ready":                {given("1").version("1", down), "nobody; waits 1 Unavailable"},
		"the first version is held":                                {given("1").version("1", hold), "nobody; waits 1 Held"},
		"the first version is paused":                              {given("1").version("1", paused), "nobody; waits 1 Paused"},
		"the first version is aborted":                             {given("1").version("1", aborted), "nobody; ends 1 Aborted"},
		"the first version crashes":                                {given("1").version("1", crashing).version("1", func(s *standing) { s.validated = false }), "nobody; ends 1 CrashLooping"},
		"the first version is never ready":                         {given("1").version("1", late).version("1", func(s *standing) { s.validated = false }), "nobody; ends 1 StartDeadlineExceeded"},
		"a validated version waits for a node as long as it takes": {given("1").version("1", late), "nobody"},
		"of two first versions the newer goes first":               {given("2", "1").version("2", unvalidated), "nobody; waits 2 Progressing"},
		"the newer of two first versions has ended":                {given("2", "1").version("2", ended), "1=100"},
		"the newer of two first versions may not run here":         {given("2", "1").version("2", barred), "1=100"},

		// The way up.
		"a candidate starts in the shadow":                         {given("2", "1").stable("1"), "1=100 shadow 2=10; waits 2 Progressing"},
		"a candidate without a shadow starts at its first step":    {given("2", "1").stable("1").version("2", shadowless), "2=5 1=95; waits 2 Progressing"},
		"a candidate with neither shadow nor steps takes over":     {given("2", "1").stable("1").version("2", direct), "2=100; before 1"},
		"an immediate candidate takes over":                        {given("2", "1").stable("1").version("2", immediate), "2=100; before 1"},
		"an immediate candidate is paused":                         {given("2", "1").stable("1").version("2", immediate).version("2", paused), "1=100; waits 2 Paused"},
		"a candidate that is not validated has nothing":            {given("2", "1").stable("1").version("2", unvalidated), "1=100; waits 2 Progressing"},
		"a candidate that is not ready has nothing":                {given("2", "1").stable("1").version("2", down), "1=100; waits 2 Unavailable"},
		"a candidate is held":                                      {given("2", "1").stable("1").version("2", hold), "1=100; waits 2 Held"},
		"a candidate is paused before the shadow":                  {given("2", "1").stable("1").version("2", paused), "1=100; waits 2 Paused"},
		"nobody asked the gates: it stays in the shadow":           {given("2", "1").stable("1").rising("2", 0), "1=100 shadow 2=10; waits 2 Progressing"},
		"the gates pass in the shadow: the first step":             {given("2", "1").stable("1").rising("2", 0).judged(passed()), "2=5 1=95; waits 2 Progressing"},
		"the gates pass at the first step: the second":             {given("2", "1").stable("1").rising("2", 1).judged(passed()), "2=50 1=50; waits 2 Progressing"},
		"the gates pass at the last step: all of it":               {given("2", "1").stable("1").rising("2", 2).judged(passed()), "2=100; before 1"},
		"too few samples: it stays":                                {given("2", "1").stable("1").rising("2", 1).judged(samples), "2=5 1=95; waits 2 WaitingForSamples"},
		"the gates' source is down: it stays":                      {given("2", "1").stable("1").rising("2", 1).judged(source), "2=5 1=95; waits 2 GateSourceUnavailable"},
		"the gates pass but it is paused: it stays":                {given("2", "1").stable("1").rising("2", 1).version("2", paused).judged(passed()), "2=5 1=95; waits 2 Paused"},
		"a step's weight is edited: it is applied":                 {given("2", "1").stable("1").rising("2", 1).version("2", func(s *standing) { s.rollout.Steps = []v1alpha1.Step{{Weight: 20}} }), "2=20 1=80; waits 2 Progressing"},
		"the last steps are taken away: all of it is next":         {given("2", "1").stable("1").rising("2", 2).version("2", func(s *standing) { s.rollout.Steps = s.rollout.Steps[:1] }).judged(passed()), "2=100; before 1"},
		"the shadow is taken away: the first step is next":         {given("2", "1").stable("1").rising("2", 0).version("2", shadowless).judged(passed()), "2=5 1=95; waits 2 Progressing"},
		"in the middle the strategy becomes Immediate: all of it":  {given("2", "1").stable("1").rising("2", 1).version("2", immediate), "2=100; before 1"},
		"in the middle the strategy becomes Hold: back to nothing": {given("2", "1").stable("1").rising("2", 1).version("2", hold), "1=100; waits 2 Held"},
		"an older version than the stable one never is candidate":  {given("2", "1").stable("2"), "2=100"},

		// The way back.
		"a gate fails in the shadow":                           {given("2", "1").stable("1").rising("2", 0).judged(failed), "1=100; ends 2 GateFailed"},
		"a gate fails at a step":                               {given("2", "1").stable("1").rising("2", 2).judged(failed), "1=100; ends 2 GateFailed"},
		"a gate fails while it is paused":                      {given("2", "1").stable("1").rising("2", 1).version("2", paused).judged(failed), "1=100; ends 2 GateFailed"},
		"a candidate with traffic is not ready any more":       {given("2", "1").stable("1").rising("2", 1).version("2", down), "1=100; ends 2 Unavailable"},
		"a candidate with traffic crashes":                     {given("2", "1").stable("1").rising("2", 1).version("2", crashing), "1=100; ends 2 CrashLooping"},
		"one replica crashes and another serves":               {given("2", "1").stable("1").rising("2", 1).version("2", crashing).version("2", func(s *standing) { s.available = true }), "2=5 1=95; waits 2 Progressing"},
		"a candidate with traffic is aborted":                  {given("2", "1").stable("1").rising("2", 1).version("2", aborted), "1=100; ends 2 Aborted"},
		"a candidate without traffic is aborted":               {given("2", "1").stable("1").version("2", aborted), "1=100; ends 2 Aborted"},
		"a candidate with traffic is deleted":                  {given("2", "1").stable("1").rising("2", 1).version("2", deleting), "1=100"},
		"a candidate with traffic is retired":                  {given("2", "1").stable("1").rising("2", 1).version("2", retired), "1=100"},
		"a candidate with traffic is gone without a word":      {given("1").stable("1").rising("2", 1), "1=100"},
		"a validated candidate without traffic crashes":        {given("2", "1").stable("1").version("2", crashing), "1=100; ends 2 CrashLooping"},
		"what has ended stays ended":                           {given("2", "1").stable("1").version("2", ended).version("2", aborted), "1=100"},
		"an aborted version that was stable before is no heir": {given("2", "1").stable("2").former("1").version("1", aborted), "2=100; before 1; ends 1 Aborted"},

		// Three versions.
		"a newer version comes: the one in the middle loses its weight":     {given("3", "2", "1").stable("1").rising("2", 1).version("3", unvalidated), "1=100; waits 3 Progressing"},
		"a newer version that is ready takes the shadow at once":            {given("3", "2", "1").stable("1").rising("2", 1), "1=100 shadow 3=10; waits 3 Progressing"},
		"the newer one has ended: the one in the middle starts anew":        {given("3", "2", "1").stable("1").version("3", ended), "1=100 shadow 2=10; waits 2 Progressing"},
		"a newer version that may not run here changes nothing":             {given("3", "2", "1").stable("1").rising("2", 1).version("3", barred), "2=5 1=95; waits 2 Progressing"},
		"the newest is active: those in the middle are passed":              {given("3", "2", "1").stable("3").former("1"), "3=100; before 1"},
		"a former version that is newer than the stable is no candidate":    {given("3", "2", "1").stable("1").former("3").version("2", ended), "1=100; before 3"},
		"the stable and all others are aborted at once":                     {given("2", "1").stable("1").rising("2", 1).version("1", aborted).version("2", aborted), "nobody; ends 2 Aborted, 1 Aborted"},
		"a candidate fails in the very pass in which the stable is leaving": {given("2", "1").stable("1").rising("2", 1).version("1", deleting).judged(failed), "nobody; ends 2 GateFailed"},

		// Handing over.
		"the active one is deleted: the last known good takes over":        {given("2", "1").stable("2").former("1").version("2", deleting), "1=100"},
		"the active one is aborted: the last known good takes over":        {given("2", "1").stable("2").former("1").version("2", aborted), "1=100; ends 2 Aborted"},
		"the active one is retired: the last known good takes over":        {given("2", "1").stable("2").former("1").version("2", retired), "1=100"},
		"the last known good is cold: the deleted one serves on":           {given("2", "1").stable("2").former("1").version("2", deleting).version("1", down), "2=100; before 1; waits 2 HandingOver"},
		"the last known good is cold: the aborted one serves on":           {given("2", "1").stable("2").former("1").version("2", aborted).version("1", down), "2=100; before 1; waits 2 HandingOver"},
		"the last known good does not start: the one before it":            {given("3", "2", "1").stable("3").former("2").former("1").version("3", deleting).version("2", crashing), "1=100; before 2"},
		"the last known good is deleted too: the one before it":            {given("3", "2", "1").stable("3").former("2").former("1").version("3", deleting).version("2", deleting), "1=100; before 2"},
		"the last known good is ahead of a candidate":                      {given("3", "2", "1").stable("2").former("1").rising("3", 1).version("2", deleting), "1=100"},
		"there is no last known good: the candidate takes over":            {given("2", "1").stable("1").rising("2", 1).version("1", deleting), "2=100"},
		"there is no last known good: a paused candidate takes over":       {given("2", "1").stable("1").rising("2", 1).version("1", deleting).version("2", paused), "2=100"},
		"there is no last known good: a candidate is waited for":           {given("2", "1").stable("1").version("1", deleting).version("2", unvalidated), "1=100; waits 1 HandingOver, 2 Progressing"},
		"there is no last known good: a held candidate is waited for":      {given("2", "1").stable("1").version("1", deleting).version("2", hold), "1=100; waits 1 HandingOver, 2 Held"},
		"a retired one serves until the candidate has earned its place":    {given("2", "1").stable("1").rising("2", 1).version("1", retired).judged(passed()), "2=50 1=50; waits 2 Progressing"},
		"a retired one leaves when the candidate is promoted":              {given("2", "1").stable("1").rising("2", 2).version("1", retired).judged(passed()), "2=100; before 1"},
		"a retired one without any other serves on":                        {given("1").stable("1").version("1", retired), "1=100"},
		"the only version is deleted: nobody serves":                       {given("1").stable("1").version("1", deleting), "nobody"},
		"the only version is aborted: nobody serves":                       {given("1").stable("1").version("1", aborted), "nobody; ends 1 Aborted"},
		"the active one is gone without a word: the last known good":       {given("1").stable("2").former("1"), "1=100"},
		"the active one is gone and the last known good is cold":           {given("1").stable("2").former("1").version("1", down), "nobody; before 1"},
		"the active one is gone: of two the one that is ready":             {given("2", "1").stable("3").former("2").former("1").version("2", down), "1=100; before 2"},
		"the active one loses its servers: it keeps its weight":            {given("1").stable("1").version("1", crashing), "1=100"},
		"a version that failed its validation is no heir":                  {given("2", "1").stable("1").version("1", deleting).version("2", unvalidated).version("2", ended), "nobody"},
		"the plan was tampered with: it becomes what the record says":      {given("1").stable("1").tampered(), "1=100"},
		"nothing is new: nothing changes":                                  {given("2", "1").stable("2").former("1"), "2=100; before 1"},
		"a plan that nobody wrote has the salt of its stable version":      {given("1"), "1=100"},
		"the candidate is the stable version: there is nothing to be done": {given("1").stable("1"), "1=100"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tt.given.record.clone()
			d := decide(tt.given.situation)
			if diff := cmp.Diff(tt.want, line(tt.given, d)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if err := d.plan.Validate(); err != nil {
				t.Errorf("plan: %v", err)
			}
			if diff := cmp.Diff(before, tt.given.record); diff != "" {
				t.Errorf("decide wrote to its input (-before +after):\n%s", diff)
			}
			checkDecision(t, tt.given, d)
			again := tt.given.situation
			again.plan, again.record, again.gates = d.plan, d.record, judgement{}
			if next := decide(again); next.plan.Revision != d.plan.Revision && !tt.given.moves(d) {
				t.Errorf("decided again, nothing new: revision %d after %d", next.plan.Revision, d.plan.Revision)
			}
		})
	}
}

// moves says whether a second decision may go on from the first without news:
// an end, or a place that became empty, opens the way for others.
func (g *tale) moves(d decision) bool {
	return len(d.ends) > 0 || d.record.Stable == nil || g.record.Stable == nil || d.record.Stable.UID != g.record.Stable.UID ||
		g.record.Candidate != nil && d.record.Candidate == nil
}

func (g *tale) tampered() *tale {
	g.plan.Entries = []traffic.Entry{{Version: "evil", Weight: 100, Endpoint: "x", Digest: "y"}}
	return g
}

// checkDecision holds a decision against what must hold of every one.
func checkDecision(t *testing.T, g *tale, d decision) {
	t.Helper()
	for _, e := range d.plan.Entries {
		v := g.find(types.UID("uid-" + e.Version))
		switch {
		case v == nil:
			t.Errorf("%q has weight and is not there", e.Version)
		case g.record.Stable.is(v.uid): // what a candidate loses goes back, there is nowhere better
		case e.Weight > g.plan.Weight(e.Version) && (!v.validated || !v.available || v.deleting || v.ended || v.rollout.Abort):
			t.Errorf("%q is given weight: %+v", e.Version, v)
		}
	}
	if d.plan.Revision > g.plan.Revision+1 || d.plan.Revision < g.plan.Revision {
		t.Errorf("revision %d after %d", d.plan.Revision, g.plan.Revision)
	}
	if samePlan(d.plan, g.plan) != (d.plan.Revision == g.plan.Revision) {
		t.Errorf("the revision tells %d after %d, the plan is the same: %v", d.plan.Revision, g.plan.Revision, samePlan(d.plan, g.plan))
	}
}

// Whatever a situation is, its decision breaks no rule, and deciding goes to an end.
func TestEveryDecisionKeepsTheRules(t *testing.T) {
	random := newRandom(20261125)
	for range 5000 {
		g := given([]string{"4", "3", "2", "1"}[random(4):]...)
		g.gates = []judgement{{}, passed(), {asked: true, failed: &verdict{"GateFailed", ""}}, {asked: true, holds: &verdict{"WaitingForSamples", ""}}}[random(4)]
		for i := range g.versions {
			v := &g.versions[i]
			one := func(n int) bool { return random(n) == 0 }
			v.validated, v.available, v.eligible = !one(3), !one(3), !one(6)
			v.deleting, v.retire, v.ended, v.rollout.Abort, v.rollout.Paused = one(5), one(6), one(6), one(8), one(6)
			v.rollout.Strategy = []v1alpha1.Strategy{v1alpha1.StrategyCanary, v1alpha1.StrategyCanary, v1alpha1.StrategyImmediate, v1alpha1.StrategyHold}[random(4)]
			if one(4) {
				v.rollout.Shadow = nil
			}
			if one(4) {
				v.broken = &ending{UID: v.uid, Version: v.version, Reason: v1alpha1.ReasonCrashLooping}
			}
		}
		names := []string{"4", "3", "2", "1", "0"}
		if random(4) > 0 {
			g.stable(names[random(5)])
		}
		if name := names[random(5)]; g.record.Stable != nil && random(2) == 0 && name != g.record.Stable.Version {
			g.rising(name, int32(random(4)))
		}
		for _, name := range names[:random(3)] {
			if !g.record.holds(types.UID("uid-" + name)) {
				g.former(name)
			}
		}
		d := decide(g.situation)
		if err := d.plan.Validate(); err != nil {
			t.Fatalf("%v: %+v", err, g)
		}
		checkDecision(t, g, d)
		if t.Failed() {
			t.Fatalf("%s\ngives %s", testenv.JSON(g.record), testenv.JSON(d.record))
		}
		for range 12 { // without news it comes to rest
			s := g.situation
			s.plan, s.record, s.gates = d.plan, d.record, judgement{}
			for i := range s.versions {
				s.versions[i].ended = s.versions[i].ended || d.over(s.versions[i].uid)
			}
			g.situation, d = s, decide(s)
		}
		if d.plan.Revision != g.plan.Revision || !cmp.Equal(d.record, g.record) {
			t.Fatalf("does not come to rest: %s\ngives %s", testenv.JSON(g.record), testenv.JSON(d.record))
		}
	}
}

// newRandom is a small generator, so that a failure is the same again.
func newRandom(seed uint64) func(int) int {
	return func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed >> 33 % uint64(n))
	}
}

func TestTheSaltStaysForARollout(t *testing.T) {
	g := given("2", "1").stable("1")
	first := decide(g.situation)
	salt := first.plan.Salt
	if salt == g.plan.Salt || salt == saltOf("pat", "3") {
		t.Errorf("a rollout has salt %q, the one before %q", salt, g.plan.Salt)
	}
	s := g.situation
	for step := range int32(3) {
		s.plan, s.record, s.gates = first.plan, first.record, passed()
		if first = decide(s); first.plan.Salt != salt {
			t.Errorf("after step %d the salt is %q, want %q", step, first.plan.Salt, salt)
		}
	}
	if w := first.plan.Weight("2"); w != 100 {
		t.Errorf("the rollout ended with weight %d", w)
	}
}

func TestVersionsAreOrderedAsPeopleCount(t *testing.T) {
	want := []string{"1", "1.2", "1.10", "2", "2026.9.30", "2026.11.1", "2026.11.1-rc1", "2026.11.09", "2026.11.10", "a", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, naturally)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if naturally("2026.11.1", "2026.11.1") != 0 {
		t.Error("a version differs from itself")
	}
}
