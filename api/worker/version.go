package worker

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxBatch is the largest batch that a server may be asked to make.
const maxBatch = 4096

// VerifyArgs are the arguments of the command verify.
type VerifyArgs struct {
	// Artifact is the version's bundle, Golden its golden set.
	Artifact, Golden Artifact
	// Contract is the declared contract, as the JSON of the API.
	Contract string
}

// Flags writes the arguments.
func (a VerifyArgs) Flags() []string {
	return append(append(a.Artifact.flags("artifact"), a.Golden.flags("golden")...), "--contract="+a.Contract)
}

// ParseVerifyArgs reads what Flags wrote; the error is flag.ErrHelp where help
// was asked for, and written.
func ParseVerifyArgs(args []string, help io.Writer) (a VerifyArgs, err error) {
	fs := flags(Verify)
	artifactFlags(fs, "artifact", &a.Artifact)
	artifactFlags(fs, "golden", &a.Golden)
	fs.StringVar(&a.Contract, "contract", "", "the declared contract, `JSON`")
	return a, parse(fs, args, help, "artifact-uri", "artifact-digest", "golden-uri", "golden-digest", "contract")
}

// FetchArgs are the arguments of the command fetch.
type FetchArgs struct {
	// Artifact is the version's bundle.
	Artifact Artifact
	// Model is the model's name at the server.
	Model string
	// Repository is the server's model repository, a folder that is there.
	Repository string
	// MaxBatch is the most windows in a batch, 1 to 4096.
	MaxBatch int
	// GPU serves on the GPU, and not on the processor.
	GPU bool
}

// Flags writes the arguments.
func (a FetchArgs) Flags() []string {
	return append(a.Artifact.flags("artifact"), "--model="+a.Model, "--repository="+a.Repository,
		"--max-batch="+strconv.Itoa(a.MaxBatch), "--gpu="+strconv.FormatBool(a.GPU))
}

// ParseFetchArgs reads what Flags wrote; the error is flag.ErrHelp where help
// was asked for, and written.
func ParseFetchArgs(args []string, help io.Writer) (a FetchArgs, err error) {
	fs := flags(Fetch)
	artifactFlags(fs, "artifact", &a.Artifact)
	fs.StringVar(&a.Model, "model", "", "the model's `NAME` at the server")
	fs.StringVar(&a.Repository, "repository", "", "the server's model repository, a `FOLDER` that is there")
	fs.IntVar(&a.MaxBatch, "max-batch", 0, "the most windows in a batch")
	fs.BoolVar(&a.GPU, "gpu", true, "serve on the GPU")
	if err := parse(fs, args, help, "artifact-uri", "artifact-digest", "model", "repository"); err != nil {
		return a, err
	}
	if a.MaxBatch < 1 || a.MaxBatch > maxBatch {
		return a, fmt.Errorf("--max-batch is 1 to %d, not %d", maxBatch, a.MaxBatch)
	}
	return a, nil
}

// ValidateArgs are the arguments of the command validate.
type ValidateArgs struct {
	// Artifact is the version's bundle, Golden its golden set.
	Artifact, Golden Artifact
	// Model is the model's name at the server, Version the version's.
	Model, Version string
	// Endpoint is the server's host:port.
	Endpoint string
	// Tolerance is the largest relative error allowed, a decimal.
	Tolerance string
	// Timeout is how long the server may take to be ready and to answer; above 0.
	Timeout time.Duration
}

// Flags writes the arguments.
func (a ValidateArgs) Flags() []string {
	return append(append(a.Artifact.flags("artifact"), a.Golden.flags("golden")...), "--model="+a.Model, "--version="+a.Version,
		"--endpoint="+a.Endpoint, "--tolerance="+a.Tolerance, "--timeout="+a.Timeout.String())
}

// ParseValidateArgs reads what Flags wrote; the error is flag.ErrHelp where help
// was asked for, and written.
func ParseValidateArgs(args []string, help io.Writer) (a ValidateArgs, err error) {
	fs := flags(Validate)
	artifactFlags(fs, "artifact", &a.Artifact)
	artifactFlags(fs, "golden", &a.Golden)
	fs.StringVar(&a.Model, "model", "", "the model's `NAME` at the server")
	fs.StringVar(&a.Version, "version", "", "the version's `NAME`")
	fs.StringVar(&a.Endpoint, "endpoint", "", "the server's `HOST:PORT`")
	fs.StringVar(&a.Tolerance, "tolerance", "", "the largest relative `ERROR` allowed")
	fs.DurationVar(&a.Timeout, "timeout", 10*time.Minute, "how long the server may take to be ready and to answer")
	err = parse(fs, args, help, "artifact-uri", "artifact-digest", "golden-uri", "golden-digest", "model", "version", "endpoint", "tolerance")
	if err == nil && a.Timeout <= 0 {
		err = fmt.Errorf("--timeout is above 0, not %v", a.Timeout)
	}
	return a, err
}
