package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Who writes words links no stage of another, no driver of a directory and no cluster.
func TestTheInsightsLinkNoStageOfOthers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list what the binary links: %v", err)
	}
	const module = "github.com/clarity-loop/clarity/"
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, module+"services/insights") || !slices.Contains(linked, module+"services/store/firestore") {
		t.Fatalf("the list of %d packages is not what the binary links", len(linked))
	}
	for _, other := range []string{module + "services/worker", module + "services/ingress", module + "services/erasure", module + "services/feed",
		module + "services/store/sqlite", module + "services/queue/sqlite", module + "services/blob/files", module + "services/identity/local",
		"modernc.org/sqlite", "k8s.io", "sigs.k8s.io", "github.com/google/go-containerregistry"} {
		for _, pkg := range linked {
			if pkg == other || strings.HasPrefix(pkg, other+"/") {
				t.Errorf("insights links %s", pkg)
			}
		}
	}
}
