package main

import (
	"context"
	"errors"
	"flag"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/cluster"
	"github.com/clarity-loop/clarity/services/model/candidate"
)

// A verdictMessage is what verify and fetch leave.
type verdictMessage struct {
	Verified bool   `json:"verified,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
}

// A tallyMessage is what validate leaves.
type tallyMessage struct {
	Cases    int    `json:"cases"`
	Passed   int    `json:"passed"`
	MaxError string `json:"maxError,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
}

// conclude is an error's word and sentence, and the error with its exit code.
// The operator knows the words of candidate and no others: what is none of them,
// a flag that is wrong or a disk that is full, is told in the sentence.
func conclude(err error) (reason, message string, exit error) {
	if err == nil {
		return "", "", nil
	}
	var verdict *candidate.Verdict
	switch {
	case errors.As(err, &verdict) && verdict.Final:
		return string(verdict.Reason), sentence(err), &exitError{code: exitInvalid, err: err}
	case errors.As(err, &verdict):
		return string(verdict.Reason), sentence(err), &exitError{code: exitRetry, err: err}
	}
	return string(candidate.Unreadable), sentence(err), err
}

// verdictOf makes the message of verify and fetch.
func verdictOf(err error) (any, error) {
	if errors.Is(err, flag.ErrHelp) {
		return nil, err
	}
	reason, message, exit := conclude(err)
	return verdictMessage{err == nil, reason, message}, exit
}

func verify(ctx context.Context, c *call) (any, error) {
	fs := c.flags()
	model, golden := artifactFlags(fs, "artifact"), artifactFlags(fs, "golden")
	contract := fs.String("contract", "", "the declared contract, `JSON`")
	return verdictOf(func() error {
		if err := c.parse(fs, "artifact-uri", "artifact-digest", "golden-uri", "golden-digest", "contract"); err != nil {
			return err
		}
		declared, err := candidate.ParseContract([]byte(*contract))
		if err != nil {
			return invalidf("--contract: %w", err)
		}
		dir, done, err := c.scratch()
		if err != nil {
			return err
		}
		defer done()
		return candidate.Verify(ctx, cluster.Artifacts(c.development), *model, *golden, declared, dir)
	}())
}

func fetch(ctx context.Context, c *call) (any, error) {
	fs := c.flags()
	artifact := artifactFlags(fs, "artifact")
	model := fs.String("model", "", "the model's `NAME` at the server")
	repository := fs.String("repository", "", "the server's model repository, a `FOLDER` that is there")
	maxBatch := fs.Int("max-batch", 0, "the most windows in a batch")
	gpu := fs.Bool("gpu", true, "serve on the GPU")
	return verdictOf(func() error {
		if err := c.parse(fs, "artifact-uri", "artifact-digest", "model", "repository"); err != nil {
			return err
		}
		if *maxBatch < 1 || *maxBatch > 4096 {
			return invalidf("--max-batch is 1 to 4096, not %d", *maxBatch)
		}
		stamp := candidate.Stamp{Digest: artifact.Digest, MaxBatch: *maxBatch, GPU: *gpu}
		there, err := candidate.Installed(*repository, *model, stamp)
		if err != nil || there {
			return err
		}
		dir, done, err := c.scratch()
		if err != nil {
			return err
		}
		defer done()
		began := time.Now()
		b, err := candidate.Fetch(ctx, cluster.Artifacts(c.development), *artifact, dir)
		if err != nil {
			return err
		}
		files, err := platform.TritonRepository(b, platform.TritonServing{Model: *model, MaxBatch: *maxBatch, GPU: *gpu})
		if err != nil {
			return &candidate.Verdict{Reason: candidate.Unreadable, Final: true, Cause: err}
		}
		if err := candidate.Install(*repository, *model, files, stamp); err != nil {
			return err
		}
		c.log.Info("model is installed", "model", *model, "duration", time.Since(began))
		return nil
	}())
}

func validate(ctx context.Context, c *call) (any, error) {
	fs := c.flags()
	artifact, golden := artifactFlags(fs, "artifact"), artifactFlags(fs, "golden")
	model, version := fs.String("model", "", "the model's `NAME` at the server"), fs.String("version", "", "the version's `NAME`")
	endpoint := fs.String("endpoint", "", "the server's `HOST:PORT`")
	tolerance := fs.String("tolerance", "", "the largest relative `ERROR` allowed")
	timeout := fs.Duration("timeout", 10*time.Minute, "how long the server may take to be ready and to answer")
	var tally candidate.Tally
	err := func() error {
		if err := c.parse(fs, "artifact-uri", "artifact-digest", "golden-uri", "golden-digest", "model", "version", "endpoint", "tolerance"); err != nil {
			return err
		}
		allowed, err := candidate.ParseTolerance(*tolerance)
		if err != nil {
			return invalidf("%w", err)
		}
		if *timeout <= 0 {
			return invalidf("--timeout is above 0, not %v", *timeout)
		}
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		dir, done, err := c.scratch()
		if err != nil {
			return err
		}
		defer done()
		from := cluster.Artifacts(c.development)
		b, err := candidate.Fetch(ctx, from, *artifact, dir)
		if err != nil {
			return err
		}
		vectors, err := candidate.FetchGolden(ctx, from, *golden, b, dir)
		if err != nil {
			return err
		}
		tally, err = candidate.Validate(ctx, func(ctx context.Context) (candidate.Server, error) {
			return cluster.Dial(ctx, *endpoint, *model, artifact.Digest, c.log)
		}, vectors, allowed)
		c.log.Info("golden vectors", "model", *model, "version", *version, "cases", tally.Cases, "passed", tally.Passed)
		return err
	}()
	if errors.Is(err, flag.ErrHelp) {
		return nil, err
	}
	reason, message, exit := conclude(err)
	return tallyMessage{tally.Cases, tally.Passed, tally.Error(), reason, message}, exit
}

// artifactFlags are --PREFIX-uri and --PREFIX-digest.
func artifactFlags(fs *flag.FlagSet, prefix string) *candidate.Artifact {
	var a candidate.Artifact
	fs.StringVar(&a.URI, prefix+"-uri", "", "where it is: a `URI` of file://, gs:// or oci://")
	fs.StringVar(&a.Digest, prefix+"-digest", "", "what it is: sha256:…")
	return &a
}
