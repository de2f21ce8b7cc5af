// Package termination reads what a worker's pod says of its end, in its
// termination message: the report of a shard and the result of a check. A pod
// could write anything there; what is not exactly one of them is refused, and
// no error quotes it.
package termination

import "regexp"

// maxMessage is how many bytes of a termination message the kubelet keeps.
const maxMessage = 4096

// IsReason says whether s is one CamelCase word that fits the status; with "Shard"
// before it, it fits a FailureCount.
func IsReason(s string) bool { return word.MatchString(s) }

var word = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{1,57}$`)
