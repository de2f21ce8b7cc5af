package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

func newJob(p *process) *cobra.Command {
	c := &cobra.Command{Use: "job", Short: "Create analysis jobs", Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return fault.New(fault.Usage, "kubectl clarity job --help", "there is no command %q", "job "+args[0])
		}}
	c.AddCommand(newJobCreate(p))
	return c
}

// jobFlags are what a job can be given on the command line.
type jobFlags struct {
	file     string
	subject  string
	manifest string
	all      bool
	lastDays int32
	start    string
	end      string
	analyses []string
	model    string
	shards   int32
	parallel int32
	queue    string
	priority string
	replace  bool
	suspend  bool
	dryRun   string
	print    *genericclioptions.PrintFlags
}

func newJobCreate(p *process) *cobra.Command {
	f := jobFlags{print: genericclioptions.NewPrintFlags("created").WithTypeSetter(kube.Scheme())}
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create an AnalysisJob from a file, from flags, or from both",
		Long: `Creates an AnalysisJob from a file, from flags, or from both: flags win over the file. Without a name the API
server makes one up. Whose data (--all, --subject, --manifest), which days (--last-days, or --start and --end) and
--analyses are needed; the schema has a default for the rest.
--dry-run=client prints what would be sent and sends nothing; --dry-run=server lets the API server check it.`,
		Example: `  kubectl clarity job create backfill --all --last-days 7 --analyses wear,sleep,circadian --shards 200 --parallelism 20
  kubectl clarity job create --file job.yaml --queue nightly
  kubectl clarity job create --manifest gs://cohorts/a.txt@sha256:… --start 2026-10-01 --end 2026-10-31 --analyses model --model pat-s --dry-run=client -o yaml`,
		Args:              exactly(0, 1, "at most a name"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := p.connect()
			if err != nil {
				return err
			}
			job, err := f.build(c, p.In, args)
			if err != nil {
				return err
			}
			if err := place(job, cluster); err != nil {
				return err
			}
			return f.create(c, p, cluster, job)
		},
	}
	f.add(c)
	return c
}

func (f *jobFlags) add(c *cobra.Command) {
	s := c.Flags()
	s.StringVarP(&f.file, "file", "f", "", "the AnalysisJob as YAML or JSON; - is the standard input")
	s.BoolVar(&f.all, "all", false, "analyse everyone")
	s.StringVar(&f.subject, "subject", "", "analyse one subject, by `pseudonym`")
	s.StringVar(&f.manifest, "manifest", "", "analyse the subjects of a file, as `URI@sha256:…`")
	s.Int32Var(&f.lastDays, "last-days", 0, "analyse the last n days that are over in UTC")
	s.StringVar(&f.start, "start", "", "the first `day`, as 2026-11-01")
	s.StringVar(&f.end, "end", "", "the last `day`")
	s.StringSliceVar(&f.analyses, "analyses", nil, "what to compute: wear, sleep, circadian, activity, cardio, trend, model")
	s.StringVar(&f.model, "model", "", "the model to ask, as `NAME` (its active version) or NAME@VERSION")
	s.Int32Var(&f.shards, "shards", 0, "how many parts the subjects are divided into")
	s.Int32Var(&f.parallel, "parallelism", 0, "how many shards run at a time; all if not given")
	s.StringVar(&f.queue, "queue", "", "a Kueue LocalQueue's `name`")
	s.StringVar(&f.priority, "priority-class", "", "a PriorityClass's `name`")
	s.BoolVar(&f.replace, "replace", false, "compute results anew that exist for the same input")
	s.BoolVar(&f.suspend, "suspend", false, "create it suspended")
	s.StringVar(&f.dryRun, "dry-run", "none", "none, client or server")
	addPrintFlags(c, f.print)
}

// build makes the job of file and flags.
func (f *jobFlags) build(c *cobra.Command, stdin io.Reader, args []string) (*v1alpha1.AnalysisJob, error) {
	job := &v1alpha1.AnalysisJob{}
	if f.file != "" {
		var err error
		if job, err = readJob(f.file, stdin); err != nil {
			return nil, err
		}
	}
	job.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AnalysisJob"))
	if len(args) == 1 {
		job.Name, job.GenerateName = args[0], ""
	}
	if job.Name == "" && job.GenerateName == "" {
		job.GenerateName = "analysis-"
	}
	if err := f.overlay(c, &job.Spec); err != nil {
		return nil, err
	}
	return job, missing(job)
}

// overlay writes over the spec what was given as flags.
func (f *jobFlags) overlay(c *cobra.Command, spec *v1alpha1.AnalysisJobSpec) error {
	given := c.Flags().Changed
	if err := f.overlaySubjects(given, spec); err != nil {
		return err
	}
	switch days := given("start") || given("end"); {
	case days && given("last-days"):
		return fault.New(fault.Usage, "", "--last-days and --start/--end exclude each other")
	case days:
		spec.Window = v1alpha1.AnalysisWindow{Start: f.start, End: f.end}
	case given("last-days"):
		spec.Window = v1alpha1.AnalysisWindow{LastDays: &f.lastDays}
	}
	if given("analyses") {
		spec.Analyses = nil
		for _, a := range f.analyses {
			spec.Analyses = append(spec.Analyses, v1alpha1.AnalysisName(a))
		}
	}
	if given("model") {
		name, version, _ := strings.Cut(f.model, "@")
		spec.Model = &v1alpha1.ModelReference{Name: name, Version: version}
	}
	if given("shards") {
		spec.Shards = f.shards
	}
	if given("parallelism") {
		spec.Parallelism = &f.parallel
	}
	if given("queue") {
		spec.QueueName = f.queue
	}
	if given("priority-class") {
		spec.PriorityClassName = f.priority
	}
	if given("replace") {
		spec.OnExisting = v1alpha1.OnExistingSkip
		if f.replace {
			spec.OnExisting = v1alpha1.OnExistingReplace
		}
	}
	if given("suspend") {
		spec.Suspend = f.suspend
	}
	return nil
}

func (f *jobFlags) overlaySubjects(given func(string) bool, spec *v1alpha1.AnalysisJobSpec) error {
	var named []string
	for _, flag := range []string{"all", "subject", "manifest"} {
		if given(flag) {
			named = append(named, "--"+flag)
		}
	}
	if len(named) > 1 {
		return fault.New(fault.Usage, "", "%s exclude each other", strings.Join(named, " and "))
	}
	switch {
	case given("all") && f.all:
		spec.Subjects = v1alpha1.Subjects{All: &v1alpha1.AllSubjects{}}
	case given("subject"):
		spec.Subjects = v1alpha1.Subjects{Subject: f.subject}
	case given("manifest"):
		at := strings.LastIndex(f.manifest, "@sha256:")
		if at < 0 {
			return fault.New(fault.Usage, "", "--manifest %s lacks the file's digest: URI@sha256:…, as sha256sum prints it", f.manifest)
		}
		spec.Subjects = v1alpha1.Subjects{Manifest: &v1alpha1.Artifact{URI: f.manifest[:at], Digest: f.manifest[at+1:]}}
	}
	return nil
}

// readJob reads one AnalysisJob and refuses a field that there is not.
func readJob(file string, stdin io.Reader) (*v1alpha1.AnalysisJob, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, &fault.Error{Code: fault.CouldNot, What: "read job: " + err.Error(), Cause: err}
	}
	var job v1alpha1.AnalysisJob
	if err := yaml.UnmarshalStrict(data, &job); err != nil {
		return nil, &fault.Error{Code: fault.Usage, Cause: err, Next: "kubectl explain analysisjob.spec",
			What: fmt.Sprintf("read job of %s: it is not one AnalysisJob: %v", file, err)}
	}
	want := v1alpha1.GroupVersion.WithKind("AnalysisJob")
	if got := job.GroupVersionKind(); got != want {
		return nil, fault.New(fault.Usage, "", "read job of %s: it is of kind %q in %q, not %q in %q", file, got.Kind, got.GroupVersion(), want.Kind, want.GroupVersion())
	}
	job.Status = v1alpha1.AnalysisJobStatus{}
	return &job, nil
}

// missing names every flag that is needed and was not given, at once.
func missing(job *v1alpha1.AnalysisJob) error {
	var faults []error
	s := job.Spec.Subjects
	if s.All == nil && s.Subject == "" && s.Manifest == nil {
		faults = append(faults, errors.New("whose data: --all, --subject or --manifest"))
	}
	if w := job.Spec.Window; w.LastDays == nil && (w.Start == "" || w.End == "") {
		faults = append(faults, errors.New("which days: --last-days, or --start and --end"))
	}
	if len(job.Spec.Analyses) == 0 {
		faults = append(faults, errors.New("what to compute: --analyses"))
	}
	if len(faults) == 0 {
		return nil
	}
	return fault.New(fault.Usage, "kubectl clarity job create --help", "say %s", strings.ReplaceAll(errors.Join(faults...).Error(), "\n", "; "))
}

// place puts the job into the namespace that is meant, and refuses two.
func place(job *v1alpha1.AnalysisJob, cluster *kube.Cluster) error {
	if job.Namespace != "" && cluster.Explicit && job.Namespace != cluster.Namespace {
		return fault.New(fault.Usage, "", "the file says namespace %q, --namespace says %q", job.Namespace, cluster.Namespace)
	}
	if job.Namespace == "" {
		job.Namespace = cluster.Namespace
	}
	cluster.Namespace = job.Namespace
	return nil
}

func (f *jobFlags) create(c *cobra.Command, p *process, cluster *kube.Cluster, job *v1alpha1.AnalysisJob) error {
	switch f.dryRun {
	case "none":
	case "client", "server":
		if err := f.print.Complete("%s (" + f.dryRun + " dry run)"); err != nil {
			return err
		}
	default:
		return fault.New(fault.Usage, "", "--dry-run=%s: it is none, client or server", f.dryRun)
	}
	printer, err := f.print.ToPrinter()
	if err != nil {
		return fault.New(fault.Usage, "", "%v", err)
	}
	if f.dryRun == "client" {
		job.CreationTimestamp = metav1.Time{}
	} else if err := cluster.Create(c.Context(), job, f.dryRun == "server"); err != nil {
		return err
	}
	return printer.PrintObj(job, p.Out)
}
