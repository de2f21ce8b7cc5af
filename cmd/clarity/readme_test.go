package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The README's tour is run as it stands, in another directory and on another
// port: what a newcomer types must work.
func TestReadmeTour(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the tour needs %s", tool)
		}
	}
	dir := t.TempDir()
	script := strings.NewReplacer(
		`make build && export PATH="$PWD/bin:$PATH"`, `export PATH="`+filepath.Dir(binary(t))+`:$PATH"`,
		"/tmp/clarity", filepath.Join(dir, "clarity"),
		"127.0.0.1:8080", freeAddress(t),
	).Replace(readmeBlock(t, "tour"))
	if strings.Contains(script, "make build") || strings.Contains(script, ":8080") {
		t.Fatal("the tour no longer says what this test replaces")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	const guard = "set -euo pipefail -o monitor\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
	cmd := exec.CommandContext(ctx, "bash", "-c", guard+script)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "clarity.log"))
		t.Fatalf("the tour fails: %v\n%s\nlog:\n%s", err, out, log)
	}
	for _, want := range []string{
		"ready http://127.0.0.1:", `"granted":true`, `"accepted":1`, `"state":"merged"`, `"date":"2026-11-20"`, `"openapi"`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour does not show %s:\n%s", want, out)
		}
	}
}

// Every make target and every command that the README names is there.
func TestReadmeNamesWhatThereIs(t *testing.T) {
	readme := readFile(t, "../../README.md")
	makefile := readFile(t, "../../Makefile")
	for _, m := range regexp.MustCompile("`?make ([a-z0-9-]+)").FindAllStringSubmatch(readme, -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("README names `make %s`, which the Makefile has not", m[1])
		}
	}
	help := must(t, "--help")
	for _, m := range regexp.MustCompile("\\| `clarity ([a-z]+)").FindAllStringSubmatch(readme, -1) {
		if !strings.Contains(help, "\n  "+m[1]) {
			t.Errorf("README names `clarity %s`, which --help does not", m[1])
		}
	}
}

// readmeBlock is the README's shell block of the name given behind ```sh.
func readmeBlock(t *testing.T, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(readFile(t, "../../README.md"), "```sh "+name+"\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("README has no block %q", name)
	}
	return block
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
