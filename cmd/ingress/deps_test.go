package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The ingress merges nothing and erases nobody; it links no driver of a directory
// and no cluster.
func TestTheIngressLinksNoStageOfOthers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list what the binary links: %v", err)
	}
	const module = "github.com/clarity-loop/clarity/"
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, module+"services/ingress") || !slices.Contains(linked, module+"services/store/firestore") {
		t.Fatalf("the list of %d packages is not what the binary links", len(linked))
	}
	for _, other := range []string{module + "services/worker/intake", module + "services/worker/shard", module + "services/retention", module + "services/insights", module + "services/erasure",
		module + "services/store/sqlite", module + "services/queue/sqlite", module + "services/blob/files", module + "services/identity/local",
		"modernc.org/sqlite", "k8s.io", "sigs.k8s.io", "github.com/google/go-containerregistry"} {
		for _, pkg := range linked {
			if pkg == other || strings.HasPrefix(pkg, other+"/") {
				t.Errorf("the ingress links %s", pkg)
			}
		}
	}
}
