// Package traffic divides a model's requests among its versions.
//
// A Plan says which version gets which share, and which version gets copies of
// requests in the shadow. The operator writes it; every worker watches it. The
// pick is sticky: a subject's bucket depends on the plan's salt and the subject
// alone, and the candidate's buckets only grow from step to step, so that nobody
// flips within a step and nobody returns to the old version while weights rise.
package traffic

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// Total is what the weights of a plan with entries sum to.
const Total = 100

// PlanKey is the key of the plan, as JSON, in its ConfigMap.
const PlanKey = "plan.json"

// ConfigMapName names the ConfigMap that holds a model's plan.
func ConfigMapName(model string) string { return "clarity-traffic-" + model }

// The metrics by which workers tell how versions do. The operator's gates ask
// for them by these names; all have the labels model and version.
const (
	// MetricRequests counts requests answered by a version, the shadow's
	// included; its label outcome is "ok" or "error", role is "live" or "shadow".
	MetricRequests = "clarity_model_requests_total"
	// MetricDuration is a histogram of the time of a request in seconds, with role.
	MetricDuration = "clarity_model_request_duration_seconds"
	// MetricDrift is a histogram of the distance between the live and the
	// shadow version's output of one window; its label output names the output.
	MetricDrift = "clarity_model_shadow_distance"
	// MetricNonFinite counts windows for which a version came to something that
	// is no finite number.
	MetricNonFinite = "clarity_model_nonfinite_outputs_total"
	// MetricShadowDropped counts requests that were not copied to the shadow, as
	// too many waited for it.
	MetricShadowDropped = "clarity_model_shadow_dropped_total"
	// MetricRevision is the revision of the plan in force; it has the label model alone.
	MetricRevision = "clarity_model_traffic_revision"
	// MetricPlanFaults counts what kept a plan from being followed; its labels
	// are model and reason, which is "source", "plan" or "open".
	MetricPlanFaults = "clarity_model_traffic_faults_total"
)

// A Plan is how the requests of a model are divided.
type Plan struct {
	Model string `json:"model"`
	// Revision rises with every change.
	Revision int64 `json:"revision"`
	// Salt decides who is in which bucket; it stays while a candidate rises.
	Salt string `json:"salt"`
	// Entries share the requests, the candidate first. Their weights sum to
	// Total; without entries no version serves.
	Entries []Entry `json:"entries"`
	// Shadow gets copies of requests whose replies nobody uses.
	Shadow *Shadow `json:"shadow,omitempty"`
}

// An Entry is one version's share.
type Entry struct {
	Version string `json:"version"`
	Weight  int32  `json:"weight"`
	// Endpoint is host:port of the version's Open Inference Protocol over gRPC.
	Endpoint string `json:"endpoint"`
	// Digest is the version's identity; who finds another there must refuse it.
	Digest string `json:"digest"`
}

// A Shadow is a version that is only compared.
type Shadow struct {
	Version  string `json:"version"`
	Percent  int32  `json:"percent"`
	Endpoint string `json:"endpoint"`
	Digest   string `json:"digest"`
}

// ParsePlan reads a plan and refuses one that breaks a rule.
func ParsePlan(data []byte) (Plan, error) {
	var p Plan
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&p); err != nil {
		return Plan{}, fmt.Errorf("read traffic plan: %w", err)
	}
	if err := p.Validate(); err != nil {
		return Plan{}, fmt.Errorf("read traffic plan of model %q: %w", p.Model, err)
	}
	return p, nil
}

// Validate returns every rule the plan breaks, joined.
func (p Plan) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if p.Model == "" {
		fault("the model has no name")
	}
	seen, sum := map[string]bool{}, int64(0)
	for _, e := range p.Entries {
		switch {
		case e.Weight < 1 || e.Weight > Total:
			fault("version %q has weight %d, which is not 1 to %d", e.Version, e.Weight, Total)
		case seen[e.Version]:
			fault("version %q is there twice", e.Version)
		case e.Version == "" || e.Endpoint == "" || e.Digest == "":
			fault("version %q lacks its name, endpoint or digest", e.Version)
		}
		seen[e.Version] = true
		sum += int64(e.Weight)
	}
	if len(p.Entries) > 0 && sum != Total {
		fault("the weights sum to %d, not %d", sum, Total)
	}
	if s := p.Shadow; s != nil {
		switch {
		case s.Percent < 1 || s.Percent > Total:
			fault("the shadow's percent is %d, which is not 1 to %d", s.Percent, Total)
		case s.Version == "" || s.Endpoint == "" || s.Digest == "":
			fault("the shadow lacks its version, endpoint or digest")
		case seen[s.Version]:
			fault("version %q is in the shadow and serves", s.Version)
		case len(p.Entries) == 0:
			fault("the shadow has nothing to be compared with")
		}
	}
	return errors.Join(faults...)
}

// Weight is the version's share in percent.
func (p Plan) Weight(version string) int32 {
	for _, e := range p.Entries {
		if e.Version == version {
			return e.Weight
		}
	}
	return 0
}

// Pick returns the entry that serves the subject; false where none serves.
func (p Plan) Pick(subject string) (Entry, bool) {
	if i := p.pick(subject); i >= 0 {
		return p.Entries[i], true
	}
	return Entry{}, false
}

// pick is the place of the entry that serves the subject, or −1.
func (p *Plan) pick(subject string) int {
	if len(p.Entries) == 0 {
		return -1
	}
	at := bucket(p.Salt, "serve", subject, Total)
	for i := range p.Entries {
		if at < int64(p.Entries[i].Weight) {
			return i
		}
		at -= int64(p.Entries[i].Weight)
	}
	return -1
}

// Shadowed says whether the subject's requests are copied to the shadow.
func (p Plan) Shadowed(subject string) bool {
	return p.Shadow != nil && bucket(p.Salt, "shadow", subject, Total) < int64(p.Shadow.Percent)
}

// bucket is a number from 0 to n-1 that depends on salt, use and subject alone.
func bucket(salt, use, subject string, n uint64) int64 {
	var room [192]byte
	text := room[:0]
	for _, s := range [...]string{salt, use, subject} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(s)))
		text = append(text, s...)
	}
	sum := sha256.Sum256(text)
	return int64(binary.BigEndian.Uint64(sum[:]) % n) //nolint:gosec // less than n
}
