package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
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
	log, logging := s.Log.Logger(c.stderr)
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
	if s.Needs(stages.All()).Has(capability.Model) && strings.HasPrefix(s.Backends.Model, trafficPlan) {
		return plans.Find(s.Backends.Model)
	}
	return s.findBundle()
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

// bind makes the flags that fill in s.
func (s *upSettings) bind(fs *flag.FlagSet) {
	fs.StringVar(&s.Data, "data", s.Data, "data directory `DIR`")
	fs.StringVar(&s.Listen.API, "listen", s.Listen.API, "loopback `ADDRESS` to answer on; port 0 takes a free one")
	fs.StringVar(&s.Listen.Admin, "admin-listen", "", "`ADDRESS` for /healthz, /readyz and /metrics; the ingress answers them if empty")
	fs.StringVar(&s.Listen.Profile, "pprof", "", "loopback `ADDRESS` for /debug/pprof; off if empty")
	fs.Var(list{&s.Stages}, "stages", "the `STAGES` to run; messages for the others wait")
	fs.StringVar(&s.Backends.Model, "model", s.Backends.Model, "`MODEL` that the worker runs on each week: none, preview (trained on simulated data), a bundle's file, traffic:file:DIR or traffic:fixed:FILE")
	fs.DurationVar(&s.Worker.Debounce, "debounce", 0, "how long the worker waits for more uploads before it analyses; 0 is its own choice")
	fs.DurationVar(&s.Erasure.Grace, "erasure-grace", 0, "how long an erasure can be taken back; 0 begins it at once")
	fs.BoolVar(&s.Ingress.Unlimited, "unlimited", false, "no rate limits, for measurements")
	fs.StringVar(&s.Log.Format, "log", s.Log.Format, "`FORMAT` of the log: text or json")
	fs.StringVar(&s.Log.Level, "log-level", s.Log.Level, "least `LEVEL` that is logged: debug, info, warn or error")
	for _, b := range s.backends() {
		fs.StringVar(b.spec, b.name, "", "`DRIVER` of the "+b.name+", such as "+b.example+"; without it, the data directory's")
	}
}

// A backend is a capability's driver, by flag.
type backend struct {
	spec          *string
	name, example string
	of            capability.Set
}

func (s *upSettings) backends() []backend {
	b := &s.Backends
	return []backend{
		{&b.Store, "store", "sqlite:DIR", capability.Store}, {&b.Blobs, "blobs", "files:DIR", capability.Blobs},
		{&b.Queue, "queue", "sqlite:DIR", capability.Queue}, {&b.Keys, "keys", "tink:DIR", capability.Keys | capability.Erasure},
		{&b.Identity, "identity", "local:DIR", capability.Identity}, {&b.Audit, "audit", "file:DIR", capability.Audit},
		{&b.Writer, "writer", "template", capability.Writer},
	}
}

// print lists what would run: each stage with what it needs, where it listens,
// and the driver of each capability that is needed.
func (s *upSettings) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, stage := range stages.All() {
		needs := "off"
		for _, on := range s.Stages {
			if on == stage.Name {
				needs = "needs " + stage.Needs.String()
			}
		}
		say(tw, "stage\t%s\t%s\n", stage.Name, needs)
	}
	all, api := s.Needs(stages.All()), s.Listen.API
	if !all.Has(capability.Listener) {
		api = ""
	}
	say(tw, "listen\tapi\t%s\n", orOff(api))
	say(tw, "listen\tadmin\t%s\n", orOff(s.Listen.Admin))
	say(tw, "listen\tprofile\t%s\n", orOff(s.Listen.Profile))
	for _, b := range s.backends() {
		if all.HasAny(b.of) {
			say(tw, "driver\t%s\t%s\n", b.name, *b.spec)
		}
	}
	if all.Has(capability.Model) {
		say(tw, "model\t\t%s\n", cmp.Or(s.Backends.Model, "none"))
	}
	say(tw, "data\t\t%s\n", s.Data)
	return tw.Flush()
}

func orOff(address string) string {
	if address == "" {
		return "off"
	}
	return address
}

// list is a flag of words that are separated by commas.
type list struct{ into *[]string }

func (l list) String() string {
	if l.into == nil {
		return ""
	}
	return strings.Join(*l.into, ",")
}

// Set replaces the list; empty words are none.
func (l list) Set(text string) error {
	*l.into = nil
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l.into = append(*l.into, part)
		}
	}
	return nil
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
