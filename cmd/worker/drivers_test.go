package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

// A worker follows the plan that the operator keeps in its cluster.
func TestTheWorkersPlans(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for ref, want := range map[string]string{
		"traffic:configmap:clarity":     "names no traffic plan",
		"traffic:configmap:/pat":        "names no traffic plan",
		"traffic:configmap:clarity/":    "names no traffic plan",
		"traffic:configmap:clarity/pat": "find the cluster",
		"traffic:file:":                 "names no traffic plan",
		"traffic:pigeon:clarity":        `no driver "pigeon" in this binary; it has configmap, file, fixed`,
	} {
		if _, err := drivers(os.Getenv).Open(t.Context(), platform.Backends{Model: ref}, capability.Model, platform.Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", ref, err, want)
		}
	}
	t.Setenv("KUBECONFIG", kubeconfig(t))
	o, err := drivers(os.Getenv).Open(t.Context(), platform.Backends{Model: "traffic:configmap:clarity/pat"}, capability.Model, platform.Env{})
	if err != nil || o.Plan.Model != "pat" || o.Plan.Source == nil {
		t.Errorf("%+v, %v; want the plan of pat", o.Plan, err)
	}
}

// kubeconfig names a cluster that nobody has to ask.
func kubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
