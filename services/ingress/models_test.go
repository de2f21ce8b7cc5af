package ingress_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// The contract of GET /v1/models: what a plan becomes, as it is sent.
func TestModelsAreTheVersionsThatAreAsked(t *testing.T) {
	entry := func(version string, weight int32) traffic.Entry {
		return traffic.Entry{Version: version, Weight: weight, Endpoint: "triton:8001", Digest: "sha256:" + version}
	}
	tests := map[string]struct {
		plan func() (traffic.Plan, bool)
		want string
	}{
		"no model": {nil, `{"items":[]}`},
		"no plan yet": {func() (traffic.Plan, bool) {
			return traffic.Plan{Model: "pat", Entries: []traffic.Entry{entry("v1", 100)}}, false
		}, `{"items":[]}`},
		"a plan without entries": {planOf(traffic.Plan{Model: "pat"}), `{"items":[]}`},
		"one version for everybody": {planOf(traffic.Plan{Model: "pat", Entries: []traffic.Entry{entry("v1", 100)}}),
			`{"items":[{"name":"pat","version":"v1","digest":"sha256:v1","state":"active","weight":100}]}`},
		"a canary": {planOf(traffic.Plan{Model: "pat", Entries: []traffic.Entry{entry("v2", 5), entry("v1", 95)}}),
			`{"items":[{"name":"pat","version":"v2","digest":"sha256:v2","state":"canary","weight":5},{"name":"pat","version":"v1","digest":"sha256:v1","state":"active","weight":95}]}`},
		"a shadow": {planOf(traffic.Plan{Model: "pat", Entries: []traffic.Entry{entry("v1", 100)}, Shadow: &traffic.Shadow{Version: "v2", Percent: 20, Endpoint: "triton:8001", Digest: "sha256:v2"}}),
			`{"items":[{"name":"pat","version":"v1","digest":"sha256:v1","state":"active","weight":100},{"name":"pat","version":"v2","digest":"sha256:v2","state":"shadow","weight":20}]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, func(n *ingress.Needs) { n.Plan = tt.plan })
			for _, token := range []string{ingresstest.Anna, "service-x"} {
				got := w.Do("GET", "/v1/models", token, nil)
				if diff := cmp.Diff(tt.want, strings.TrimSpace(string(got.Body))); diff != "" || got.Status != 200 {
					t.Errorf("%d (-want +got):\n%s", got.Status, diff)
				}
				if strings.Contains(string(got.Body), "triton") {
					t.Errorf("it tells where the servers are: %s", got.Body)
				}
			}
		})
	}
}

func planOf(p traffic.Plan) func() (traffic.Plan, bool) {
	return func() (traffic.Plan, bool) { return p, true }
}
