package traffic

import (
	"encoding/json"
	"fmt"
)

// Former are the UIDs of the versions that the operator falls back to, the first
// one first. They stand in the rollout's state, which is at StateKey beside the plan.
func Former(state []byte) ([]string, error) {
	var s struct {
		Former []struct {
			UID string `json:"uid"`
		} `json:"former"`
	}
	if err := json.Unmarshal(state, &s); err != nil {
		return nil, fmt.Errorf("read rollout state: %w", err)
	}
	uids := make([]string, len(s.Former))
	for i, f := range s.Former {
		uids[i] = f.UID
	}
	return uids, nil
}
