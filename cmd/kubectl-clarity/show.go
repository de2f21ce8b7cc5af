package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/tree"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/why"
)

const either = "mv/NAME or ajob/NAME"

// podsRead is how many of a job's pods are read unless all are asked for.
const podsRead = 500

func newTree(p *process) *cobra.Command {
	var out output
	var all bool
	c := &cobra.Command{
		Use:   "tree mv/NAME|ajob/NAME",
		Short: "Show the object, what was made for it, and its pods",
		Long: `Shows the object, what the operator and the cluster made for it, and its pods, each with its state, age, node
and the reason it is not well. Of many pods those that are not well come first, and 20 are shown.`,
		Example: `  kubectl clarity tree mv/pat-s-2026.11.2
  kubectl clarity tree ajob/backfill-november --all`,
		Args:              exactly(1, 2, either),
		ValidArgsFunction: p.completeTargets(kube.ModelVersion, kube.AnalysisJob),
		RunE: func(c *cobra.Command, args []string) error {
			depth := survey.Depth{Pods: podsRead}
			pods := tree.DefaultPods
			if all {
				depth.Pods, pods = 0, 0
			}
			s, err := p.survey(c, args, depth)
			if err != nil {
				return err
			}
			root := tree.Build(s, pods)
			if done, err := out.print(p.Out, root); done || err != nil {
				return err
			}
			return tree.Print(p.Out, root, p.now())
		},
	}
	out.add(c)
	c.Flags().BoolVar(&all, "all", false, "read and show every pod of a job")
	return c
}

func newWhy(p *process) *cobra.Command {
	var out output
	var facts bool
	c := &cobra.Command{
		Use:   "why mv/NAME|ajob/NAME",
		Short: "Say in one sentence what it waits for, since when, and who can fix it",
		Long: `Says in one sentence what the object waits for, since when, and who can fix it: a platform engineer, an
ML engineer, the cluster autoscaler, Kueue, or nobody. It judges conditions, reasons, gates, pods and events;
--facts shows them below the sentence.`,
		Example: `  kubectl clarity why mv/pat-s-2026.11.2
  kubectl clarity why ajob/backfill-november --facts`,
		Args:              exactly(1, 2, either),
		ValidArgsFunction: p.completeTargets(kube.ModelVersion, kube.AnalysisJob),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := p.survey(c, args, survey.Depth{Pods: podsRead, Waiting: true, Events: true})
			if err != nil {
				return err
			}
			answer := why.Explain(s, p.now())
			if done, err := out.print(p.Out, answer); done || err != nil {
				return err
			}
			if _, err := fmt.Fprintln(p.Out, answer.Sentence(p.now())); err != nil || !facts {
				return err
			}
			for _, f := range answer.Facts {
				if _, err := fmt.Fprintln(p.Out, "  "+f); err != nil {
					return err
				}
			}
			return nil
		},
	}
	out.add(c)
	c.Flags().BoolVar(&facts, "facts", false, "show what the sentence was made of")
	return c
}

// survey reads around the object that the arguments name.
func (p *process) survey(c *cobra.Command, args []string, depth survey.Depth) (*survey.Survey, error) {
	target, err := kube.ParseTarget(args, kube.ModelVersion, kube.AnalysisJob)
	if err != nil {
		return nil, err
	}
	cluster, err := p.connect()
	if err != nil {
		return nil, err
	}
	return survey.Of(c.Context(), cluster, target, depth)
}
