// Package traffictest is a plan, for the tests of those that write one and of
// those that follow it.
package traffictest

import (
	"encoding/json"
	"testing"

	"github.com/clarity-loop/clarity/api/traffic"
)

// Plan has v2 rise to weight beside v1; weight 0 and 100 leave one of them.
func Plan(revision int64, weight int32) traffic.Plan {
	p := traffic.Plan{Model: "pat", Revision: revision, Salt: "salt"}
	for _, e := range []traffic.Entry{{Version: "v2", Weight: weight, Endpoint: "v2:8001", Digest: "sha256:2"},
		{Version: "v1", Weight: traffic.Total - weight, Endpoint: "v1:8001", Digest: "sha256:1"}} {
		if e.Weight > 0 {
			p.Entries = append(p.Entries, e)
		}
	}
	return p
}

// Text is the plan as it is written.
func Text(t testing.TB, p traffic.Plan) []byte {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
