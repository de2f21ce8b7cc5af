package main

import (
	"context"
	"errors"
	"flag"
	"time"

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/services/model/candidate"
)

// conclude is an error's word and sentence, and the error with its exit code.
// The operator knows the words of candidate and no others: what is none of them,
// a flag that is wrong or a disk that is full, is told in the sentence.
func conclude(err error) (reason termination.Reason, message string, exit error) {
	if err == nil {
		return "", "", nil
	}
	var failure *candidate.Failure
	switch {
	case errors.As(err, &failure) && failure.Final:
		return failure.Reason, sentence(err), &exitError{code: worker.ExitInvalidInput, err: err}
	case errors.As(err, &failure):
		return failure.Reason, sentence(err), &exitError{code: worker.ExitRetry, err: err}
	case errors.Is(err, candidate.ErrRepository):
		return termination.Unreadable, sentence(err), &exitError{code: worker.ExitConfiguration, err: err}
	}
	return termination.Unreadable, sentence(err), err
}

// resultOf makes the message of verify and fetch.
func resultOf(err error) (any, error) {
	if errors.Is(err, flag.ErrHelp) {
		return nil, err
	}
	reason, message, exit := conclude(err)
	return termination.Result{Verified: err == nil, Reason: reason, Message: message}, exit
}

func verify(ctx context.Context, c *call) (any, error) {
	return resultOf(func() error {
		args, err := parsed(c, worker.ParseVerifyArgs)
		if err != nil {
			return err
		}
		declared, err := candidate.ParseContract([]byte(args.Contract))
		if err != nil {
			return invalidf("--contract: %w", err)
		}
		dir, done, err := c.scratch()
		if err != nil {
			return err
		}
		defer done()
		return candidate.Verify(ctx, artifacts(c.development), args.Artifact, args.Golden, declared, dir)
	}())
}

func fetch(ctx context.Context, c *call) (any, error) {
	return resultOf(func() error {
		args, err := parsed(c, worker.ParseFetchArgs)
		if err != nil {
			return err
		}
		stamp := candidate.Stamp{Digest: args.Artifact.Digest, MaxBatch: args.MaxBatch, GPU: args.GPU}
		there, err := candidate.Installed(args.Repository, args.Model, stamp)
		if err != nil || there {
			return err
		}
		dir, done, err := c.scratch()
		if err != nil {
			return err
		}
		defer done()
		began := time.Now()
		b, err := candidate.Fetch(ctx, artifacts(c.development), args.Artifact, dir)
		if err != nil {
			return err
		}
		files, err := models.TritonRepository(b, models.TritonServing{Model: args.Model, MaxBatch: args.MaxBatch, GPU: args.GPU})
		if err != nil {
			return &candidate.Failure{Reason: termination.Unreadable, Final: true, Cause: err}
		}
		if err := candidate.Install(args.Repository, args.Model, files, stamp); err != nil {
			return err
		}
		c.log.Info("model is installed", "model", args.Model, "duration", time.Since(began))
		return nil
	}())
}

func validate(ctx context.Context, c *call) (any, error) {
	var tally candidate.Tally
	err := func() error {
		args, err := parsed(c, worker.ParseValidateArgs)
		if err != nil {
			return err
		}
		allowed, err := candidate.ParseTolerance(args.Tolerance)
		if err != nil {
			return invalidf("--tolerance: %w", err)
		}
		if err := isEndpoint("--endpoint", args.Endpoint); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, args.Timeout)
		defer cancel()
		dir, done, err := c.scratch()
		if err != nil {
			return err
		}
		defer done()
		from := artifacts(c.development)
		b, err := candidate.Fetch(ctx, from, args.Artifact, dir)
		if err != nil {
			return err
		}
		vectors, err := candidate.FetchGolden(ctx, from, args.Golden, b, dir)
		if err != nil {
			return err
		}
		tally, err = candidate.Validate(ctx, func(ctx context.Context) (candidate.Server, error) {
			return models.Dial(ctx, args.Endpoint, args.Model, args.Artifact.Digest, c.log)
		}, vectors, allowed)
		c.log.Info("golden vectors", "model", args.Model, "version", args.Version, "cases", tally.Cases, "passed", tally.Passed)
		return err
	}()
	if errors.Is(err, flag.ErrHelp) {
		return nil, err
	}
	reason, message, exit := conclude(err)
	return termination.Result{
		Tally:  &termination.Tally{Cases: int32(tally.Cases), Passed: int32(tally.Passed), MaxError: tally.Error()}, //nolint:gosec // a golden set is at most 8 MiB
		Reason: reason, Message: message,
	}, exit
}
