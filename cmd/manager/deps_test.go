package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The operator sees no health value: it links nothing that could read one.
func TestTheManagerLinksNoService(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list what the binary links: %v", err)
	}
	const module = "github.com/clarity-loop/clarity/"
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, module+"controllers/operator") || !slices.Contains(linked, module+"api/traffic") {
		t.Fatalf("the list of %d packages is not what the binary links", len(linked))
	}
	for _, pkg := range linked {
		if strings.HasPrefix(pkg, module+"services/") {
			t.Errorf("the manager links %s", pkg)
		}
	}
}
