package traffic

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Slot is one version's place in the state of a model's rollout, which is at
// StateKey beside the plan.
type Slot struct {
	Version  string    `json:"version"`
	UID      string    `json:"uid"`
	Promoted time.Time `json:"promoted,omitzero"`
	Demoted  time.Time `json:"demoted,omitzero"`
}

// LastGood is the part of that state that others than the operator read.
type LastGood struct {
	// Former were stable before, the last one first: the operator falls back to them.
	Former []Slot `json:"former,omitempty"`
}

// ParseLastGood reads it from the whole state.
func ParseLastGood(state []byte) (LastGood, error) {
	var l LastGood
	if err := json.Unmarshal(state, &l); err != nil {
		return LastGood{}, fmt.Errorf("read rollout state: %w", err)
	}
	return l, nil
}
