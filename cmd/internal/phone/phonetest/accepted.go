package phonetest

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/clarity-loop/clarity/services/audit"
)

// Accepted is how many uploads of each person an audit log says were accepted, the
// fewest first: the log is its lines as they are kept, and a person a keyed hash.
func Accepted(log []byte) (counts []int, err error) {
	uploads := map[string]map[string]bool{}
	for line := range bytes.Lines(log) {
		body, _, is := bytes.Cut(line, []byte("\t"))
		if !is {
			continue // of a checkpoint
		}
		var e audit.Entry
		if err := json.Unmarshal(body, &e); err != nil {
			return nil, err
		}
		if e.Action != audit.UploadAccepted || e.Outcome != "ok" {
			continue
		}
		if uploads[e.Subject] == nil {
			uploads[e.Subject] = map[string]bool{}
		}
		uploads[e.Subject][e.Object] = true
	}
	for _, of := range uploads {
		counts = append(counts, len(of))
	}
	slices.Sort(counts)
	return counts, nil
}
