package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

const upHelp = `Runs the platform in one process, its data in one directory, until SIGINT or
SIGTERM. The first line on standard output is "ready http://127.0.0.1:PORT", or
"ready" where the ingress does not run; the log goes to standard error. Nothing
but probes and metrics, where --admin-listen says so, listens wider than this machine.

Every flag but --check can be said in the environment, too ($CLARITY_LISTEN,
$CLARITY_LOG_LEVEL), and what runs in the YAML file of --config; flags win over
the environment, and that over the file. --check tells what is wrong, or what would run, and opens nothing.`

// The collector's bounds: a small platform stays small. The limit is soft; a
// large upload may pass it for a moment.
const (
	gcPercent   = 50
	memoryLimit = 48 << 20
)

func up(ctx context.Context, c *call) error {
	fs := c.flags(upHelp)
	s := defaults()
	s.bind(fs)
	file := fs.String("config", c.getenv(settings.Variable("config")), "YAML `FILE` of what the flags say, and of what only it can say")
	check := fs.Bool("check", false, "print what would run, and open nothing")
	if err := c.parseNone(fs); err != nil {
		return err
	}
	reading := settings.Read(fs, s, *file, c.getenv, "config", "check")
	log, logging := s.Log.Logger(c.stderr, "clarity", buildinfo.Of(version).Version)
	told := s.Config // of the keys' own place the directory says where that is, once it is open
	s.Backends = embedded.In(s.Data, s.Backends)
	faults := []error{reading, logging, datadir.Validate(s.Data, s.Config, drivers(), stages.All())}
	if *check {
		faults = append(faults, s.findModel())
	}
	if err := errors.Join(faults...); err != nil {
		return usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if *check {
		return s.print(c.stdout)
	}
	if err := s.findBundle(); err != nil {
		return err
	}
	s.warnOfErasures(log)
	if c.getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(memoryLimit)
	}
	p, err := datadir.Open(ctx, s.Data, told, drivers(), stages.All(), platform.Env{Now: time.Now, Log: log, Version: describeBuild()})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil { // a clean stop, as after ready
		log.Info("stopped")
		return nil //nolint:nilerr // being told to stop is no error
	}
	if err != nil {
		return asUsage(err)
	}
	if _, err := io.WriteString(c.stdout, strings.TrimSpace("ready "+p.URL())+"\n"); err != nil {
		log.Warn("standard output is closed", "err", err)
	}
	return p.Run(ctx)
}

// upSettings is what `clarity up` is told, and the form of its configuration file.
type upSettings struct {
	// Data is the data directory.
	Data            string `yaml:"data"`
	platform.Config `yaml:",inline"`
}

func defaults() *upSettings {
	return &upSettings{Data: dataDefault, Config: platform.Config{
		Stages:   stages.Names(),
		Backends: platform.Backends{Model: "none"},
		Listen:   platform.Listen{API: "127.0.0.1:8080"},
		Log:      platform.Log{Format: "text", Level: "info"},
	}}
}

// findModel says whether the bundle or the plan that a stage would open is there.
func (s *upSettings) findModel() error {
	if !s.Needs(stages.All()).Has(capability.Model) {
		return nil
	}
	return plans.FindModel(s.Backends.Model)
}

// findBundle is findModel for a bundle alone: a plan may come later.
func (s *upSettings) findBundle() error {
	if !s.Needs(stages.All()).Has(capability.Model) || strings.HasPrefix(s.Backends.Model, trafficPlan) {
		return nil
	}
	return models.Find(s.Backends.Model)
}

// trafficPlan begins a model's reference that names a plan.
const trafficPlan = "traffic:"

// form is what the flags say beside the data directory.
func form() serving.Form {
	return serving.Form{
		Table: stages.All(), Unsaid: "the data directory's",
		Models: "none, preview (trained on simulated data), a bundle's file, traffic:file:DIR or traffic:fixed:FILE",
		Examples: map[string]string{"store": "sqlite:DIR", "blobs": "files:DIR", "queue": "sqlite:DIR", "keys": "tink:DIR",
			"identity": "local:DIR", "audit": "file:DIR", "writer": "template"},
	}
}

// bind makes the flags that fill in s.
func (s *upSettings) bind(fs *flag.FlagSet) {
	fs.StringVar(&s.Data, "data", s.Data, "data directory `DIR`")
	form().Flags(fs, &s.Config)
}

// print lists what would run.
func (s *upSettings) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	form().Print(tw, s.Config)
	say(tw, "data\t\t%s\n", s.Data)
	return tw.Flush()
}

// warnOfErasures says that deletions of accounts are taken in and not done here.
func (s *upSettings) warnOfErasures(log *slog.Logger) {
	if slices.Contains(s.Stages, stages.Ingress) && !slices.Contains(s.Stages, stages.Erasure) {
		log.Warn("deletions of accounts are accepted, and none is done by this process: run the stage "+stages.Erasure, "stage", stages.Ingress, "stages", s.Stages)
	}
}

// isTerminal says whether w is a terminal a person looks at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
