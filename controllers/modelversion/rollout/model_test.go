package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// world is a moment of a model's life: what is so of its versions, the newest first, and
// the last decision. It is small enough that every moment there is can be visited.
type world struct{ Input }

// key says which world it is, without times and revisions.
func (w world) key() string {
	var b strings.Builder
	for _, v := range w.Versions {
		fmt.Fprintf(&b, "%s v%v a%v e%v d%v r%v x%v;", v.Version, v.Validated, v.Available, v.Ended, v.Deleting, v.Retire, v.Rollout.Abort)
	}
	name := func(s *traffic.Slot) string {
		if s == nil {
			return "-"
		}
		return s.Version
	}
	fmt.Fprintf(&b, "%s %s@%d", name(w.State.Stable), name(w.State.Candidate), w.State.Step)
	for _, f := range w.State.Former {
		b.WriteString(" " + f.Version)
	}
	for _, e := range w.Plan.Entries {
		fmt.Fprintf(&b, " %s=%d", e.Version, e.Weight)
	}
	return b.String()
}

func (w world) copy() world {
	w.Versions = slices.Clone(w.Versions)
	w.State = w.State.clone()
	return w
}

// next is what may happen to the world: a version comes, changes or goes, or the gates
// have an answer. Each is one event, and one decision follows.
func (w world) next(versions int) map[string]world {
	list := map[string]world{}
	happens := func(what string, change func(*world)) {
		n := w.copy()
		n.Gates = GateResult{}
		change(&n)
		list[what] = n
	}
	if len(w.Versions) < versions {
		happens("a version comes", func(n *world) {
			name := fmt.Sprint(len(n.Versions) + 1)
			n.Versions = slices.Insert(n.Versions, 0, VersionState{
				UID: types.UID("uid-" + name), Version: name, Endpoint: name + ".svc:8001", Digest: "sha256:" + name, Rollout: canary(), Eligible: true,
			})
		})
	}
	for i, v := range w.Versions {
		happens(v.Version+" starts or stops", func(n *world) { n.Versions[i].Available = !v.Available })
		if !v.Validated && v.Available {
			happens(v.Version+" is validated", func(n *world) { n.Versions[i].Validated = true })
		}
		happens(v.Version+" is deleted", func(n *world) { n.Versions[i].Deleting = true })
		happens(v.Version+" is retired", func(n *world) { n.Versions[i].Retire = true })
		happens(v.Version+" is aborted", func(n *world) { n.Versions[i].Rollout.Abort = true })
	}
	if w.State.Candidate != nil {
		happens("the gates pass", func(n *world) { n.Gates = passed() })
		happens("a gate fails", func(n *world) {
			n.Gates = GateResult{Evaluated: true, Failed: &pass.Reason{Reason: v1alpha1.ReasonGateFailed}}
		})
	}
	return list
}

// decided is the world after its decision.
func (w world) decided() (world, Decision) {
	d := Decide(w.Input)
	n := w.copy()
	n.Plan, n.State = d.Plan, d.State
	for i := range n.Versions {
		n.Versions[i].Ended = n.Versions[i].Ended || d.ended(n.Versions[i].UID)
	}
	return n, d
}

// Every moment of a model with two versions is visited, and the nearest of one with three,
// by whatever way events lead there. No decision breaks a rule; nobody is left without an
// answer while a version that served before can; and from every moment, once all servers
// are up and all gates pass, the newest that nobody took out comes to all of the traffic.
func TestEveryMomentOfAModelKeepsTheRules(t *testing.T) {
	for name, tt := range map[string]struct {
		versions, atMost int
	}{
		"two versions, every moment":     {2, 100_000},
		"three versions, the nearest of": {3, 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			start := world{Input{Model: "pat", Now: noon}}
			visited := map[string]bool{start.key(): true}
			queue := []world{start}
			for len(queue) > 0 && len(visited) < tt.atMost {
				w := queue[0]
				queue = queue[1:]
				for what, event := range w.next(tt.versions) {
					after := event.step(t)
					if !visited[after.key()] {
						visited[after.key()] = true
						queue = append(queue, after)
						after.comesToTheNewest(t)
					}
					if t.Failed() {
						t.Fatalf("from %s\n%s\nto %s", w.key(), what, after.key())
					}
				}
			}
			if tt.versions == 2 && len(queue) > 0 {
				t.Errorf("%d moments are left unvisited", len(queue))
			}
			t.Logf("%d moments", len(visited))
		})
	}
}

// step decides once, and holds the decision against the rules.
func (w world) step(t *testing.T) world {
	t.Helper()
	after, d := w.decided()
	checkDecision(t, &tale{w.Input}, d)
	if err := d.Plan.Validate(); err != nil {
		t.Error(err)
	}
	after.neverLeavesPeopleAlone(t)
	return after
}

// neverLeavesPeopleAlone holds that a model which a version has served once is served as
// long as one that did can: those that never did earn it first.
func (w world) neverLeavesPeopleAlone(t *testing.T) {
	t.Helper()
	if len(w.Plan.Entries) > 0 {
		return
	}
	for _, f := range w.State.Former {
		if v := w.Version(types.UID(f.UID)); v != nil && v.Validated && v.Available && !v.out() {
			t.Errorf("version %s could serve, and nobody does", v.Version)
		}
	}
}

// comesToTheNewest lets everything go well from here on.
func (w world) comesToTheNewest(t *testing.T) {
	t.Helper()
	w = w.copy()
	for range 12 {
		for i := range w.Versions {
			w.Versions[i].Available, w.Versions[i].Validated = true, true
		}
		w.Gates = GateResult{}
		if w.State.Candidate != nil {
			w.Gates = passed()
		}
		w, _ = w.decided()
	}
	newest := slices.IndexFunc(w.Versions, func(v VersionState) bool { return !v.out() && w.State.FormerSlot(v.UID) == nil })
	if newest < 0 {
		return // all that could are out, or were before
	}
	stable := w.at(w.State.Stable)
	older := stable != nil && slices.IndexFunc(w.Versions, func(v VersionState) bool { return v.UID == stable.UID }) <= newest
	if got := w.Plan.Weight(w.Versions[newest].Version); got != 100 && !older {
		t.Errorf("all is well, and version %s has %d %%", w.Versions[newest].Version, got)
	}
}
