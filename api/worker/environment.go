package worker

import (
	"errors"
	"fmt"
	"strconv"
)

// The environment of the command shard: what differs between the pods of a Job.
const (
	// EnvCompletionIndex is which shard it is; Kubernetes puts it there.
	EnvCompletionIndex = "JOB_COMPLETION_INDEX"
	// EnvShardFailures is how often the shard failed before; the first attempt has none.
	EnvShardFailures = "CLARITY_SHARD_FAILURES"
	// EnvShardIgnoredFailures is how often it was disrupted before, which is no failure of its own.
	EnvShardIgnoredFailures = "CLARITY_SHARD_IGNORED_FAILURES"
	// EnvPodUID is the pod's UID.
	EnvPodUID = "CLARITY_POD_UID"
)

// A ShardPod says which shard a pod is, and which attempt.
type ShardPod struct {
	// Index is the shard's, from 0.
	Index int
	// Attempt is how many attempts ended before, whatever ended them: of two that
	// run at once the one with the higher number has the shard.
	Attempt int64
	// UID is the pod's; "" outside of a cluster.
	UID string
}

// ParseShardPod reads it from the environment.
func ParseShardPod(getenv func(string) string) (p ShardPod, err error) {
	p.UID = getenv(EnvPodUID)
	if p.Index, err = strconv.Atoi(getenv(EnvCompletionIndex)); err != nil {
		return p, errors.New(EnvCompletionIndex + " does not say which shard it is")
	}
	for _, name := range []string{EnvShardFailures, EnvShardIgnoredFailures} {
		text := getenv(name)
		if text == "" { // the first attempt has no such annotation
			continue
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return p, fmt.Errorf("%s is not a count", name)
		}
		p.Attempt += n
	}
	return p, nil
}
