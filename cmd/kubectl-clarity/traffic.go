package main

import (
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/steer"
)

func newTraffic(p *process) *cobra.Command {
	var out output
	c := &cobra.Command{
		Use:   "traffic MODEL",
		Short: "Show how a model's requests are divided among its versions",
		Long: `Shows the traffic plan that workers follow: which version gets which share of a model's requests, which one gets
copies in the shadow, and how the versions stand that get none. -o json and -o yaml print the plan itself.`,
		Example:           "  kubectl clarity traffic pat-s",
		Args:              exactly(1, 1, "a model's name"),
		ValidArgsFunction: p.completeModels,
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := p.connect()
			if err != nil {
				return err
			}
			m, err := modelArgument(c.Context(), cluster, args[0])
			if err != nil {
				return err
			}
			if len(m.Versions) == 0 && m.Plan == nil {
				return fault.New(fault.NotFound, "kubectl get modelversions -n "+m.Namespace, "show traffic of model %q: namespace %q has no version of it", m.Name, m.Namespace)
			}
			if m.Plan == nil { // only its absence is worth an error of its own
				if m.Plan, _, err = cluster.GetPlan(c.Context(), m.Name); err != nil {
					return noPlan(err, m)
				}
			}
			if done, err := out.print(p.Out, m.Plan); done || err != nil {
				return err
			}
			return printTraffic(p, m)
		},
	}
	out.add(c)
	return c
}

// noPlan says why there is none.
func noPlan(err error, m steer.Model) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.NotFound {
		return err
	}
	next := "kubectl get modelversions -n " + m.Namespace
	if len(m.Versions) > 0 {
		next = fmt.Sprintf("kubectl clarity why mv/%s -n %s", m.Versions[0].Name, m.Namespace)
	}
	return fault.New(fault.NotFound, next, "show traffic of model %q: it has no plan yet: no version of it was ever ready to serve", m.Name)
}

func printTraffic(p *process, m steer.Model) error {
	t := tabwriter.NewWriter(p.Out, 0, 0, 3, ' ', 0)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) } // Flush tells
	say("model %s, plan revision %d\n", m.Name, m.Plan.Revision)
	say("VERSION\tSHARE\tSTAGE\tREADY\tREASON\tENDPOINT\n")
	var told []string
	row := func(version, share, endpoint string) {
		told = append(told, version)
		stage, ready, reason := "-", "-", "-"
		if i := slices.IndexFunc(m.Versions, func(v v1alpha1.ModelVersion) bool { return v.Spec.Version == version }); i >= 0 {
			s := m.Versions[i].Status
			stage, ready, reason = dash(string(s.Stage)), dash(s.Serving.Summary), dash(s.Reason)
		}
		say("%s\t%s\t%s\t%s\t%s\t%s\n", version, share, stage, ready, reason, dash(endpoint))
	}
	for _, e := range m.Plan.Entries {
		row(e.Version, fmt.Sprintf("%d %%", e.Weight), e.Endpoint)
	}
	if s := m.Plan.Shadow; s != nil {
		row(s.Version, fmt.Sprintf("copies of %d %%", s.Percent), s.Endpoint)
	}
	if len(m.Plan.Entries) == 0 {
		say("(no version serves)\n")
	}
	for _, v := range newestFirst(m.Versions) {
		if !slices.Contains(told, v.Spec.Version) {
			row(v.Spec.Version, "none", "")
		}
	}
	return t.Flush()
}

func newestFirst(versions []v1alpha1.ModelVersion) []v1alpha1.ModelVersion {
	return slices.SortedStableFunc(slices.Values(versions), func(a, b v1alpha1.ModelVersion) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
