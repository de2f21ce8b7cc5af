package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/cluster"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/candidate"
	"github.com/clarity-loop/clarity/services/worker/shard"
)

// The words for why a shard as a whole did not come to its end, beside those of
// the version's (candidate) and of the subjects (shard). Each is counted once in
// the report's reasons, and is no subject's.
const (
	reasonArguments        = "InvalidArguments"
	reasonManifestNotFound = "ManifestNotFound"
	reasonManifestMismatch = "ManifestMismatch"
	reasonBadManifest      = "BadManifest"
	reasonStopped          = "Stopped"
	reasonSuperseded       = "Superseded"
	reasonForeign          = "ForeignCheckpoint"
	reasonDamaged          = "DamagedCheckpoint"
	reasonBusy             = "DirectoryInUse"
	reasonBackend          = "BackendUnavailable"
	reasonModelServer      = "ModelServerNotReady"
	reasonConfiguration    = "InvalidConfiguration"
)

// reasons lists every word that a shard's report may hold.
func reasons() []string {
	list := append(shard.Reasons(), reasonArguments, reasonConfiguration, reasonManifestNotFound, reasonManifestMismatch, reasonBadManifest,
		reasonStopped, reasonSuperseded, reasonForeign, reasonDamaged, reasonBusy, reasonBackend, reasonModelServer)
	for _, r := range []candidate.Reason{candidate.DigestMismatch, candidate.ArtifactNotFound, candidate.Unreadable} {
		list = append(list, modelReason(r))
	}
	return list
}

// modelReason is the word for a model that cannot be asked.
func modelReason(r candidate.Reason) string { return "Model" + string(r) }

// The defaults of what the environment may say.
const (
	defaultTurn = 2 * time.Second
	defaultWait = 10 * time.Minute
)

// families are what can be asked for. A Result holds all but the last two,
// always: it is one document. The trend is read from Results.
func families() []string {
	return []string{"wear", "sleep", "circadian", "activity", "cardio", "trend", "model"}
}

// A shardCall is the command line of a shard, read.
type shardCall struct {
	*call
	task     shard.Task
	attempt  shard.Attempt
	subject  string
	all      bool
	manifest candidate.Artifact
	model    candidate.Artifact // Digest is "" where none is asked
	name     string             // the model's
	endpoint string
	wait     time.Duration
	turn     time.Duration
	dir      string
}

func shardOf(ctx context.Context, c *call) (any, error) {
	began := time.Now()
	s, err := parseShard(c)
	if errors.Is(err, flag.ErrHelp) {
		return nil, err
	}
	var report shard.Report
	if err == nil {
		report, err = s.run(ctx)
	}
	if err == nil && report.Reasons[shard.ReasonUnknownSubject] > 0 && s.subject != "" {
		err = invalidf("no data is held of the subject")
	} else if err != nil {
		var reason string
		reason, err = shardReason(err)
		report.Reasons = maps.Clone(report.Reasons)
		if report.Reasons == nil {
			report.Reasons = map[string]int64{}
		}
		report.Reasons[reason]++
	}
	c.log.Info("shard ends", "stage", "shard", "subjects", report.Subjects, "succeeded", report.Succeeded, "skipped", report.Skipped,
		"failed", report.Failed, "exit", exitCode(err), "duration", time.Since(began))
	return report, err
}

// shardReason is an error's word, and the error with its exit code.
func shardReason(err error) (string, error) {
	var verdict *candidate.Verdict
	var known *exitError
	var stumble *shard.StumbleError
	for _, row := range []struct {
		is     bool
		reason string
		code   int
	}{
		{errors.Is(err, shard.ErrStopped) || errors.Is(err, context.Canceled), reasonStopped, exitRetry},
		{errors.Is(err, shard.ErrSuperseded), reasonSuperseded, exitRetry},
		{errors.Is(err, shard.ErrTask), reasonForeign, exitInvalid},
		{errors.Is(err, shard.ErrCheckpoint), reasonDamaged, exitInvalid},
		{errors.Is(err, platform.ErrBusy), reasonBusy, exitRetry},
		{errors.As(err, &stumble), reasonBackend, exitRetry},
		{errors.Is(err, shard.ErrManifest), reasonBadManifest, exitInvalid},
	} {
		if row.is {
			return row.reason, &exitError{code: row.code, err: err}
		}
	}
	switch {
	case errors.As(err, &verdict) && verdict.Final:
		return modelReason(verdict.Reason), &exitError{code: exitInvalid, err: err}
	case errors.As(err, &verdict):
		return modelReason(verdict.Reason), &exitError{code: exitRetry, err: err}
	case errors.As(err, &known) && known.code == exitConfig:
		return reasonConfiguration, err
	case errors.As(err, &known):
		return cmp.Or(known.reason, reasonArguments), err
	}
	return reasonBackend, err
}

func parseShard(c *call) (*shardCall, error) {
	s := &shardCall{call: c}
	fs := c.flags()
	fs.StringVar(&s.task.Run, "run", "", "the run's `NAME`: the AnalysisJob's UID")
	fs.IntVar(&s.task.Shards, "shards", 0, "how many shards there are")
	start, end := fs.String("start", "", "the first `DAY` on which a window ends"), fs.String("end", "", "the last one")
	analyses := fs.String("analyses", "", "the `FAMILIES` asked for, comma-separated")
	existing := fs.String("on-existing", "", "Skip or Replace what is current")
	fs.StringVar(&s.subject, "subject", "", "one person's `TOKEN`")
	fs.StringVar(&s.manifest.URI, "manifest", "", "where a file of tokens is")
	fs.StringVar(&s.manifest.Digest, "manifest-digest", "", "what it is: sha256:…")
	fs.BoolVar(&s.all, "all", false, "everyone")
	version := fs.String("model", "", "the model to ask, `NAME@VERSION`")
	fs.StringVar(&s.model.URI, "model-artifact", "", "where its bundle is")
	fs.StringVar(&s.model.Digest, "model-digest", "", "what it is: sha256:…")
	fs.StringVar(&s.endpoint, "model-endpoint", "", "its server's `HOST:PORT`; none computes here")
	if err := c.parse(fs, "run", "shards", "start", "end", "analyses", "on-existing"); err != nil {
		return nil, err
	}
	var faults []error
	fault := func(err error) { faults = append(faults, err) }
	var err error
	if s.task.Start, err = health.ParseDay(*start); err != nil {
		fault(fmt.Errorf("--start: %w", err))
	}
	if s.task.End, err = health.ParseDay(*end); err != nil {
		fault(fmt.Errorf("--end: %w", err))
	}
	if s.task.Replace = *existing == "Replace"; !s.task.Replace && *existing != "Skip" {
		fault(fmt.Errorf("--on-existing is Skip or Replace, not %.20q", *existing))
	}
	fault(s.readSubjects())
	fault(s.readModel(*version, strings.Split(*analyses, ",")))
	fault(s.readEnvironment())
	if len(faults) == 0 || errors.Join(faults...) == nil {
		fault(s.task.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return nil, &exitError{code: exitInvalid, err: err}
	}
	return s, s.readConfiguration()
}

// readSubjects says whose data it is about, but for what a manifest says.
func (s *shardCall) readSubjects() error {
	ways := 0
	for _, given := range []bool{s.subject != "", s.manifest.URI != "", s.all} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("say exactly one of --subject, --manifest and --all")
	case (s.manifest.URI == "") != (s.manifest.Digest == ""):
		return errors.New("--manifest and --manifest-digest go together")
	case s.subject != "":
		s.task.Subjects = []string{s.subject}
	}
	return nil
}

// readModel says which version is asked. One that is named and not among the
// families is not.
func (s *shardCall) readModel(version string, analyses []string) error {
	for _, a := range analyses {
		if !slices.Contains(families(), a) {
			return fmt.Errorf("--analyses: there is no family %.20q; the families are %s", a, strings.Join(families(), ", "))
		}
	}
	if !slices.Contains(analyses, "model") {
		s.model, s.endpoint = candidate.Artifact{}, ""
		return nil
	}
	var named bool
	if s.name, _, named = strings.Cut(version, "@"); !named || s.name == "" || s.model.Digest == "" || s.model.URI == "" {
		return errors.New("the family model needs --model NAME@VERSION, --model-artifact and --model-digest")
	}
	s.task.Model = s.model.Digest
	return nil
}

// readEnvironment is what the Job and the operator put beside the command line.
func (s *shardCall) readEnvironment() error {
	index, err := strconv.Atoi(s.getenv("JOB_COMPLETION_INDEX"))
	if err != nil {
		return errors.New("JOB_COMPLETION_INDEX does not say which shard it is")
	}
	s.task.Shard = index
	for _, name := range []string{"CLARITY_SHARD_FAILURES", "CLARITY_SHARD_IGNORED_FAILURES"} {
		text := s.getenv(name)
		if text == "" { // the first attempt has no such annotation
			continue
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("%s is not a count", name)
		}
		s.attempt.Token += n
	}
	s.attempt.Holder = cmp.Or(s.getenv("CLARITY_POD_UID"), uuid.NewString())
	return nil
}

// readConfiguration is what the platform says to every shard.
func (s *shardCall) readConfiguration() (err error) {
	if s.dir = s.getenv("CLARITY_DATA"); s.dir == "" {
		return &exitError{code: exitConfig, err: errors.New("CLARITY_DATA does not name a data directory; the drivers of the cloud are not built yet")}
	}
	if s.turn, err = s.duration("CLARITY_SHARD_TURN", defaultTurn, time.Hour); err != nil {
		return err
	}
	s.wait, err = s.duration("CLARITY_SHARD_WAIT", defaultWait, 24*time.Hour)
	return err
}

func (s *shardCall) run(ctx context.Context) (shard.Report, error) {
	if err := s.readManifest(ctx); err != nil {
		return shard.Report{}, err
	}
	active, done, err := s.openModel(ctx)
	if err != nil {
		return shard.Report{}, err
	}
	defer done()
	lender := &platform.Turns{Config: platform.Config{Dir: s.dir, Log: s.log, Now: time.Now}, Model: active, Patience: s.wait}
	r, err := shard.New(shard.Needs{Lender: lender, Turn: s.turn, Now: time.Now, Log: s.log}, s.task, s.attempt)
	if err != nil {
		return shard.Report{}, &exitError{code: exitInvalid, err: err}
	}
	return r.Run(ctx)
}

// readManifest fetches the file of subjects and keeps those of this shard.
func (s *shardCall) readManifest(ctx context.Context) error {
	if s.manifest.URI == "" {
		return nil
	}
	dir, done, err := s.scratch()
	if err != nil {
		return err
	}
	defer done()
	path := filepath.Join(dir, "manifest")
	err = cluster.Artifacts(s.development).File(ctx, s.manifest.URI, s.manifest.Digest, shard.MaxManifest, path)
	switch {
	case errors.Is(err, artifact.ErrNotFound):
		return &exitError{exitRetry, err, reasonManifestNotFound}
	case errors.Is(err, artifact.ErrDigest):
		return &exitError{exitInvalid, err, reasonManifestMismatch}
	case errors.Is(err, artifact.ErrMalformed), errors.Is(err, artifact.ErrURI):
		return &exitError{exitInvalid, err, reasonBadManifest}
	case err != nil:
		return &exitError{exitRetry, err, reasonManifestNotFound}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	s.task.Subjects, err = shard.ReadManifest(f, s.task)
	return err
}

// openModel opens the version that is asked: on this machine's processor, or
// where it is served.
func (s *shardCall) openModel(ctx context.Context) (m model.Model, done func(), err error) {
	switch {
	case s.model.Digest == "":
		return nil, func() {}, nil
	case s.endpoint != "":
		client, err := cluster.Dial(ctx, s.endpoint, s.name, s.model.Digest, s.log)
		if err != nil {
			return nil, nil, &exitError{exitRetry, err, reasonModelServer}
		}
		return client, client.Close, nil
	}
	dir, clean, err := s.scratch()
	if err != nil {
		return nil, nil, err
	}
	defer clean()
	b, err := candidate.Fetch(ctx, cluster.Artifacts(s.development), s.model, dir)
	if err != nil {
		return nil, nil, err
	}
	opened, done, err := platform.OpenBundle(ctx, b)
	if err != nil {
		return nil, nil, &candidate.Verdict{Reason: candidate.Unreadable, Final: true, Cause: err}
	}
	return opened, done, nil
}
