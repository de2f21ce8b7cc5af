// Package tree shows an object, what was made for it, and its pods, each with
// its state, age and the reason it is not well.
package tree

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

// A Node is one object of the tree.
type Node struct {
	Object   string      `json:"object"` // kind/name
	State    string      `json:"state,omitempty"`
	Ready    string      `json:"ready,omitempty"`
	Created  metav1.Time `json:"created,omitzero"`
	Node     string      `json:"node,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	Children []*Node     `json:"children,omitempty"`
}

// DefaultPods is how many pods of one owner are shown unless all are asked for.
const DefaultPods = 20

// Build makes the tree of what a survey read, with at most limit pods under one
// owner; all if 0. Those that are not well come first and are never left out
// for those that are.
func Build(s *survey.Survey, limit int) *Node {
	b := builder{survey: s, limit: limit, below: map[types.UID][]client.Object{}, podsBelow: map[types.UID][]survey.Stand{}}
	for _, o := range s.Children {
		if above := ownerOf(o, s.Object()); !spent(o) {
			b.below[above] = append(b.below[above], o)
		}
	}
	for i := range s.Pods {
		above := ownerOf(&s.Pods[i], s.Object())
		b.podsBelow[above] = append(b.podsBelow[above], survey.StandOf(&s.Pods[i]))
	}
	root := b.node(s.Object())
	if s.Plan != nil {
		plan := describe(s.Plan)
		plan.Reason = "shared by the model's versions"
		root.Children = append(root.Children, plan)
	}
	for _, u := range s.Unread {
		root.Children = append(root.Children, &Node{Object: "(not read)", Reason: u})
	}
	return root
}

// ownerOf is what an object hangs below: its controller, or the root where it has none.
func ownerOf(o, root client.Object) types.UID {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return owner.UID
	}
	return root.GetUID()
}

type builder struct {
	survey    *survey.Survey
	limit     int
	below     map[types.UID][]client.Object
	podsBelow map[types.UID][]survey.Stand
}

func (b builder) node(o client.Object) *Node {
	n := describe(o)
	children := b.below[o.GetUID()]
	slices.SortFunc(children, func(x, y client.Object) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), x.GetCreationTimestamp().Compare(y.GetCreationTimestamp().Time), cmp.Compare(x.GetName(), y.GetName()))
	})
	for _, child := range children {
		n.Children = append(n.Children, b.node(child))
	}
	if o == client.Object(b.survey.Batch()) && b.survey.Workload != nil {
		n.Children = append(n.Children, describe(b.survey.Workload))
	}
	n.Children = append(n.Children, b.podNodes(b.podsBelow[o.GetUID()])...)
	return n
}

// podNodes shows the pods: first those not well, then those that go on, then those that are done.
func (b builder) podNodes(pods []survey.Stand) []*Node {
	slices.SortFunc(pods, func(x, y survey.Stand) int {
		return cmp.Or(cmp.Compare(order(x), order(y)), x.Pod.CreationTimestamp.Compare(y.Pod.CreationTimestamp.Time), cmp.Compare(x.Pod.Name, y.Pod.Name))
	})
	shown := len(pods)
	if b.limit > 0 {
		shown = min(shown, b.limit)
	}
	nodes := make([]*Node, 0, shown+1)
	for _, s := range pods[:shown] {
		nodes = append(nodes, &Node{Object: "pod/" + s.Pod.Name, State: s.State, Ready: s.Ready, Created: s.Pod.CreationTimestamp, Node: s.Pod.Spec.NodeName, Reason: s.Reason})
	}
	if rest := pods[shown:]; len(rest) > 0 {
		nodes = append(nodes, &Node{Object: fmt.Sprintf("(%d more pods)", len(rest)), State: tally(rest), Reason: "--all shows them"})
	}
	if len(pods) > 0 && b.survey.More {
		nodes = append(nodes, &Node{Object: "(more pods, not read)", Reason: "--all reads them"})
	}
	return nodes
}

func order(s survey.Stand) int {
	switch {
	case s.State == string(corev1.PodSucceeded):
		return 3
	case s.Reason != "" && s.Reason != "ContainerCreating" && s.Reason != "PodInitializing":
		return 0
	case s.State == string(corev1.PodRunning):
		return 2
	}
	return 1
}

// tally counts the states, the commonest first.
func tally(pods []survey.Stand) string {
	counts := map[string]int{}
	for _, s := range pods {
		counts[s.State]++
	}
	states := make([]string, 0, len(counts))
	for state := range counts {
		states = append(states, state)
	}
	slices.SortFunc(states, func(x, y string) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
	for i, state := range states {
		states[i] = fmt.Sprintf("%d %s", counts[state], state)
	}
	return strings.Join(states, ", ")
}

// Print writes the tree as an aligned table.
func Print(w io.Writer, root *Node, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(t, "NAME\tSTATE\tREADY\tAGE\tNODE\tREASON") // Flush tells
	print(t, root, "", "", now)
	return t.Flush()
}

func print(w io.Writer, n *Node, first, rest string, now time.Time) {
	age := "-"
	if !n.Created.IsZero() {
		age = duration.HumanDuration(max(now.Sub(n.Created.Time), 0))
	}
	_, _ = fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\t%s\t%s\n", first, n.Object, dash(n.State), dash(n.Ready), age, dash(n.Node), dash(n.Reason)) // Flush tells
	for i, child := range n.Children {
		if i == len(n.Children)-1 {
			print(w, child, rest+"└─", rest+"  ", now)
			continue
		}
		print(w, child, rest+"├─", rest+"│ ", now)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
