package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A worker answers nobody, knows nobody's token and writes no words.
func TestTheWorkerLinksNoStageOfOthers(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list what the binary links: %v", err)
	}
	const module = "github.com/clarity-loop/clarity/"
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, module+"services/worker/shard") {
		t.Fatalf("the list of %d packages is not what the binary links", len(linked))
	}
	for _, other := range []string{"services/ingress", "services/insights", "services/feed", "services/identity/local", "services/narrative/template", "cmd/internal/platform/stages/edge", "cmd/internal/platform/stages/words"} {
		for _, pkg := range linked {
			if pkg == module+other || strings.HasPrefix(pkg, module+other+"/") {
				t.Errorf("the worker links %s", pkg)
			}
		}
	}
}
