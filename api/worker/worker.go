// Package worker holds the words between the operator and the binary that its
// Jobs run: the commands with their arguments and environment, and the exit
// codes. What a command leaves as its last word is in the folder termination.
//
// Each command's arguments are one struct for both ends: the operator writes
// its Flags behind the command's name, the worker parses them. What Parse
// accepts can be written again and reads the same. It holds the arguments to
// their form alone; what a day, a digest or a model is, the worker knows.
package worker

// The commands.
const (
	// Verify checks a bundle and its golden set against what was declared.
	Verify = "verify"
	// Fetch writes a bundle into a server's model repository.
	Fetch = "fetch"
	// Validate asks a version's server for its golden vectors.
	Validate = "validate"
	// Shard computes one shard of an analysis job.
	Shard = "shard"
)

// The exit codes, beside 0. They are numbers of sysexits, and those of the rules
// by which a Job tells what a retry can mend from what it cannot.
const (
	// ExitRetry is temporary: another attempt may go well.
	ExitRetry = 1
	// ExitInvalidInput is input that can never be computed (EX_DATAERR): no retry.
	ExitInvalidInput = 65
	// ExitConfiguration is a worker that is configured wrongly (EX_CONFIG): no pod
	// of the Job can do better, so the Job fails at once.
	ExitConfiguration = 78
)

// An Artifact is a file by place and content.
type Artifact struct {
	// URI is where it is: file://, gs:// or oci://.
	URI string
	// Digest is what it is: sha256:… in hexadecimal.
	Digest string
}

// given says whether any of it is said.
func (a Artifact) given() bool { return a != Artifact{} }
