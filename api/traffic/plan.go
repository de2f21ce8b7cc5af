// Package traffic holds the words between the operator, the workers and the
// plugin about how a model's requests are divided among its versions: the plan,
// where it lies, and the metrics by which workers tell how versions do.
//
// A Plan says which version gets which share, and which version gets copies of
// requests in the shadow. The operator writes it; every worker follows it; the
// plugin shows it. The pick is sticky: a subject's bucket depends on the plan's salt and the subject
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
	"slices"
)

// Total is what the weights of a plan with entries sum to.
const Total = 100

// The keys of a plan's ConfigMap.
const (
	// PlanKey is the key of the plan, as JSON.
	PlanKey = "plan.json"
	// StateKey is the key of the state of the model's rollout, as JSON. It is the
	// operator's own, but for its LastGood.
	StateKey = "rollout.json"
)

// ConfigMapName names the ConfigMap that holds a model's plan.
func ConfigMapName(model string) string { return "clarity-traffic-" + model }

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

// Unweighted is the version without its share.
func (e Entry) Unweighted() Entry {
	e.Weight = 0
	return e
}

// A Shadow is a version that is only compared.
type Shadow struct {
	Version  string `json:"version"`
	Percent  int32  `json:"percent"`
	Endpoint string `json:"endpoint"`
	Digest   string `json:"digest"`
}

// Entry is the version without its percent.
func (s Shadow) Entry() Entry {
	return Entry{Version: s.Version, Endpoint: s.Endpoint, Digest: s.Digest}
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

// Weights are the versions' shares in percent.
func (p Plan) Weights() map[string]int32 {
	out := make(map[string]int32, len(p.Entries))
	for _, e := range p.Entries {
		out[e.Version] = e.Weight
	}
	return out
}

// Pick is the place in Entries of the version that serves the subject, or −1
// where no version serves.
func (p Plan) Pick(subject string) int {
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

// Names says whether the plan has the version in it, whatever its share, or
// compares it.
func (p Plan) Names(e Entry) bool {
	if p.Shadow != nil && p.Shadow.Entry() == e.Unweighted() {
		return true
	}
	return slices.ContainsFunc(p.Entries, func(other Entry) bool { return other.Unweighted() == e.Unweighted() })
}

// Equal says whether both plans say the same.
func (p Plan) Equal(q Plan) bool {
	shadow := p.Shadow == q.Shadow || p.Shadow != nil && q.Shadow != nil && *p.Shadow == *q.Shadow
	return shadow && p.Model == q.Model && p.Revision == q.Revision && p.Salt == q.Salt && slices.Equal(p.Entries, q.Entries)
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
