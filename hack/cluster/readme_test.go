package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

var whole = flag.Bool("e2e", false, "run the README's tour of the operator; `make e2e`")

// The README's tour of the operator is run as it stands, on a cluster of its
// own: what a newcomer types must work, and show what the README promises.
func TestReadmeTourOfTheOperator(t *testing.T) {
	if !*whole {
		t.Skip("`make e2e` runs this")
	}
	root, err := kube.Root()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```sh operator\n")
	block, _, closed := strings.Cut(rest, "```")
	const place = "$PWD/.cache/cluster"
	if !found || !closed || !strings.Contains(block, place) {
		t.Fatal("the README has no tour of the operator that this test can run")
	}
	folder := filepath.Join(t.TempDir(), "cluster")
	script := "set -euo pipefail\ntrap 'make cluster-down' EXIT\n" + strings.ReplaceAll(block, place, folder)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CLUSTER="+folder)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that the cluster goes down, too
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		manager, _ := os.ReadFile(filepath.Join(folder, "log", "manager.log"))
		nodes, _ := os.ReadFile(filepath.Join(folder, "log", "nodes.log"))
		t.Fatalf("the tour fails: %v\n%s\nthe manager's log:\n%s\nthe nodes' log:\n%s", err, out, manager, nodes)
	}
	for _, want := range []string{
		"STATUS: deployed",
		"modelversion.clarityloop.dev/pat-s-2026.11.1 condition met",
		"STAGE", "Active", "deployment/pat-s-2026-11-1",
		"analysisjob.clarityloop.dev/backfill-november condition met", "SHARDS", "Running",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour does not show %q:\n%s", want, out)
		}
	}
}
