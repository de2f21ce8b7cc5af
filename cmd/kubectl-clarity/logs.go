package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/logs"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

// logFlags are the flags of logs.
type logFlags struct {
	shard     int32
	component string
	follow    bool
	previous  bool
	tail      int64
}

const (
	maxLogs     = 10 // logs shown at a time
	severalTail = 20 // lines of each, where several are shown
)

func newLogs(p *process) *cobra.Command {
	var f logFlags
	c := &cobra.Command{
		Use:   "logs mv/NAME|ajob/NAME",
		Short: "Print the logs of a version's server or of a job's shards",
		Long: `Prints logs. Of a job, those of the newest attempt of each shard: failed shards first, then running ones, at most
10 shards and 20 lines of each; --shard prints one in full. Of a version, those of what its stage is about: the check
of its bundle (verify), the fetching of it (fetch), its server, or its golden vectors (validate); --component chooses.
Where several logs are printed each line begins with whose it is.`,
		Example: `  kubectl clarity logs ajob/backfill-november --shard 17 -f
  kubectl clarity logs mv/pat-s-2026.11.2 --component fetch`,
		Args:              exactly(1, 2, either),
		ValidArgsFunction: p.completeTargets(kube.ModelVersion, kube.AnalysisJob),
		RunE: func(c *cobra.Command, args []string) error {
			t, cluster, err := p.target(args, kube.ModelVersion, kube.AnalysisJob)
			if err != nil {
				return err
			}
			given := c.Flags().Changed
			var sources []logs.Source
			switch {
			case t.Kind == kube.ModelVersion && given("shard"):
				return fault.New(fault.Usage, "", "--shard is of a job: logs ajob/NAME")
			case t.Kind == kube.AnalysisJob && given("component"):
				return fault.New(fault.Usage, "", "--component is of a version: logs mv/NAME")
			case t.Kind == kube.ModelVersion:
				sources, err = f.ofVersion(c.Context(), cluster, t.Name)
			default:
				sources, err = f.ofJob(c.Context(), cluster, t.Name, given("shard"))
			}
			if err != nil {
				return err
			}
			return f.print(c, p, cluster, sources)
		},
	}
	s := c.Flags()
	s.Int32Var(&f.shard, "shard", 0, "the shard's number, from 0")
	s.StringVar(&f.component, "component", "", "verify, fetch, server or validate; by the version's stage if not given")
	s.BoolVarP(&f.follow, "follow", "f", false, "go on printing as the log grows")
	s.BoolVarP(&f.previous, "previous", "p", false, "the container's run before its last restart")
	s.Int64Var(&f.tail, "tail", -1, "how many of the newest lines; -1 is all of them, or 20 of each where there are several")
	_ = c.RegisterFlagCompletionFunc("component", cobra.FixedCompletions(logs.Components(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return c
}

func (f *logFlags) ofVersion(ctx context.Context, cluster *kube.Cluster, name string) ([]logs.Source, error) {
	s, err := survey.Of(ctx, cluster, kube.Target{Kind: kube.ModelVersion, Name: name}, survey.Depth{})
	if err != nil {
		return nil, err
	}
	if len(s.Pods) == 0 && len(s.Unread) > 0 {
		return nil, fault.New(fault.NotAllowed, "kubectl auth can-i list pods -n "+cluster.Namespace, "find the pods of modelversion/%s: %s", name, strings.Join(s.Unread, "; "))
	}
	return logs.OfVersion(s.Version, s.Pods, f.component)
}

func (f *logFlags) ofJob(ctx context.Context, cluster *kube.Cluster, name string, one bool) ([]logs.Source, error) {
	job, err := cluster.GetJob(ctx, name)
	if err != nil {
		return nil, err
	}
	next := fmt.Sprintf("kubectl clarity why ajob/%s -n %s", name, cluster.Namespace)
	if one && (f.shard < 0 || f.shard >= job.Spec.Shards) {
		return nil, fault.New(fault.Usage, "", "analysisjob/%s has no shard %d: they are 0 to %d", name, f.shard, job.Spec.Shards-1)
	}
	if job.Status.Job == "" {
		return nil, fault.New(fault.CouldNot, next, "analysisjob/%s has no Job yet, so no shard has a log", name)
	}
	batch, err := cluster.GetBatchJob(ctx, job.Status.Job)
	if err != nil {
		return nil, err
	}
	shard := ""
	if one {
		shard = strconv.Itoa(int(f.shard))
	}
	pods, _, err := cluster.PodsOf(ctx, batch, "", shard, podsRead)
	if err != nil {
		return nil, err
	}
	sources := logs.OfShards(pods)
	switch {
	case len(sources) > 0:
		return sources, nil
	case one:
		return nil, fault.New(fault.CouldNot, next, "shard %d of analysisjob/%s has no pod, so it has no log", f.shard, name)
	}
	return nil, fault.New(fault.CouldNot, next, "no shard of analysisjob/%s has a pod, so there is no log", name)
}

// print prints one log as it is, several with whose line it is.
func (f *logFlags) print(c *cobra.Command, p *process, cluster *kube.Cluster, sources []logs.Source) error {
	if more := len(sources) - maxLogs; more > 0 {
		_, _ = fmt.Fprintf(p.ErrOut, "%d of %d logs are shown; --shard N shows one in full\n", maxLogs, len(sources))
		sources = sources[:maxLogs]
	}
	options := corev1.PodLogOptions{Follow: f.follow, Previous: f.previous}
	if tail := f.tail; tail >= 0 {
		options.TailLines = &tail
	} else if len(sources) > 1 {
		options.TailLines = new(int64(severalTail))
	}
	open := func(ctx context.Context, s logs.Source) (io.ReadCloser, error) {
		o := options
		o.Container = s.Container
		return cluster.OpenLog(ctx, s.Pod, &o)
	}
	return logs.Print(c.Context(), p.Out, p.ErrOut, sources, f.follow, open)
}
