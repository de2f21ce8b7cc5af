package house_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// script runs a script of hack/ in the repository's root and returns what it
// printed on standard output and standard error.
func script(t *testing.T, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), args[0], args[1:]...)
	command.Dir = "../.."
	command.Env = append(os.Environ(), env...)
	var out, told strings.Builder
	command.Stdout, command.Stderr = &out, &told
	err = command.Run()
	return out.String(), told.String(), err
}

const module = "github.com/clarity-loop/clarity/"

// Which packages wait for a control plane is read from what their tests import.
func TestPackagesThatNeedAControlPlane(t *testing.T) {
	if testing.Short() {
		t.Skip("lists every package")
	}
	list := func(kind string) []string {
		out, told, err := script(t, nil, "hack/packages.sh", kind)
		if err != nil {
			t.Fatalf("%s: %v\n%s", kind, err, told)
		}
		return strings.Fields(out)
	}
	cluster, standalone := list("cluster"), list("standalone")
	for _, p := range []string{"controllers/operator", "controllers/modelversion", "charts", "cmd/kubectl-clarity", "services/model/traffic/configmap"} {
		if !slices.Contains(cluster, module+p) || slices.Contains(standalone, module+p) {
			t.Errorf("%s needs a control plane and is not listed so", p)
		}
	}
	for _, p := range []string{"services/store", "services/ingress", "cmd/clarity", "internal/house"} {
		if slices.Contains(cluster, module+p) || !slices.Contains(standalone, module+p) {
			t.Errorf("%s needs no control plane and is listed so", p)
		}
	}
	if out, _, err := script(t, nil, "hack/packages.sh", "cluster", "./services/store"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("of ./services/store, %q need a control plane (%v)", out, err)
	}
}

// A step that takes long says so at once and while it runs, not on standard
// output, and ends as what it runs ends.
func TestWatchSaysWhatTakesLong(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	out, _, err := script(t, []string{"FIRST=1", "SAID=" + said}, "bash", "-c",
		`hack/watch.sh sleeping bash -c 'until grep -q waiting "$SAID"; do sleep 0.1; done; echo slept' 2>"$SAID"`)
	if err != nil || out != "slept\n" {
		t.Errorf("it printed %q, %v", out, err)
	}
	text, err := os.ReadFile(said)
	if diff := gocmp.Diff("==> sleeping\n    sleeping, 0m01s: downloading, or waiting\n", string(text)); diff != "" || err != nil {
		t.Errorf("what it said (-want +got):\n%s", diff)
	}
	if _, told, err := script(t, nil, "hack/watch.sh", "failing", "bash", "-c", "exit 7"); err == nil || err.Error() != "exit status 7" || told != "==> failing\n" {
		t.Errorf("%v, %q", err, told)
	}
}

// What a target needs from the machine is looked for before anything is built.
func TestEndToEndLooksForPrometheusFirst(t *testing.T) {
	bin := t.TempDir()
	for _, program := range []string{"bash", "env", "git", "make"} {
		found, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(found, path.Join(bin, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	out, told, err := script(t, []string{"PATH=" + bin, "MAKEFLAGS="}, path.Join(bin, "make"), "--no-print-directory", "e2e", "GO=echo")
	if err == nil || out != "make e2e needs prometheus in PATH: install Debian's package prometheus\n" || strings.Contains(told, "control plane") {
		t.Errorf("%v, %q, %q", err, out, told)
	}
}

// Every make target that a page, CI or a script names is there.
func TestEveryTargetThatIsNamedIsThere(t *testing.T) {
	for _, fault := range strangers(t, repository()) {
		t.Error(fault)
	}
}

var (
	target  = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
	madeBy  = regexp.MustCompile("`make ([a-z][a-z0-9-]*)|(?m)^(?:step |timeout [0-9]+ )*make ([a-z][a-z0-9-]*)")
	shown   = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):.*##`)
	phonies = regexp.MustCompile(`(?m)^\.PHONY: (.*)$`)
)

// strangers are targets that are named and not there, but by the CHANGELOG, which
// says what went; and those that are there and that `make help` does not show.
func strangers(t *testing.T, root fs.FS) (faults []string) {
	t.Helper()
	makefile := read(t, root, "Makefile")
	var there, helped []string
	for _, m := range target.FindAllStringSubmatch(makefile, -1) {
		there = append(there, m[1])
	}
	for _, m := range shown.FindAllStringSubmatch(makefile, -1) {
		helped = append(helped, m[1])
	}
	for _, m := range phonies.FindAllStringSubmatch(makefile, -1) {
		for _, name := range strings.Fields(m[1]) {
			if !slices.Contains(helped, name) {
				faults = append(faults, fmt.Sprintf("Makefile: `make help` does not show %s", name))
			}
		}
	}
	walk(t, root, func(file string) {
		if ext := path.Ext(file); file == "CHANGELOG.md" || ext != ".md" && ext != ".sh" && file != ".ci/run" {
			return
		}
		for _, m := range madeBy.FindAllStringSubmatch(read(t, root, file), -1) {
			if name := m[1] + m[2]; !slices.Contains(there, name) {
				faults = append(faults, fmt.Sprintf("%s: names `make %s`, which the Makefile has not", file, name))
			}
		}
	})
	slices.Sort(faults)
	return faults
}
