package termination

import (
	"encoding/json"
	"errors"
	"fmt"
)

// A Report is what a shard says when it ends. It is about the shard as a whole,
// all attempts together, each subject once: an attempt that goes on from a
// checkpoint reports what the attempts before it did, too.
type Report struct {
	// Subjects is how many subjects the shard is done with: the sum of the next three.
	Subjects int64 `json:"subjects"`
	// Succeeded have a new result for at least one window, and none that failed.
	Succeeded int64 `json:"succeeded"`
	// Skipped had current results already, for every window.
	Skipped int64 `json:"skipped"`
	// Failed have at least one window that failed, or no window at all.
	Failed int64 `json:"failed"`
	// Reasons say why those failed, a CamelCase word from the worker's list a
	// subject. A shard that did not come to its end counts its own reason once.
	Reasons map[string]int64 `json:"reasons,omitempty"`
}

const (
	maxCount   = int64(1) << 40 // a trillion subjects in a shard is no count
	maxReasons = 64
)

// ParseReport reads a termination message. It refuses what is not exactly a
// report: negative or absurd counts, sums that are not sums, reasons that are
// not words. What a pod writes there never reaches the status but as a count.
func ParseReport(message string) (Report, error) {
	var r Report
	if len(message) > MaxMessage {
		return Report{}, fmt.Errorf("read report of %d bytes: more than %d", len(message), MaxMessage)
	}
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return Report{}, errors.New("read report: not the JSON of a report") // the cause quotes the message
	}
	for _, n := range []int64{r.Subjects, r.Succeeded, r.Skipped, r.Failed} {
		if n < 0 || n > maxCount {
			return Report{}, errors.New("read report: a count is out of range")
		}
	}
	if r.Subjects != r.Succeeded+r.Skipped+r.Failed {
		return Report{}, errors.New("read report: subjects is not succeeded + skipped + failed")
	}
	if len(r.Reasons) > maxReasons {
		return Report{}, errors.New("read report: too many reasons")
	}
	for reason, n := range r.Reasons {
		if !IsWord(reason) || n < 0 || n > maxCount {
			return Report{}, errors.New("read report: a reason is not a word or its count is out of range")
		}
	}
	return r, nil
}
