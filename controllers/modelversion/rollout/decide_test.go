package rollout

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// canary is a rollout through a shadow and two steps.
func canary() v1alpha1.Rollout {
	return v1alpha1.Rollout{
		Strategy: v1alpha1.StrategyCanary,
		Shadow:   &v1alpha1.Shadow{Percent: 10, MinSamples: 100},
		Steps: []v1alpha1.Step{
			{Weight: 5, MinDuration: &metav1.Duration{Duration: time.Minute}, MinSamples: 100},
			{Weight: 50, MinDuration: &metav1.Duration{Duration: time.Minute}},
		},
	}
}

// tale is an input in the making: version 1 is stable, or none.
type tale struct{ Input }

// given are versions, the newest first, all validated and ready.
func given(versions ...string) *tale {
	g := &tale{Input{Model: "pat", Now: noon.Add(time.Hour)}}
	for _, v := range versions {
		g.Versions = append(g.Versions, VersionState{
			UID: types.UID("uid-" + v), Version: v, Endpoint: v + ".svc:8001", Digest: "sha256:" + v,
			Rollout:  canary(),
			Eligible: true, Validated: true, Available: true,
		})
	}
	return g
}

func (g *tale) version(v string, change func(*VersionState)) *tale {
	change(g.Version(types.UID("uid-" + v)))
	return g
}

func slotOf(v string) *traffic.Slot { return &traffic.Slot{Version: v, UID: "uid-" + v} }

func (g *tale) stable(v string) *tale { g.State.Stable = slotOf(v); return g.inPlan() }
func (g *tale) former(v string) *tale {
	g.State.Former = append(g.State.Former, *slotOf(v))
	return g
}
func (g *tale) rising(v string, step int32) *tale {
	g.State.Candidate, g.State.Step, g.State.StepStarted = slotOf(v), step, noon
	return g.inPlan()
}
func (g *tale) judged(j GateResult) *tale { g.Gates = j; j.Evaluated = true; return g }

// inPlan makes the plan what the record says.
func (g *tale) inPlan() *tale {
	g.Plan = Render(&g.Input, g.State)
	g.Plan.Revision, g.Plan.Salt = 7, saltOf("pat", "1")
	if g.State.Candidate != nil {
		g.Plan.Salt = saltOf("pat", g.State.Candidate.Version)
	}
	return g
}

// line puts a decision into a line: the plan; the record; who ended; who waits for what.
func line(g *tale, d Decision) string {
	var parts, ends, waits []string
	for _, e := range d.Plan.Entries {
		parts = append(parts, fmt.Sprintf("%s=%d", e.Version, e.Weight))
	}
	if d.Plan.Shadow != nil {
		parts = append(parts, fmt.Sprintf("shadow %s=%d", d.Plan.Shadow.Version, d.Plan.Shadow.Percent))
	}
	text := strings.Join(parts, " ")
	if text == "" {
		text = "nobody"
	}
	if len(d.State.Former) > 0 {
		text += "; before"
		for _, f := range d.State.Former {
			text += " " + f.Version
		}
	}
	for _, e := range d.Outcomes {
		ends = append(ends, e.Version+" "+e.Reason)
	}
	for uid, why := range d.Waiting {
		waits = append(waits, strings.TrimPrefix(string(uid), "uid-")+" "+why.Reason)
	}
	slices.Sort(waits)
	if len(ends) > 0 {
		text += "; ends " + strings.Join(ends, ", ")
	}
	if len(waits) > 0 {
		text += "; waits " + strings.Join(waits, ", ")
	}
	if revision := g.Plan.Revision; d.Plan.Revision != revision && SamePlan(d.Plan, g.Plan) {
		text += "; a new revision of the same plan"
	}
	return text
}

func passed() GateResult { return GateResult{Evaluated: true} }

func TestThePlanFollowsFromTheInput(t *testing.T) {
	hold := func(s *VersionState) { s.Rollout.Strategy = v1alpha1.StrategyHold }
	immediate := func(s *VersionState) { s.Rollout.Strategy = v1alpha1.StrategyImmediate }
	paused := func(s *VersionState) { s.Rollout.Paused = true }
	aborted := func(s *VersionState) { s.Rollout.Abort = true }
	deleting := func(s *VersionState) { s.Deleting = true }
	retired := func(s *VersionState) { s.Retire = true }
	ended := func(s *VersionState) { s.Ended = true }
	unvalidated := func(s *VersionState) { s.Validated, s.Available = false, false }
	down := func(s *VersionState) { s.Available = false }
	crashing := func(s *VersionState) {
		s.Available, s.Broken = false, &Outcome{UID: s.UID, Version: s.Version, Reason: v1alpha1.ReasonCrashLooping}
	}
	late := func(s *VersionState) {
		s.Available, s.Broken = false, &Outcome{UID: s.UID, Version: s.Version, Reason: v1alpha1.ReasonStartDeadline}
	}
	excluded := func(s *VersionState) { s.Eligible = false }
	direct := func(s *VersionState) { s.Rollout.Shadow, s.Rollout.Steps = nil, nil }
	shadowless := func(s *VersionState) { s.Rollout.Shadow = nil }
	failed := GateResult{Evaluated: true, Failed: &pass.Reason{Reason: v1alpha1.ReasonGateFailed, Message: "p99"}}
	samples := GateResult{Evaluated: true, Waiting: &pass.Reason{Reason: v1alpha1.ReasonWaitingForSamples, Message: "7 of 100"}}
	source := GateResult{Evaluated: true, Waiting: &pass.Reason{Reason: v1alpha1.ReasonGateSourceUnavailable, Message: "no answer"}}

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
		"the first version crashes":                                {given("1").version("1", crashing).version("1", func(s *VersionState) { s.Validated = false }), "nobody; ends 1 CrashLooping"},
		"the first version is never ready":                         {given("1").version("1", late).version("1", func(s *VersionState) { s.Validated = false }), "nobody; ends 1 StartDeadlineExceeded"},
		"a validated version waits for a node as long as it takes": {given("1").version("1", late), "nobody"},
		"of two first versions the newer goes first":               {given("2", "1").version("2", unvalidated), "nobody; waits 2 Progressing"},
		"the newer of two first versions has ended":                {given("2", "1").version("2", ended), "1=100"},
		"the newer of two first versions may not run here":         {given("2", "1").version("2", excluded), "1=100"},

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
		"a step's weight is edited: it is applied":                 {given("2", "1").stable("1").rising("2", 1).version("2", func(s *VersionState) { s.Rollout.Steps = []v1alpha1.Step{{Weight: 20}} }), "2=20 1=80; waits 2 Progressing"},
		"the last steps are taken away: all of it is next":         {given("2", "1").stable("1").rising("2", 2).version("2", func(s *VersionState) { s.Rollout.Steps = s.Rollout.Steps[:1] }).judged(passed()), "2=100; before 1"},
		"the shadow is taken away: the first step is next":         {given("2", "1").stable("1").rising("2", 0).version("2", shadowless).judged(passed()), "2=5 1=95; waits 2 Progressing"},
		"in the middle the strategy becomes Immediate: all of it":  {given("2", "1").stable("1").rising("2", 1).version("2", immediate), "2=100; before 1"},
		"in the middle the strategy becomes Hold: back to nothing": {given("2", "1").stable("1").rising("2", 1).version("2", hold), "1=100; waits 2 Held"},
		"an older version than the stable one never is candidate":  {given("2", "1").stable("2"), "2=100"},

		// The way back.
		"a gate fails in the shadow":                                   {given("2", "1").stable("1").rising("2", 0).judged(failed), "1=100; ends 2 GateFailed"},
		"a gate fails at a step":                                       {given("2", "1").stable("1").rising("2", 2).judged(failed), "1=100; ends 2 GateFailed"},
		"a gate fails while it is paused":                              {given("2", "1").stable("1").rising("2", 1).version("2", paused).judged(failed), "1=100; ends 2 GateFailed"},
		"a candidate with traffic is not ready any more":               {given("2", "1").stable("1").rising("2", 1).version("2", down), "1=100; ends 2 Unavailable"},
		"a candidate with traffic crashes":                             {given("2", "1").stable("1").rising("2", 1).version("2", crashing), "1=100; ends 2 CrashLooping"},
		"one replica crashes and another serves":                       {given("2", "1").stable("1").rising("2", 1).version("2", crashing).version("2", func(s *VersionState) { s.Available = true }), "2=5 1=95; waits 2 Progressing"},
		"a candidate with traffic is aborted":                          {given("2", "1").stable("1").rising("2", 1).version("2", aborted), "1=100; ends 2 Aborted"},
		"a candidate without traffic is aborted":                       {given("2", "1").stable("1").version("2", aborted), "1=100; ends 2 Aborted"},
		"a candidate with traffic is deleted":                          {given("2", "1").stable("1").rising("2", 1).version("2", deleting), "1=100"},
		"a candidate with traffic is retired":                          {given("2", "1").stable("1").rising("2", 1).version("2", retired), "1=100"},
		"a candidate with traffic is gone without a word":              {given("1").stable("1").rising("2", 1), "1=100"},
		"a validated candidate without traffic crashes":                {given("2", "1").stable("1").version("2", crashing), "1=100; ends 2 CrashLooping"},
		"what has ended stays ended":                                   {given("2", "1").stable("1").version("2", ended).version("2", aborted), "1=100"},
		"an aborted version that was stable before does not take over": {given("2", "1").stable("2").former("1").version("1", aborted), "2=100; before 1; ends 1 Aborted"},

		// Three versions.
		"a newer version comes: the one in the middle loses its weight":     {given("3", "2", "1").stable("1").rising("2", 1).version("3", unvalidated), "1=100; waits 3 Progressing"},
		"a newer version that is ready takes the shadow at once":            {given("3", "2", "1").stable("1").rising("2", 1), "1=100 shadow 3=10; waits 3 Progressing"},
		"the newer one has ended: the one in the middle starts anew":        {given("3", "2", "1").stable("1").version("3", ended), "1=100 shadow 2=10; waits 2 Progressing"},
		"a newer version that may not run here changes nothing":             {given("3", "2", "1").stable("1").rising("2", 1).version("3", excluded), "2=5 1=95; waits 2 Progressing"},
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
		"a version that failed its validation does not take over":          {given("2", "1").stable("1").version("1", deleting).version("2", unvalidated).version("2", ended), "nobody"},
		"the plan was tampered with: it becomes what the record says":      {given("1").stable("1").tampered(), "1=100"},
		"nothing is new: nothing changes":                                  {given("2", "1").stable("2").former("1"), "2=100; before 1"},
		"a plan that nobody wrote has the salt of its stable version":      {given("1"), "1=100"},
		"the candidate is the stable version: there is nothing to be done": {given("1").stable("1"), "1=100"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tt.given.State.clone()
			d := Decide(tt.given.Input)
			if diff := cmp.Diff(tt.want, line(tt.given, d)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if err := d.Plan.Validate(); err != nil {
				t.Errorf("plan: %v", err)
			}
			if diff := cmp.Diff(before, tt.given.State); diff != "" {
				t.Errorf("decide wrote to its input (-before +after):\n%s", diff)
			}
			checkDecision(t, tt.given, d)
			again := tt.given.Input
			again.Plan, again.State, again.Gates = d.Plan, d.State, GateResult{}
			if next := Decide(again); next.Plan.Revision != d.Plan.Revision && !tt.given.moves(d) {
				t.Errorf("decided again, nothing new: revision %d after %d", next.Plan.Revision, d.Plan.Revision)
			}
		})
	}
}

// moves says whether a second decision may go on from the first without news:
// an end, or a place that became empty, opens the way for others.
func (g *tale) moves(d Decision) bool {
	return len(d.Outcomes) > 0 || d.State.Stable == nil || g.State.Stable == nil || d.State.Stable.UID != g.State.Stable.UID ||
		g.State.Candidate != nil && d.State.Candidate == nil
}

func (g *tale) tampered() *tale {
	g.Plan.Entries = []traffic.Entry{{Version: "evil", Weight: 100, Endpoint: "x", Digest: "y"}}
	return g
}

// checkDecision holds a decision against what must hold of every one.
func checkDecision(t *testing.T, g *tale, d Decision) {
	t.Helper()
	for _, e := range d.Plan.Entries {
		v := g.Version(types.UID("uid-" + e.Version))
		switch {
		case v == nil:
			t.Errorf("%q has weight and is not there", e.Version)
		case g.State.IsStable(v.UID): // what a candidate loses goes back, there is nowhere better
		case e.Weight > g.Plan.Weight(e.Version) && (!v.Validated || !v.Available || v.Deleting || v.Ended || v.Rollout.Abort):
			t.Errorf("%q is given weight: %+v", e.Version, v)
		}
	}
	if d.Plan.Revision > g.Plan.Revision+1 || d.Plan.Revision < g.Plan.Revision {
		t.Errorf("revision %d after %d", d.Plan.Revision, g.Plan.Revision)
	}
	if SamePlan(d.Plan, g.Plan) != (d.Plan.Revision == g.Plan.Revision) {
		t.Errorf("the revision tells %d after %d, the plan is the same: %v", d.Plan.Revision, g.Plan.Revision, SamePlan(d.Plan, g.Plan))
	}
}

// anyInput makes an input by chance.
func anyInput(random func(int) int) *tale {
	g := given([]string{"4", "3", "2", "1"}[random(4):]...)
	g.Gates = []GateResult{{}, passed(), {Evaluated: true, Failed: &pass.Reason{Reason: "GateFailed"}}, {Evaluated: true, Waiting: &pass.Reason{Reason: "WaitingForSamples"}}}[random(4)]
	for i := range g.Versions {
		v := &g.Versions[i]
		one := func(n int) bool { return random(n) == 0 }
		v.Validated, v.Available, v.Eligible = !one(3), !one(3), !one(6)
		v.Deleting, v.Retire, v.Ended, v.Rollout.Abort, v.Rollout.Paused = one(5), one(6), one(6), one(8), one(6)
		v.Rollout.Strategy = []v1alpha1.Strategy{v1alpha1.StrategyCanary, v1alpha1.StrategyCanary, v1alpha1.StrategyImmediate, v1alpha1.StrategyHold}[random(4)]
		if one(4) {
			v.Rollout.Shadow = nil
		}
		if one(4) {
			v.Broken = &Outcome{UID: v.UID, Version: v.Version, Reason: v1alpha1.ReasonCrashLooping}
		}
	}
	names := []string{"4", "3", "2", "1", "0"}
	if random(4) > 0 {
		g.stable(names[random(5)])
	}
	if name := names[random(5)]; g.State.Stable != nil && random(2) == 0 && name != g.State.Stable.Version {
		g.rising(name, int32(random(4)))
	}
	for _, name := range names[:random(3)] {
		if !g.State.Holds(types.UID("uid-" + name)) {
			g.former(name)
		}
	}
	return g
}

// keepsTheRules holds the input's decision against what must hold of every one, and
// decides on without news until nothing changes.
func keepsTheRules(t *testing.T, g *tale) {
	t.Helper()
	d := Decide(g.Input)
	if err := d.Plan.Validate(); err != nil {
		t.Fatalf("%v: %+v", err, g)
	}
	checkDecision(t, g, d)
	if t.Failed() {
		t.Fatalf("%s\ngives %s", inJSON(g.State), inJSON(d.State))
	}
	for range 12 { // without news it comes to rest
		s := g.Input
		s.Plan, s.State, s.Gates = d.Plan, d.State, GateResult{}
		for i := range s.Versions {
			s.Versions[i].Ended = s.Versions[i].Ended || d.ended(s.Versions[i].UID)
		}
		g.Input, d = s, Decide(s)
	}
	if d.Plan.Revision != g.Plan.Revision || !cmp.Equal(d.State, g.State) {
		t.Fatalf("does not come to rest: %s\ngives %s", inJSON(g.State), inJSON(d.State))
	}
}

// Whatever an input is, its decision breaks no rule, and deciding goes to an end.
func TestEveryDecisionKeepsTheRules(t *testing.T) {
	random := newRandom(20261125)
	for range 5000 {
		keepsTheRules(t, anyInput(random))
	}
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24})
	f.Fuzz(func(t *testing.T, choices []byte) {
		keepsTheRules(t, anyInput(func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			choice := int(choices[0]) % n
			choices = choices[1:]
			return choice
		}))
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"model":"pat","revision":1,"entries":[]}`, `{"step":1}`)
	f.Add(`{"model":"pat","revision":3,"salt":"s","entries":[{"version":"1","weight":100,"endpoint":"e","digest":"d"}]}`, `{"stable":{"version":"1","uid":"u"},"ended":[{"uid":"x"}]}`)
	f.Fuzz(func(t *testing.T, plan, state string) {
		p, s, ok := Decode("pat", map[string]string{traffic.PlanKey: plan, traffic.StateKey: state})
		if !ok {
			if !cmp.Equal(p, traffic.Plan{}) || !cmp.Equal(s, State{}) {
				t.Errorf("what is not read is %+v, %+v", p, s)
			}
			return
		}
		data, err := Encode(p, s)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, same, ok := Decode("pat", data)
		if !ok || !cmp.Equal(p, again, cmpopts.EquateEmpty()) || !cmp.Equal(s, same, cmpopts.EquateEmpty()) {
			t.Errorf("read again: %v\n%s", ok, cmp.Diff(s, same, cmpopts.EquateEmpty()))
		}
	})
}

// inJSON writes a value out for a test's message.
func inJSON(v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
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
	first := Decide(g.Input)
	salt := first.Plan.Salt
	if salt == g.Plan.Salt || salt == saltOf("pat", "3") {
		t.Errorf("a rollout has salt %q, the one before %q", salt, g.Plan.Salt)
	}
	s := g.Input
	for step := range int32(3) {
		s.Plan, s.State, s.Gates = first.Plan, first.State, passed()
		if first = Decide(s); first.Plan.Salt != salt {
			t.Errorf("after step %d the salt is %q, want %q", step, first.Plan.Salt, salt)
		}
	}
	if w := first.Plan.Weight("2"); w != 100 {
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
