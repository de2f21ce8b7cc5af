package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/steer"
)

// write is the flags of commands that write to an object.
type write struct {
	yes    bool
	dryRun string
	print  *genericclioptions.PrintFlags
}

// add adds the flags; past is the verb's participle, for what is printed.
func (w *write) add(c *cobra.Command, past string, asks bool) {
	w.print = genericclioptions.NewPrintFlags(past).WithTypeSetter(kube.Scheme())
	addPrintFlags(c, w.print)
	c.Flags().StringVar(&w.dryRun, "dry-run", "none", "none, or server: the API server checks the change and does not keep it")
	if asks {
		c.Flags().BoolVarP(&w.yes, "yes", "y", false, "do not ask; needed where nobody can be asked")
	}
}

// addPrintFlags adds -o; what only its rarer formats need is taken and not told.
func addPrintFlags(c *cobra.Command, print *genericclioptions.PrintFlags) {
	print.AddFlags(c)
	for _, name := range []string{"allow-missing-template-keys", "template", "show-managed-fields"} {
		_ = c.Flags().MarkHidden(name) // the flag is there
	}
}

// decide judges an object as it is now.
type decide func(ctx context.Context, cluster *kube.Cluster, now client.Object) (steer.Step, error)

// steer shows what is about to be done, asks where asks says so, and does it
// to the very object that was shown: where what would happen is no longer what
// was shown, nothing is written. What is not worth showing is not guarded so:
// to suspend a job is right in whatever state it is.
func (p *process) steer(ctx context.Context, cluster *kube.Cluster, t kube.Target, w *write, asks bool, judge decide) error {
	if w.dryRun != "none" && w.dryRun != "server" {
		return fault.New(fault.Usage, "", "--dry-run=%s: it is none or server", w.dryRun)
	}
	o, err := cluster.Get(ctx, t)
	if err != nil {
		return err
	}
	shown, err := judge(ctx, cluster, o)
	if err != nil {
		return err
	}
	dry := w.dryRun == "server"
	if asks && !dry && !w.yes && len(shown.Change) > 0 {
		if err := p.ask(ctx, shown.Announce); err != nil {
			return err
		}
	} else if shown.Announce != "" {
		_, _ = fmt.Fprintln(p.ErrOut, shown.Announce)
	}
	o, wrote, err := cluster.Patch(ctx, t, kube.Write{Guarded: shown.Announce != "", DryRun: dry}, func(ctx context.Context, now client.Object) (kube.Change, error) {
		step, err := judge(ctx, cluster, now)
		if err == nil && step.Announce != shown.Announce {
			err = fault.New(fault.Changed, "kubectl clarity why "+t.String()+" -n "+cluster.Namespace,
				"%s: what would happen is no longer what was shown; nothing was written. Now it is: %s", t, step.Announce)
		}
		return step.Change, err
	})
	if err != nil {
		return err
	}
	return w.say(p, o, wrote)
}

// say prints the object that was written.
func (w *write) say(p *process, o client.Object, wrote bool) error {
	switch {
	case !wrote && *w.print.OutputFormat == "":
		w.print.NamePrintFlags.Operation = "unchanged"
	case w.dryRun != "none":
		if err := w.print.Complete("%s (" + w.dryRun + " dry run)"); err != nil {
			return err
		}
	}
	printer, err := w.print.ToPrinter()
	if err != nil {
		return fault.New(fault.Usage, "", "%v", err)
	}
	return printer.PrintObj(o, p.Out)
}

// ask shows what is about to be done and waits for a yes.
func (p *process) ask(ctx context.Context, announce string) error {
	_, _ = fmt.Fprintln(p.ErrOut, announce)
	if !p.terminal() {
		return fault.New(fault.Usage, "", "cannot ask for confirmation without a terminal: add --yes to go ahead, or --dry-run=server to try it")
	}
	_, _ = fmt.Fprint(p.ErrOut, "Continue? [y/N] ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(p.In).ReadString('\n') // no line is no yes
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return fault.New(fault.Changed, "", "answered with no: nothing was written")
	}
}

func newPause(p *process) *cobra.Command {
	return p.switchCommand(&cobra.Command{
		Use:   "pause mv/NAME|ajob/NAME",
		Short: "Hold a rollout at its step, or suspend a job",
		Long: `Holds a rollout at the step it has reached, or suspends a job; resume undoes it.
It patches spec.rollout.paused: true of a ModelVersion, spec.suspend: true of an AnalysisJob. A gate that fails
rolls a paused version back all the same. The shards of a suspended job stop and lose nothing.`,
		Example: "  kubectl clarity pause mv/pat-s-2026.11.2",
	}, "paused", steer.Pause)
}

func newResume(p *process) *cobra.Command {
	return p.switchCommand(&cobra.Command{
		Use:   "resume mv/NAME|ajob/NAME",
		Short: "Let a paused rollout or a suspended job go on",
		Long: `Lets a paused rollout or a suspended job go on.
It patches spec.rollout.paused: false of a ModelVersion, spec.suspend: false of an AnalysisJob.`,
		Example: "  kubectl clarity resume ajob/backfill-november",
	}, "resumed", steer.Resume)
}

// switchCommand is pause or resume: nothing is lost, so nothing is asked.
func (p *process) switchCommand(c *cobra.Command, past string, judge func(client.Object) (steer.Step, error)) *cobra.Command {
	var w write
	c.Args = exactly(1, 2, either)
	c.ValidArgsFunction = p.completeTargets(kube.ModelVersion, kube.AnalysisJob)
	c.RunE = func(c *cobra.Command, args []string) error {
		t, cluster, err := p.target(args, kube.ModelVersion, kube.AnalysisJob)
		if err != nil {
			return err
		}
		return p.steer(c.Context(), cluster, t, &w, false, func(_ context.Context, _ *kube.Cluster, now client.Object) (steer.Step, error) {
			return judge(now)
		})
	}
	w.add(c, past, false)
	return c
}

func (p *process) target(args []string, kinds ...kube.Kind) (kube.Target, *kube.Cluster, error) {
	t, err := kube.ParseTarget(args, kinds...)
	if err != nil {
		return t, nil, err
	}
	cluster, err := p.connect()
	return t, cluster, err
}

func newPromote(p *process) *cobra.Command {
	var w write
	var canary bool
	c := &cobra.Command{
		Use:   "promote mv/NAME",
		Short: "Give a version all of its model's traffic without waiting",
		Long: `Gives a version all of its model's traffic as soon as it is validated, without shadow, steps and gates. It
skips neither the check of the digest nor the golden vectors.
It patches spec.rollout.strategy: Immediate and, where it is paused, spec.rollout.paused: false. With --canary the
strategy is Canary instead: a held version goes on to shadow and steps.
It shows what it is about to do and asks; where nobody can be asked it needs --yes.`,
		Example: `  kubectl clarity promote mv/pat-s-2026.11.2
  kubectl clarity promote mv/pat-s-2026.11.2 --canary`,
		Args:              exactly(1, 2, "mv/NAME"),
		ValidArgsFunction: p.completeTargets(kube.ModelVersion),
		RunE: func(c *cobra.Command, args []string) error {
			t, cluster, err := p.target(args, kube.ModelVersion)
			if err != nil {
				return err
			}
			return p.steer(c.Context(), cluster, t, &w, !canary, func(ctx context.Context, cluster *kube.Cluster, now client.Object) (steer.Step, error) {
				v, _ := now.(*v1alpha1.ModelVersion)
				versions, err := cluster.ListVersions(ctx, v.Spec.Model)
				if err != nil {
					return steer.Step{}, err
				}
				return steer.Promote(v, versions, canary)
			})
		},
	}
	w.add(c, "promoted", true)
	c.Flags().BoolVar(&canary, "canary", false, "end a hold only: shadow, steps and gates decide")
	return c
}

const unservedUsage = "go on even where no other version could serve"

func newAbort(p *process) *cobra.Command {
	var w write
	var unserved bool
	c := &cobra.Command{
		Use:   "abort mv/NAME|ajob/NAME",
		Short: "End a rollout or a job for good",
		Long: `Ends a rollout or a job for good; it cannot be taken back.
It patches spec.rollout.abort: true of a ModelVersion: its traffic goes to the active version, or to the last known
good one where it is the active one itself. It patches spec.cancel: true of an AnalysisJob: its shards stop, and what
they have stored stays.
It shows what it is about to do and asks; where nobody can be asked it needs --yes.`,
		Example: `  kubectl clarity abort mv/pat-s-2026.11.2
  kubectl clarity abort ajob/backfill-november --yes`,
		Args:              exactly(1, 2, either),
		ValidArgsFunction: p.completeTargets(kube.ModelVersion, kube.AnalysisJob),
		RunE: func(c *cobra.Command, args []string) error {
			t, cluster, err := p.target(args, kube.ModelVersion, kube.AnalysisJob)
			if err != nil {
				return err
			}
			return p.steer(c.Context(), cluster, t, &w, true, func(ctx context.Context, cluster *kube.Cluster, now client.Object) (steer.Step, error) {
				switch o := now.(type) {
				case *v1alpha1.AnalysisJob:
					return steer.Cancel(o)
				case *v1alpha1.ModelVersion:
					m, err := modelOf(ctx, cluster, o.Spec.Model)
					if err != nil {
						return steer.Step{}, err
					}
					return m.Abort(o, unserved)
				}
				return steer.Step{}, nil
			})
		},
	}
	w.add(c, "aborted", true)
	c.Flags().BoolVar(&unserved, "leave-unserved", false, unservedUsage)
	return c
}

func newRollback(p *process) *cobra.Command {
	var w write
	var unserved bool
	var only string
	c := &cobra.Command{
		Use:   "rollback MODEL",
		Short: "Take a model's newest traffic back: abort its candidate, or its active version",
		Long: `Takes back what a model's requests reached last: it aborts the candidate where requests reach it already, be it
as copies in the shadow, and otherwise the active version. It shows which version that is and which one serves next,
and asks; where nobody can be asked it needs --yes. Where no other version could serve it refuses.
It patches spec.rollout.abort: true of that version, which cannot be taken back.
Where versions are applied from Git, take the version's file out of Git, too.`,
		Example: `  kubectl clarity rollback pat-s
  kubectl clarity rollback pat-s --dry-run=server
  kubectl clarity rollback pat-s --version 2026.11.2 --yes`,
		Args:              exactly(1, 1, "a model's name"),
		ValidArgsFunction: p.completeModels,
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := p.connect()
			if err != nil {
				return err
			}
			model, err := modelArgument(c.Context(), cluster, args[0])
			if err != nil {
				return err
			}
			chosen, err := model.Choose(only)
			if err != nil {
				return err
			}
			t := kube.Target{Kind: kube.ModelVersion, Name: chosen.Name}
			return p.steer(c.Context(), cluster, t, &w, true, func(ctx context.Context, cluster *kube.Cluster, now client.Object) (steer.Step, error) {
				return rollBack(ctx, cluster, model.Name, only, now, unserved)
			})
		},
	}
	w.add(c, "rolled back", true)
	c.Flags().StringVar(&only, "version", "", "roll back this version or none: a script may then say it twice")
	c.Flags().BoolVar(&unserved, "leave-unserved", false, unservedUsage)
	return c
}

// rollBack judges the chosen version again: it must still be the one to take back.
func rollBack(ctx context.Context, cluster *kube.Cluster, name, only string, now client.Object, unserved bool) (steer.Step, error) {
	model, err := modelOf(ctx, cluster, name)
	if err != nil {
		return steer.Step{}, err
	}
	chosen, err := model.Choose(only)
	if err != nil {
		return steer.Step{}, err
	}
	if chosen.UID != now.GetUID() {
		return steer.Step{}, fault.New(fault.Changed, "kubectl clarity rollback "+name+" -n "+cluster.Namespace,
			"roll back model %q: modelversion/%s is what its requests reach now; nothing was written", name, chosen.Name)
	}
	v, _ := now.(*v1alpha1.ModelVersion)
	return model.Abort(v, unserved)
}

// modelArgument takes a model's name, or one of its versions as mv/NAME.
func modelArgument(ctx context.Context, cluster *kube.Cluster, arg string) (steer.Model, error) {
	if strings.Contains(arg, "/") {
		t, err := kube.ParseTarget([]string{arg}, kube.ModelVersion)
		if err != nil {
			return steer.Model{}, err
		}
		v, err := cluster.GetVersion(ctx, t.Name)
		if err != nil {
			return steer.Model{}, err
		}
		arg = v.Spec.Model
	}
	return modelOf(ctx, cluster, arg)
}

// modelOf reads a model's versions and its plan.
func modelOf(ctx context.Context, cluster *kube.Cluster, name string) (steer.Model, error) {
	m := steer.Model{Name: name, Namespace: cluster.Namespace}
	var err error
	if m.Versions, err = cluster.ListVersions(ctx, name); err != nil {
		return m, err
	}
	var holds *corev1.ConfigMap
	m.Plan, holds, err = cluster.GetPlan(ctx, name)
	m.Former = kube.Former(holds)
	var f *fault.Error
	if errors.As(err, &f) && (f.Code == fault.NotFound || f.Code == fault.NotAllowed) {
		err = nil // the versions' own words serve
	}
	return m, err
}
