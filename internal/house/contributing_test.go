package house_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The first hour of CONTRIBUTING is run as it stands, in a clone of what is
// here, but for building one binary instead of all, and for `make quick`, which
// would run this test.
func TestTheFirstHour(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary in a clone")
	}
	_, rest, found := strings.Cut(read(t, repository(), "CONTRIBUTING.md"), "```sh hour\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("CONTRIBUTING.md has no first hour")
	}
	script := block
	for from, to := range map[string]string{
		"make build &&": `go build -ldflags "-s -w" -o bin/ ./cmd/clarity &&`,
		"\nmake quick ": "\nhack/packages.sh affected #",
	} {
		if !strings.Contains(script, from) {
			t.Fatalf("the first hour no longer says %q", from)
		}
		script = strings.Replace(script, from, to, 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), "REPOSITORY="+snapshot(t), "CGO_ENABLED=0", "GOFLAGS=-trimpath", "BASE=HEAD")
	command.WaitDelay = time.Minute
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("the first hour fails: %v\n%s", err, out)
	}
	for _, want := range []string{
		"false alarm:", "ok  \tgithub.com/clarity-loop/clarity/services/narrative",
		"clarity/services/insights\n", "clarity/cmd/clarity\n", "2 files changed, 2 insertions(+)",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the first hour does not show %q:\n%s", want, out)
		}
	}
}

// snapshot is a repository with one commit: the files that are here now.
func snapshot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse").CombinedOutput(); err != nil {
		t.Skipf("no git repository here: %s", out)
	}
	folder := t.TempDir()
	const script = `git -C "$ROOT" ls-files -z --cached --others --exclude-standard | (cd "$ROOT" && xargs -0 ls -d 2>/dev/null || true) |
	  tar -c -C "$ROOT" -T - | tar -x && git init -q -b main && git add -A &&
	git -c user.name=test -c user.email=test@example.org commit -q -m snapshot`
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	command.Dir = folder
	command.Env = append(os.Environ(), "ROOT="+root, "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("copy the repository: %v\n%s", err, out)
	}
	return folder
}
