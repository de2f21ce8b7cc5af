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
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
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
	for _, r := range []termination.Reason{termination.DigestMismatch, termination.ArtifactNotFound, termination.Unreadable} {
		list = append(list, modelReason(r))
	}
	return list
}

// modelReason is the word for a model that cannot be asked.
func modelReason(r termination.Reason) string { return "Model" + string(r) }

// The defaults of what the environment may say.
const (
	defaultLease = 2 * time.Second
	defaultWait  = 10 * time.Minute
)

// dataVariable is the environment's name of the data directory.
const dataVariable = "CLARITY_DATA"

// familyModel is the family for which a version of a model is asked.
const familyModel = "model"

// families are what can be asked for. A Result holds all but the last two,
// always: it is one document. The trend is read from Results.
func families() []string {
	return []string{"wear", "sleep", "circadian", "activity", "cardio", "trend", familyModel}
}

// A shardCall is the command line of a shard, read.
type shardCall struct {
	*call
	args    worker.ShardArgs
	task    shard.Task
	attempt shard.Attempt
	wait    time.Duration
	lease   time.Duration
	dir     string
	// backends are drivers that all shards have at once, where there is no directory.
	backends platform.Backends
}

func shardOf(ctx context.Context, c *call) (any, error) {
	began := time.Now()
	s, err := parseShard(c)
	if errors.Is(err, flag.ErrHelp) {
		return nil, err
	}
	var report termination.Report
	if err == nil {
		report, err = s.run(ctx)
	}
	if err == nil && report.Reasons[shard.ReasonUnknownSubject] > 0 && s.args.Subject != "" {
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
	var failure *candidate.Failure
	var known *exitError
	var backend *shard.BackendError
	var place *datadir.Fault
	if errors.As(err, &place) {
		place.Told = dataVariable
	}
	for _, row := range []struct {
		is     bool
		reason string
		code   int
	}{
		{errors.Is(err, shard.ErrStopped) || errors.Is(err, context.Canceled), reasonStopped, worker.ExitRetry},
		{errors.Is(err, shard.ErrSuperseded), reasonSuperseded, worker.ExitRetry},
		{errors.Is(err, shard.ErrTask), reasonForeign, worker.ExitInvalidInput},
		{errors.Is(err, shard.ErrCheckpoint), reasonDamaged, worker.ExitInvalidInput},
		{errors.Is(err, datadir.ErrInUse), reasonBusy, worker.ExitRetry},
		{errors.As(err, &place) && place.Lasting(), reasonConfiguration, worker.ExitConfiguration},
		{errors.As(err, &backend), reasonBackend, worker.ExitRetry},
		{errors.Is(err, shard.ErrManifest), reasonBadManifest, worker.ExitInvalidInput},
	} {
		if row.is {
			return row.reason, &exitError{code: row.code, err: err}
		}
	}
	switch {
	case errors.As(err, &failure) && failure.Final:
		return modelReason(failure.Reason), &exitError{code: worker.ExitInvalidInput, err: err}
	case errors.As(err, &failure):
		return modelReason(failure.Reason), &exitError{code: worker.ExitRetry, err: err}
	case errors.As(err, &known) && known.code == worker.ExitConfiguration:
		return reasonConfiguration, err
	case errors.As(err, &known):
		return cmp.Or(known.reason, reasonArguments), err
	}
	return reasonBackend, err
}

func parseShard(c *call) (*shardCall, error) {
	args, err := parsed(c, worker.ParseShardArgs)
	if err != nil {
		return nil, err
	}
	s := &shardCall{call: c, args: args}
	s.task.Run, s.task.Shards, s.task.Replace = args.Run, args.Shards, args.Replace
	var faults []error
	fault := func(err error) { faults = append(faults, err) }
	if s.task.Start, err = health.ParseDay(args.Start); err != nil {
		fault(fmt.Errorf("--start: %w", err))
	}
	if s.task.End, err = health.ParseDay(args.End); err != nil {
		fault(fmt.Errorf("--end: %w", err))
	}
	if args.Subject != "" {
		s.task.Subjects = []string{args.Subject}
	}
	fault(s.readModel())
	fault(s.readPod())
	if errors.Join(faults...) == nil {
		fault(s.task.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return nil, &exitError{code: worker.ExitInvalidInput, err: err}
	}
	return s, s.readConfiguration()
}

// readModel says which version is asked. One that is named and not among the
// families is not.
func (s *shardCall) readModel() error {
	for _, a := range s.args.Analyses {
		if !slices.Contains(families(), a) {
			return fmt.Errorf("--analyses: there is no family %.20q; the families are %s", a, strings.Join(families(), ", "))
		}
	}
	switch {
	case !slices.Contains(s.args.Analyses, familyModel):
		s.args.Model = nil
	case s.args.Model == nil:
		return errors.New("the family model needs --model NAME@VERSION, --model-artifact and --model-digest")
	default:
		s.task.Model = s.args.Model.Artifact.Digest
		if at := s.args.Model.Endpoint; at != "" {
			return isEndpoint("--model-endpoint", at)
		}
	}
	return nil
}

// readPod is what the Job and the operator put beside the command line.
func (s *shardCall) readPod() error {
	pod, err := worker.ParseShardPod(s.getenv)
	if err != nil {
		return err
	}
	s.task.Shard = pod.Index
	s.attempt = shard.Attempt{Number: pod.Attempt, Holder: cmp.Or(pod.UID, uuid.NewString())}
	return nil
}

// readConfiguration is what the platform says to every shard.
func (s *shardCall) readConfiguration() (err error) {
	if err := s.readPlaces(); err != nil {
		return &exitError{code: worker.ExitConfiguration, err: err}
	}
	if s.lease, err = s.duration("CLARITY_SHARD_TURN", defaultLease, time.Hour); err != nil {
		return err
	}
	s.wait, err = s.duration("CLARITY_SHARD_WAIT", defaultWait, 24*time.Hour)
	return err
}

// readPlaces is where the data is: a directory, or behind drivers, which are told as to
// `worker serve`.
func (s *shardCall) readPlaces() error {
	s.dir = s.getenv(dataVariable)
	for _, b := range serving.Backends(&s.backends) {
		if ofShard.HasAny(b.Of) {
			*b.Spec = s.getenv(settings.Variable(b.Name))
		}
	}
	switch {
	case s.dir != "":
		return nil
	case s.backends == platform.Backends{}:
		return errors.New(dataVariable + " does not name a data directory, and " + settings.Variable("store") + " and its like no drivers")
	}
	return drivers(s.getenv).Check(s.backends, ofShard)
}

func (s *shardCall) run(ctx context.Context) (_ termination.Report, err error) {
	if err := s.readManifest(ctx); err != nil {
		return termination.Report{}, err
	}
	active, done, err := s.openModel(ctx)
	if err != nil {
		return termination.Report{}, err
	}
	defer done()
	lock, closeAll := newDataLock(s, active)
	defer func() { err = errors.Join(err, closeAll()) }()
	r, err := shard.New(shard.Needs{Lock: lock, Lease: s.lease, Now: time.Now, Log: s.log}, s.task, s.attempt)
	if err != nil {
		return termination.Report{}, &exitError{code: worker.ExitInvalidInput, err: err}
	}
	return r.Run(ctx)
}

// readManifest fetches the file of subjects and keeps those of this shard.
func (s *shardCall) readManifest(ctx context.Context) error {
	manifest := s.args.Manifest
	if manifest.URI == "" {
		return nil
	}
	dir, done, err := s.scratch()
	if err != nil {
		return err
	}
	defer done()
	path := filepath.Join(dir, "manifest")
	err = artifacts(s.development).File(ctx, manifest.URI, manifest.Digest, shard.MaxManifest, path)
	switch {
	case errors.Is(err, artifact.ErrNotFound):
		return &exitError{worker.ExitRetry, err, reasonManifestNotFound}
	case errors.Is(err, artifact.ErrDigest):
		return &exitError{worker.ExitInvalidInput, err, reasonManifestMismatch}
	case errors.Is(err, artifact.ErrMalformed), errors.Is(err, artifact.ErrURI):
		return &exitError{worker.ExitInvalidInput, err, reasonBadManifest}
	case err != nil:
		return &exitError{worker.ExitRetry, err, reasonManifestNotFound}
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
	asked := s.args.Model
	switch {
	case asked == nil:
		return nil, func() {}, nil
	case asked.Endpoint != "":
		client, err := models.Dial(ctx, asked.Endpoint, asked.Name, asked.Artifact.Digest, s.log)
		if err != nil {
			return nil, nil, &exitError{worker.ExitRetry, err, reasonModelServer}
		}
		return client, client.Close, nil
	}
	dir, clean, err := s.scratch()
	if err != nil {
		return nil, nil, err
	}
	defer clean()
	b, err := candidate.Fetch(ctx, artifacts(s.development), asked.Artifact, dir)
	if err != nil {
		return nil, nil, err
	}
	opened, done, err := models.Open(ctx, b)
	if err != nil {
		return nil, nil, &candidate.Failure{Reason: termination.Unreadable, Final: true, Cause: err}
	}
	return opened, done, nil
}
