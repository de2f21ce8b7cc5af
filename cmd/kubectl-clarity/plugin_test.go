package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

// The real kubectl finds the plugin on the PATH, hands it the command line and
// returns its exit status; it completes its arguments, too.
func TestKubectlRunsThePlugin(t *testing.T) {
	w := newWorld(t)
	w.create(MakeJob("x", 2).State(v1alpha1.StateSuspended, "suspended by spec.suspend").Obj())
	bin := t.TempDir()
	self, err := os.Executable()
	w.must(err)
	w.must(os.Symlink(self, filepath.Join(bin, plugin)))
	w.must(os.Symlink(filepath.Join(server.assets, "kubectl"), filepath.Join(bin, "kubectl")))
	script := w.ok("completion", "kubectl")
	w.must(os.WriteFile(filepath.Join(bin, "kubectl_complete-clarity"), []byte(script), 0o700)) //nolint:gosec // it is run
	kubectl := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, filepath.Join(bin, "kubectl"), args...)
		c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+w.kubeconfig, "HOME="+bin)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	out, err := kubectl("clarity", "why", "ajob/x", "-n", w.namespace)
	if err != nil || !strings.HasPrefix(out, "analysisjob/x is Suspended: suspended by spec.suspend") {
		t.Errorf("kubectl clarity why ajob/x: %v\n%s", err, out)
	}
	out, err = kubectl("clarity", "why", "ajob/y", "-n", w.namespace)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(out, "there is none in namespace") {
		t.Errorf("kubectl clarity why ajob/y: %v\n%s", err, out)
	}
	if out, err = kubectl("plugin", "list"); err != nil || !strings.Contains(out, "/kubectl-clarity") || strings.Contains(out, "warning") {
		t.Errorf("kubectl plugin list: %v\n%s", err, out)
	}
	if out, err = kubectl("__complete", "clarity", "why", "-n", w.namespace, ""); err != nil || !strings.Contains(out, "ajob/x\tSuspended") {
		t.Errorf("completion: %v\n%s", err, out)
	}
}

// offline runs a command that asks no cluster.
func offline(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), args, &process{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut},
		now:       time.Now, terminal: func() bool { return false },
	})
	if code != 0 {
		t.Fatalf("%v: exit %d\n%s", args, code, errOut.String())
	}
	return out.String()
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"kubectl", "bash", "zsh", "fish", "powershell"} {
		if out := offline(t, "completion", shell); !strings.Contains(out, "__complete") {
			t.Errorf("%s: the script does not ask the plugin:\n%s", shell, out)
		}
	}
	c := exec.CommandContext(t.Context(), "bash", "-n")
	c.Stdin = strings.NewReader(offline(t, "completion", "bash"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("bash does not read its script: %v\n%s", err, out)
	}
}

func TestVersion(t *testing.T) {
	if out := offline(t, "version"); !strings.HasPrefix(out, "kubectl-clarity ") || !strings.Contains(out, "go1.") {
		t.Errorf("version: %q", out)
	}
	if out := offline(t, "--version"); out != offline(t, "version") {
		t.Errorf("--version says %q", out)
	}
	if out := offline(t, "version", "-o", "json"); !strings.Contains(out, `"go": "go1.`) {
		t.Errorf("as json: %q", out)
	}
}

func TestCommandLinesThatCannotBe(t *testing.T) {
	for want, args := range map[string][]string{
		"error: version takes no argument, got \"x\"\n":                      {"version", "x"},
		"error: kubectl clarity completion takes a shell, got 0 arguments\n": {"completion"},
		"error: kubectl clarity job create takes at most a name, got 2":      {"job", "create", "a", "b"},
		"error: say which object: mv/NAME or ajob/NAME, not \"mv/x y\"\n":    {"tree", "mv/x", "y"},
		"error: this command takes mv/NAME or ajob/NAME, not \"pod\"\n":      {"tree", "pod", "x"},
		"error: there is no command \"dance\"\n":                             {"dance"},
	} {
		var errOut bytes.Buffer
		code := run(t.Context(), args, &process{IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: &errOut}})
		if code != fault.Usage || !strings.HasPrefix(errOut.String(), want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, errOut.String(), want)
		}
	}
}

// The plan that the plugin reads is the plan that workers read.
func TestThePlanIsTheWorkers(t *testing.T) {
	plan := traffic.Plan{Model: "pat-s", Revision: 7, Salt: "s", Entries: []traffic.Entry{entry("2", 5), entry("1", 95)},
		Shadow: &traffic.Shadow{Version: "3", Percent: 10, Endpoint: "three:8001", Digest: digestOfOnes}}
	m := planOf(t, plan, "b", "a")
	back, err := kube.ReadPlan(m)
	if err != nil {
		t.Fatal(err)
	}
	if former := kube.Former(m); traffic.ConfigMapName("pat-s") != m.Name || len(former) != 2 || former[0] != "b" {
		t.Errorf("name %q, former %v", m.Name, former)
	}
	if back.Validate() != nil || !back.Equal(plan) {
		t.Errorf("read as %+v", back)
	}
}
