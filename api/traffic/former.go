package traffic

import (
	"encoding/json"
	"fmt"
)

// Former are the UIDs of the versions that the operator falls back to, the first
// one first. They stand in its record, which is at RecordKey beside the plan.
func Former(record []byte) ([]string, error) {
	var r struct {
		Former []struct {
			UID string `json:"uid"`
		} `json:"former"`
	}
	if err := json.Unmarshal(record, &r); err != nil {
		return nil, fmt.Errorf("read rollout record: %w", err)
	}
	uids := make([]string, len(r.Former))
	for i, f := range r.Former {
		uids[i] = f.UID
	}
	return uids, nil
}
