package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// version is set by the linker; without it the build's own information serves.
var version string

func newVersion(p *process) *cobra.Command {
	var out output
	c := &cobra.Command{
		Use:   "version",
		Short: "Print what this plugin is made of",
		Long:  "Prints the version, the commit and the Go release that this plugin was built with. It asks no cluster.",
		Args: func(_ *cobra.Command, args []string) error {
			if err := buildinfo.Refuse(args); err != nil {
				return fault.New(fault.Usage, "kubectl clarity version --help", "%v", err)
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			b := buildinfo.Of(version)
			if done, err := out.print(p.Out, b); done || err != nil {
				return err
			}
			_, err := fmt.Fprintln(p.Out, b.Line("kubectl-clarity"))
			return err
		},
	}
	out.add(c)
	return c
}

// completer is what kubectl runs to complete the plugin's command lines.
const completer = `#!/bin/sh
exec kubectl clarity __complete "$@"
`

func newCompletion(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "completion kubectl|bash|zsh|fish|powershell",
		Short: "Print a script that completes command lines",
		Long: `Prints a script that completes command lines: names of objects and models, too.
"kubectl" is the one to take where kubectl's own completion is set up: kubectl runs an executable of the name
kubectl_complete-clarity. The others complete the bare command kubectl-clarity.`,
		Example: `  kubectl clarity completion kubectl > ~/bin/kubectl_complete-clarity && chmod +x ~/bin/kubectl_complete-clarity
  kubectl clarity completion bash > /etc/bash_completion.d/kubectl-clarity`,
		Args:              exactly(1, 1, "a shell"),
		ValidArgsFunction: cobra.FixedCompletions([]string{"kubectl", "bash", "zsh", "fish", "powershell"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			switch root := c.Root(); args[0] {
			case "kubectl":
				_, err := fmt.Fprint(p.Out, completer)
				return err
			case "bash":
				return root.GenBashCompletionV2(p.Out, true)
			case "zsh":
				return root.GenZshCompletion(p.Out)
			case "fish":
				return root.GenFishCompletion(p.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(p.Out)
			}
			return fault.New(fault.Usage, "kubectl clarity completion --help", "there is no completion for %q", args[0])
		},
	}
}
