package gate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
)

func TestConfigTellsEveryFaultAtOnce(t *testing.T) {
	tests := map[string]struct {
		yaml string
		want []string
	}{
		"the least":                {"url: http://prometheus:9090", nil},
		"everything":               {"{url: 'https://prometheus:9090/prefix', bearerTokenFile: /token, caFile: /ca, timeout: 3s, minWindow: 2s, maxWindow: 1h, minSamples: 5, retryAfter: 1s}", nil},
		"a token to this machine":  {"{url: 'http://127.0.0.1:9090', bearerTokenFile: /token}", nil},
		"a long least window":      {"{url: 'http://p', minWindow: 24h}", nil},
		"nothing":                  {"{}", []string{"url: is required"}},
		"no scheme":                {"url: prometheus:9090", []string{"url: must be like https://host:9090 or http://host:9090"}},
		"not a URL":                {"url: 'http://a b%zz'", []string{"url: is not a URL"}},
		"a token in the open":      {"{url: 'http://prometheus', bearerTokenFile: /token}", []string{"bearerTokenFile needs a url that begins with https://"}},
		"a window upside down":     {"{url: 'http://p', minWindow: 2h, maxWindow: 1h}", []string{"minWindow 2h0m0s is above maxWindow 1h0m0s"}},
		"a password is not quoted": {"url: https://u:hunter2@p", []string{"url: must not hold a user or a password: use bearerTokenFile"}},
		"many": {"{url: 'ftp://p?x#y', bearerTokenFile: token, timeout: 2m, minWindow: -1s, retryAfter: 1h, minSamples: -1}", []string{
			"url: must be like https://host:9090 or http://host:9090", "url: must not have a query or a fragment",
			`bearerTokenFile "token" must be an absolute path`, "bearerTokenFile needs a url that begins with https://",
			"timeout 2m0s must be between 0 and 1m0s", "minWindow -1s must be between 0 and 24h0m0s",
			"retryAfter 1h0m0s must be between 0 and 10m0s", "minSamples -1 must be between 0 and 1000000",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c gate.Config
			if err := yaml.UnmarshalStrict([]byte(tt.yaml), &c); err != nil {
				t.Fatal(err)
			}
			var got []string
			if err := c.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if _, err := gate.New(c, nil); (err == nil) != (tt.want == nil) && c.CAFile == "" {
				t.Errorf("New says %v", err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	want := gate.Config{
		URL: "http://p", Timeout: duration(10 * time.Second), MinWindow: duration(time.Minute),
		MaxWindow: duration(24 * time.Hour), MinSamples: 20, RetryAfter: duration(5 * time.Second),
	}
	if diff := cmp.Diff(want, gate.Config{URL: "http://p"}.WithDefaults()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestACAFileThatIsNoneIsToldAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + ".none"} {
		if _, err := gate.New(gate.Config{URL: "https://p", CAFile: path}, nil); err == nil {
			t.Errorf("caFile %q was taken", path)
		}
	}
}

func TestCheckFindsAGateThatCannotBeAnswered(t *testing.T) {
	one := resource.MustParse("1")
	tests := map[string]struct {
		gate v1alpha1.Gate
		want string
	}{
		"a gate":        {atMost(latency(), "1"), ""},
		"a query":       {atMost(promQL(`x{m="{{.Model}}"}`), "1"), ""},
		"no source":     {v1alpha1.Gate{Name: "g", Max: &one}, `check gate "g": the gate names no source`},
		"no bound":      {v1alpha1.Gate{Name: "g", Source: latency()}, `check gate "g": exactly one of max and min is required`},
		"two bounds":    {v1alpha1.Gate{Name: "g", Source: latency(), Max: &one, Min: &one}, `check gate "g": exactly one of max and min is required`},
		"unknown field": {atMost(promQL(`x{m="{{.Mode}}"}`), "1"), `check gate "gate": the query asks for {{.Mode}}: only {{.Model}}, {{.Version}} and {{.Window}} are filled in`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := gate.Check(tt.gate); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Check says %q, want %q", got, tt.want)
			}
		})
	}
}
