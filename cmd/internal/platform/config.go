package platform

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/googlelog"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

// A Config is what a process of the platform is told, a struct a room.
type Config struct {
	// Stages are those that run; messages for the others wait in the queue.
	Stages   []string `yaml:"stages"`
	Backends Backends `yaml:"backends"`
	Listen   Listen   `yaml:"listen"`
	Ingress  Ingress  `yaml:"ingress"`
	Worker   Worker   `yaml:"worker"`
	Insights Insights `yaml:"insights"`
	Erasure  Erasure  `yaml:"erasure"`
	// Wake.Every is the interval in which a phone is woken once at most; 0 is five minutes.
	Wake struct {
		Every time.Duration `yaml:"every"`
	} `yaml:"wake"`
	Stop   Stop   `yaml:"stop"`
	Log    Log    `yaml:"log"`
	Traces Traces `yaml:"traces"`
}

// Backends says which driver stands behind each capability, and where, by one
// string each: "sqlite:/var/lib/clarity".
type Backends struct {
	Store    string `yaml:"store"`
	Blobs    string `yaml:"blobs"`
	Queue    string `yaml:"queue"`
	Keys     string `yaml:"keys"`
	Identity string `yaml:"identity"`
	Audit    string `yaml:"audit"`
	Writer   string `yaml:"writer"`
	// Feed is where phones listen by themselves; "" for none.
	Feed string `yaml:"feed"`
	// Push is who wakes phones that sleep; "" for nobody.
	Push string `yaml:"push"`
	// Model is the version that looks at each week: "" or "none" for none, what
	// models.Single opens, or "traffic:PLAN", where PLAN is one of Drivers.Plans.
	Model string `yaml:"model"`
}

// Listen is the addresses that a process answers on. Those where health data can
// be read are loopback, unless the binary says otherwise.
type Listen struct {
	// API is the ingress's; port 0 takes a free one.
	API string `yaml:"api"`
	// Open lets the API listen wider than this machine: who else reaches it is
	// seen to in front, and nobody can configure it.
	Open bool `yaml:"-"`
	// Admin is for probes and metrics, which then are there alone; "": the ingress
	// answers them, too.
	Admin string `yaml:"admin"`
	// Profile is for /debug/pprof; "" for none.
	Profile string `yaml:"profile"`
}

// Worker is what the worker is told.
type Worker struct {
	// Debounce delays a person's analyses after an upload, so that the uploads
	// of one sync share them; 0 is intake's default.
	Debounce time.Duration `yaml:"debounce"`
	// Look is the time between two looks at what is due, which cost something where
	// documents are billed; 0 is the stage's own choice, for a disk.
	Look time.Duration `yaml:"look"`
}

// Insights is what the insights are told.
type Insights struct {
	// WriterTimeout is how long a writer may take; 0 is ten seconds.
	WriterTimeout time.Duration `yaml:"writerTimeout"`
	// TextsPerDay is how many texts are asked of a language model a person and UTC
	// day; 0 is twelve.
	TextsPerDay int `yaml:"textsPerDay"`
}

// Erasure is what is said of erasures.
type Erasure struct {
	// Grace is how long an erasure can be taken back; 0 begins it at once.
	Grace time.Duration `yaml:"grace"`
	// Look is Worker.Look, for erasures that are to go on.
	Look time.Duration `yaml:"look"`
}

// Log is the form of the log and the least level that is in it.
type Log struct {
	Format string `yaml:"format"` // text, json, or google:PROJECT
	Level  string `yaml:"level"`  // debug, info, warn or error
}

// Logger writes to w as the configuration says. The program is what writes.
func (l Log) Logger(w io.Writer, name, version string) (*slog.Logger, error) {
	var level slog.Level
	var faults []error
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		faults = append(faults, configErrorf("the log's level is debug, info, warn or error, not %q", l.Level))
	}
	var handler slog.Handler
	format, project, _ := strings.Cut(l.Format, ":")
	switch {
	case format == "google" && projectForm.MatchString(project):
		handler = googlelog.New(w, level, googlelog.Program{Name: name, Version: version, Project: project})
	case l.Format == "json":
		handler = settings.JSONLog(w, level)
	case l.Format == "text":
		handler = slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	default:
		faults = append(faults, configErrorf("the log's format is text, json or google:PROJECT, not %q", l.Format))
	}
	if err := oneConfigError(faults); err != nil {
		return nil, err
	}
	return slog.New(handler), nil
}

// projectForm is what a project of Google Cloud is called.
var projectForm = regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)

// A ConfigError is what is wrong with a Config; it is the caller's to mend.
type ConfigError struct{ Text string }

func (e *ConfigError) Error() string { return e.Text }

func configErrorf(format string, args ...any) error {
	return &ConfigError{fmt.Sprintf(format, args...)}
}

// Validate tells every fault at once, as one ConfigError: of the Config itself,
// and of what it asks of a binary with these drivers and stages.
func (c Config) Validate(d Drivers, table []Stage) error {
	needs := c.Needs(table)
	unknown := c.checkStages(table)
	if unknown != nil { // nobody knows what was meant: what is said is checked all the same
		for _, s := range table {
			needs |= s.Needs & c.told()
		}
	}
	faults := []error{unknown, c.Listen.check(needs.Has(capability.Listener)), c.Ingress.check()}
	for _, row := range []struct {
		what string
		is   time.Duration
	}{
		{"the worker's debounce", c.Worker.Debounce}, {"the worker's look", c.Worker.Look},
		{"the writer's timeout", c.Insights.WriterTimeout},
		{"the grace of an erasure", c.Erasure.Grace}, {"the look of the erasures", c.Erasure.Look},
		{"the interval of wakes", c.Wake.Every},
	} {
		if row.is < 0 {
			faults = append(faults, configErrorf("%s cannot be negative, as %v is", row.what, row.is))
		}
	}
	if c.Insights.TextsPerDay < 0 {
		faults = append(faults, configErrorf("the texts of a day cannot be negative, as %d is", c.Insights.TextsPerDay))
	}
	return oneConfigError(append(faults, c.Stop.check(), c.Traces.check(d.Traces != nil), d.Check(c.Backends, needs)))
}

// told is what the configuration says something of.
func (c Config) told() (set capability.Set) {
	for _, row := range []struct {
		of   capability.Set
		said string
	}{
		{capability.Store, c.Backends.Store}, {capability.Blobs, c.Backends.Blobs}, {capability.Queue, c.Backends.Queue},
		{ofKeyring, c.Backends.Keys}, {capability.Identity, c.Backends.Identity}, {capability.Audit, c.Backends.Audit},
		{capability.Writer, c.Backends.Writer}, {capability.Model, c.Backends.Model}, {capability.Listener, c.Listen.API},
	} {
		if row.said != "" {
			set |= row.of
		}
	}
	return set
}

// check tells the faults of the addresses that are listened on.
func (l Listen) check(api bool) error {
	var faults []error
	switch {
	case api && l.Open:
		_, err := splitAddress("listen api", l.API)
		faults = append(faults, err)
	case api:
		faults = append(faults, checkAddress("listen api", l.API))
	}
	if l.Profile != "" {
		faults = append(faults, checkAddress("listen profile", l.Profile))
	}
	if l.Admin != "" {
		_, err := splitAddress("listen admin", l.Admin) // neither probes nor metrics hold anything of a person
		faults = append(faults, err)
	}
	shared := func(one, other, who string) {
		if one != "" && one == other && !strings.HasSuffix(one, ":0") {
			faults = append(faults, configErrorf("listen: %s cannot share the address %s", who, one))
		}
	}
	if api {
		shared(l.API, l.Profile, "the API and the profiles")
		shared(l.API, l.Admin, "the API and the probes")
	}
	shared(l.Admin, l.Profile, "the probes and the profiles")
	return errors.Join(faults...)
}

// oneConfigError is the faults in one line.
func oneConfigError(faults []error) error {
	joined := errors.Join(faults...)
	if joined == nil {
		return nil
	}
	return configErrorf("%s", strings.ReplaceAll(joined.Error(), "\n", "; "))
}

func (c Config) checkStages(table []Stage) error {
	known := make([]string, len(table))
	for i, s := range table {
		known[i] = s.Name
	}
	if len(c.Stages) == 0 {
		return configErrorf("name at least one stage of %s", strings.Join(known, ", "))
	}
	var faults []error
	for _, s := range c.Stages {
		if !slices.Contains(known, s) {
			faults = append(faults, configErrorf("there is no stage %q; the stages are %s", s, strings.Join(known, ", ")))
		}
	}
	return errors.Join(faults...)
}

// Needs is what the stages that run need together.
func (c Config) Needs(table []Stage) (needs capability.Set) {
	for _, s := range table {
		if slices.Contains(c.Stages, s.Name) {
			needs |= s.Needs
		}
	}
	return needs
}

// checkAddress refuses what is no address, and one that others than this machine
// can reach.
func checkAddress(what, address string) error {
	host, err := splitAddress(what, address)
	if err != nil || host == "localhost" {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return configErrorf("%s: %s is not a loopback address: health data does not leave this machine unencrypted; listen on 127.0.0.1 and put a TLS proxy in front", what, address)
	}
	return nil
}

// splitAddress is the host of an address that can be listened on.
func splitAddress(what, address string) (host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", configErrorf("%s: %q is not an address and port such as 127.0.0.1:8080", what, address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", configErrorf("%s: %s has no port that can be: ports are 0 to 65535", what, address)
	}
	return host, nil
}
