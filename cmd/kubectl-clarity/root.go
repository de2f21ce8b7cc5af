package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

// process is what a command has of the world besides the cluster.
type process struct {
	genericiooptions.IOStreams
	now      func() time.Time
	terminal func() bool // whether someone can answer a question
	flags    *genericclioptions.ConfigFlags
}

// connect reads the kubeconfig and the flags that standard kubectl commands have.
func (p *process) connect() (*kube.Cluster, error) { return kube.Connect(p.flags, p.ErrOut) }

const rootHelp = `Shows how the versions of a model and analysis jobs stand, says what they wait for, and steers them.
It works from a kubeconfig alone and takes kubectl's own flags.

An object is named mv/NAME (or modelversion/NAME) and ajob/NAME (or analysisjob/NAME).

Exit status:
  0  done
  1  could not: the cluster, or how the object stands, does not let it be done
  2  usage error
  3  there is no such object, or the cluster has not the kind
  4  not allowed: the credentials are refused or lack a right
  5  it changed meanwhile, or the question was answered with no; nothing was written`

// usageTemplate is cobra's without the thirty flags that every kubectl command has.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if .HasParent}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{end}}

kubectl's own flags (-n, --context, --kubeconfig, --as, --request-timeout, …) go with every command: kubectl options
`

// newRoot is the written-out list of commands.
func newRoot(p *process) *cobra.Command {
	p.flags = genericclioptions.NewConfigFlags(true)
	p.flags.CacheDir = nil // nothing is discovered, so nothing is kept
	root := &cobra.Command{
		Use:           "kubectl-clarity",
		Short:         "Clarity Loop's models and analysis jobs",
		Long:          rootHelp,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl clarity"},
		Version:       buildinfo.Of(version).Line("kubectl-clarity"),
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return fault.New(fault.Usage, "kubectl clarity --help", "there is no command %q", args[0])
		},
	}
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.ErrOut)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fault.New(fault.Usage, c.CommandPath()+" --help", "%v", err)
	})
	p.flags.AddFlags(root.PersistentFlags())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetUsageTemplate(usageTemplate)
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newTree(p), newWhy(p), newTraffic(p), newLogs(p),
		newPromote(p), newPause(p), newResume(p), newAbort(p), newRollback(p),
		newJob(p), newCompletion(p), newVersion(p),
	)
	return root
}

// run does what the arguments say; main only adds the process around it.
func run(ctx context.Context, args []string, p *process) fault.Code {
	log.SetLogger(logr.Discard()) // the library's own: what it has to say is in the errors it returns
	root := newRoot(p)
	root.SetArgs(args)
	return fault.Print(p.ErrOut, root.ExecuteContext(ctx))
}

// exactly refuses any other number of arguments, and says what is missing.
func exactly(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fault.New(fault.Usage, c.CommandPath()+" --help", "%s takes %s, got %s", c.CommandPath(), what, counted(len(args)))
		}
		return nil
	}
}

func counted(arguments int) string {
	if arguments == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", arguments)
}

// output is the flag -o of commands whose answer is ours, not an object.
type output struct{ format string }

func (o *output) add(c *cobra.Command) {
	c.Flags().StringVarP(&o.format, "output", "o", "", "print as json or yaml instead of for a person")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// print writes v as asked; false where it is to be written for a person.
func (o *output) print(w io.Writer, v any) (bool, error) {
	var data []byte
	var err error
	switch o.format {
	case "":
		return false, nil
	case "json":
		if data, err = json.MarshalIndent(v, "", "  "); err == nil {
			data = append(data, '\n')
		}
	case "yaml":
		data, err = yaml.Marshal(v)
	default:
		return false, fault.New(fault.Usage, "", "-o %s is not a format: json or yaml", o.format)
	}
	if err != nil {
		return true, fmt.Errorf("write as %s: %w", o.format, err)
	}
	_, err = w.Write(data)
	return true, err
}

// completeTargets completes KIND/NAME from what is there.
func (p *process) completeTargets(kinds ...kube.Kind) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cluster, err := p.connect()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
		defer cancel()
		var names []cobra.Completion
		for _, k := range kinds {
			if k == kube.ModelVersion {
				versions, _ := cluster.ListVersions(ctx, "") // none can be completed then
				for _, v := range versions {
					names = append(names, cobra.CompletionWithDesc("mv/"+v.Name, string(v.Status.Stage)))
				}
				continue
			}
			jobs, _ := cluster.ListJobs(ctx, maxCompletions) // none can be completed then
			for _, j := range jobs {
				names = append(names, cobra.CompletionWithDesc("ajob/"+j.Name, string(j.Status.State)))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeModels completes the names of models.
func (p *process) completeModels(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	cluster, err := p.connect()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	versions, _ := cluster.ListVersions(ctx, "") // none can be completed then
	seen := map[string]bool{}
	var models []cobra.Completion
	for _, v := range versions {
		if !seen[v.Spec.Model] {
			seen[v.Spec.Model] = true
			models = append(models, v.Spec.Model)
		}
	}
	return models, cobra.ShellCompDirectiveNoFileComp
}

const (
	completionTimeout = 3 * time.Second
	maxCompletions    = 200
)
