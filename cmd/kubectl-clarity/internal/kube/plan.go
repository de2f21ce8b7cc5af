package kube

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
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
	// LastGood is the version the operator falls back to, from its own record; "" if it names none.
	LastGood string `json:"-"`
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
		LastGood string `json:"lastGood"`
	}
	if json.Unmarshal([]byte(m.Data[recordKey]), &record) == nil { // the operator's own, and only a hint to us
		p.LastGood = record.LastGood
	}
	return &p, nil
}

// Weight is the version's share in percent.
func (p *Plan) Weight(version string) int32 {
	if p == nil {
		return 0
	}
	for _, e := range p.Entries {
		if e.Version == version {
			return e.Weight
		}
	}
	return 0
}
