// Package termination is what a worker says of its end and the operator reads, as
// JSON in the container's termination message: the report of a shard and the
// result of a check. A pod could write anything there; what is not exactly one
// of them is refused, and no error quotes it.
package termination

import "regexp"

// MaxMessage is how many bytes of a termination message the kubelet keeps: half
// a JSON object says nothing.
const MaxMessage = 4096

// A Reason says in one word why a version of a model may not go on. Each is a
// reason of the API, too, by the same word: it stands in the version's status.
type Reason string

// The reasons.
const (
	// DigestMismatch: what is there is not what was declared, or not what is served.
	DigestMismatch Reason = "DigestMismatch"
	// ArtifactNotFound: there is nothing at the URI, or not yet.
	ArtifactNotFound Reason = "ArtifactNotFound"
	// ContractMismatch: the bundle's contract is not the declared one.
	ContractMismatch Reason = "ContractMismatch"
	// GoldenSetMismatch: the golden set is another file than declared, or another model's.
	GoldenSetMismatch Reason = "GoldenSetMismatch"
	// Unreadable: it cannot be fetched, or is not what its format says.
	Unreadable Reason = "Unreadable"
	// ValidationFailed: the server's outputs are not the golden ones.
	ValidationFailed Reason = "ValidationFailed"
	// ValidationTimeout: the server did not answer in time.
	ValidationTimeout Reason = "ValidationTimeout"
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{DigestMismatch, ArtifactNotFound, ContractMismatch, GoldenSetMismatch, Unreadable, ValidationFailed, ValidationTimeout}
}

// IsWord says whether s is one CamelCase word that fits the status; with "Shard"
// before it, it fits a FailureCount.
func IsWord(s string) bool { return word.MatchString(s) }

var word = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{1,57}$`)
