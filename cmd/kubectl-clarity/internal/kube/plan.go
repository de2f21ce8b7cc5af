package kube

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What the operator writes in a model's ConfigMap:
// the plan that workers follow, and its own record of the rollout.
const (
	planKey   = "plan.json"
	recordKey = "rollout.json"
)

// PlanName names the ConfigMap that holds a model's traffic plan.
func PlanName(model string) string { return "clarity-traffic-" + model }

// A Plan is how the requests of a model are divided, as workers read it.
type Plan struct {
	Model    string  `json:"model"`
	Revision int64   `json:"revision"`
	Salt     string  `json:"salt"`
	Entries  []Share `json:"entries"`
	Shadow   *Shadow `json:"shadow,omitempty"`
	// Former are the UIDs of the versions the operator falls back to, the first one first, from its own record.
	Former []types.UID `json:"-"`
}

// A Share is one version's part of the requests, in percent.
type Share struct {
	Version  string `json:"version"`
	Weight   int32  `json:"weight"`
	Endpoint string `json:"endpoint"`
	Digest   string `json:"digest"`
}

// A Shadow is a version that gets copies of requests.
type Shadow struct {
	Version  string `json:"version"`
	Percent  int32  `json:"percent"`
	Endpoint string `json:"endpoint"`
	Digest   string `json:"digest"`
}

// ParsePlan reads the plan out of its ConfigMap.
func ParsePlan(m *corev1.ConfigMap) (*Plan, error) {
	var p Plan
	if err := json.Unmarshal([]byte(m.Data[planKey]), &p); err != nil {
		return nil, fmt.Errorf("read %s of configmap %q: %w", planKey, m.Name, err)
	}
	var record struct {
		Former []struct {
			UID types.UID `json:"uid"`
		} `json:"former"`
	}
	if json.Unmarshal([]byte(m.Data[recordKey]), &record) == nil { // the operator's own, and only a hint to us
		for _, f := range record.Former {
			p.Former = append(p.Former, f.UID)
		}
	}
	return &p, nil
}
