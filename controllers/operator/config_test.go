package operator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/controllers/operator"
)

// valid is the least that must be said.
const valid = `
namespace: clarity
worker:
  image: registry.example/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000
  serviceAccount: clarity-worker
  resources: &small
    requests: {cpu: 250m, memory: 256Mi}
    limits: {memory: 512Mi}
modelVersions:
  servingClasses:
    cpu:
      image: registry.example/triton@sha256:0000000000000000000000000000000000000000000000000000000000000000
      resources: *small
  feeds:
    - preprocessing: {name: pre/1, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
      window: {epochSeconds: 60, epochs: 10080}
      inputs: [{name: activity, dtype: FP32, dims: [10080]}]
  prometheus: {url: "http://127.0.0.1:9090"}
`

func TestTheLeastConfigurationHasDefaults(t *testing.T) {
	c, err := operator.Parse([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if c.AnalysisJobs.Image != c.Worker.Image || c.ModelVersions.ServiceAccount != "clarity-worker" || c.ModelVersions.Namespace != "clarity" {
		t.Errorf("the worker is not everywhere: %+v", c)
	}
	if c.AnalysisJobs.Namespace != "clarity" || c.Metrics.Address != ":8443" || c.Health.Address != ":8081" || c.Pprof.Address != "" {
		t.Errorf("defaults: %+v", c)
	}
	if c.AnalysisJobs.GracePeriod.Duration != 30*time.Second || c.Concurrency.AnalysisJobs != 8 || c.LeaderElection.Enabled {
		t.Errorf("defaults: %+v", c)
	}
}

// Whoever wrote a file is told what is wrong with it, and not who decoded what.
func TestATextThatIsNoConfigurationIsToldPlainly(t *testing.T) {
	for want, text := range map[string]string{
		`unknown field "leaderElections"`: valid + "leaderElections: {}\n",
		"line 1: ":                        "namespace: [",
	} {
		if _, err := operator.Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q first", err, want)
		}
	}
}

func TestEveryFaultOfAConfigurationIsTold(t *testing.T) {
	tests := map[string]struct {
		content string
		want    []string
	}{
		"nothing":                                {"", []string{"it is empty"}},
		"a misspelt field":                       {valid + "leaderElections: {}\n", []string{`unknown field "leaderElections"`}},
		"a field said twice":                     {valid + "namespace: other\n", []string{`key "namespace" already set`}},
		"a duration that is a number of nothing": {valid + "leaderElection: {leaseDuration: 15}\n", []string{"leaseDuration"}},
		"many at once": {`
namespace: Clarity
analysisJobs: {namespace: other, image: worker:latest}
metrics: {address: "0.0.0.0:8080", insecure: true}
health: {address: here}
pprof: {address: ":6060"}
leaderElection: {leaseDuration: 5s}
concurrency: {analysisJobs: 100, models: -1}
logLevel: loud
`, []string{
			`namespace "Clarity": a lowercase`, `analysisJobs.namespace "other" must be left out or be`, `modelVersions.image "" must name a digest`, `modelVersions.feeds`,
			`analysisJobs.serviceAccount is required`, `analysisJobs.image "worker:latest" must name a digest`,
			`analysisJobs.resources.requests.cpu is required`, `analysisJobs.resources.limits.memory is required`,
			`metrics.insecure is for a loopback address, not "0.0.0.0:8080"`, `health.address "here" is not host:port`,
			`pprof.address ":6060" must be a loopback address`, `retryPeriod 2s must be below renewDeadline 10s, and that below leaseDuration 5s`,
			`concurrency.analysisJobs 100 must be 1 to 64`, `concurrency.models -1 must be 1 to 64`, `logLevel "loud" is none of`,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := operator.Parse([]byte(tt.content))
			if err == nil {
				t.Fatal("no fault found")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("fault %q is not told in:\n%v", want, err)
				}
			}
		})
	}
}
