package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// check runs `clarity up --check` in an empty directory with the environment,
// and makes sure that it opened nothing.
func check(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	var out, errs bytes.Buffer
	err := run(context.Background(), append([]string{"up", "--check"}, args...), func(name string) string { return env[name] }, &out, &errs)
	code = exitCode(err, &errs)
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("a check makes %v, %v", made, err)
	}
	return out.String(), errs.String(), code
}

func TestCheckPrintsWhatWouldRun(t *testing.T) {
	file := write(t, "clarity.yaml", `
data: from-the-file
stages: [ingress, worker]
listen: {api: 127.0.0.1:1, profile: 127.0.0.1:2}
backends: {store: "sqlite:/documents", model: preview}
worker: {debounce: 3s}
log: {format: json, level: warn}
`)
	env := map[string]string{"CLARITY_DATA": "from-the-environment", "CLARITY_LISTEN": "127.0.0.1:3", "CLARITY_MODEL": "none"}
	const defaults = `stage   ingress   needs store blobs queue keys identity audit writer model listener
stage   worker    needs store blobs queue keys audit model feed
stage   insights  needs store queue keys audit writer
stage   delivery  needs store queue keys feed push
stage   erasure   needs store blobs queue keys erasure audit feed
listen  api       127.0.0.1:8080
listen  profile   off
driver  store     sqlite:clarity-data
driver  blobs     files:clarity-data/blobs
driver  queue     sqlite:clarity-data
driver  keys      tink:clarity-data.keys
driver  identity  local:clarity-data/identity
driver  audit     file:clarity-data/audit
driver  writer    template
model             none
data              clarity-data
`
	tests := map[string]struct {
		env  map[string]string
		args []string
		want []string // lines
	}{
		"the defaults": {nil, nil, strings.Split(strings.TrimSpace(defaults), "\n")},
		"a file": {nil, []string{"--config", file}, []string{
			"stage   insights  off", "listen  api       127.0.0.1:1", "listen  profile   127.0.0.1:2", "driver  store     sqlite:/documents",
			"driver  queue     sqlite:from-the-file", "model             preview", "data              from-the-file"}},
		"the environment over a file": {env, []string{"--config", file}, []string{
			"listen  api       127.0.0.1:3", "listen  profile   127.0.0.1:2", "model             none", "data              from-the-environment"}},
		"flags over both": {env, []string{"--config", file, "--model", "traffic:file:plan", "--data=flag", "--stages", "worker, delivery"}, []string{
			"stage   ingress   off", "stage   worker    needs store blobs queue keys audit model feed", "listen  api       off",
			"driver  audit     file:flag/audit", "model             traffic:file:plan"}},
		"free ports, and no model": {nil, []string{"--listen", "[::1]:0", "--pprof", "[::1]:0", "--model="}, []string{
			"listen  api       [::1]:0", "listen  profile   [::1]:0", "model             none"}},
		"a model that no stage that runs needs": {nil, []string{"--stages", "delivery", "--model", "nothere"}, []string{"driver  queue     sqlite:clarity-data"}},
		"a driver without a place": {nil, []string{"--store", "sqlite", "--blobs", "files:else"}, []string{
			"driver  store     sqlite:clarity-data", "driver  blobs     files:else"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := check(t, tt.env, tt.args...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit %d: %s", code, stderr)
			}
			lines := "\n" + stdout
			for _, want := range tt.want {
				if !strings.Contains(lines, "\n"+want+"\n") {
					t.Errorf("no line %q in:\n%s", want, stdout)
				}
			}
		})
	}
}

func TestUpTellsEveryFaultAtOnce(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		args []string
		want []string
	}{
		"of the configuration": {nil, []string{"--data=", "--stages", "ingress,teapot", "--listen", "0.0.0.0:1", "--store", "floppy:a", "--log", "xml", "--model", "traffic:configmap:a/b"}, []string{
			"name the data directory", `no stage "teapot"`, "0.0.0.0:1 is not a loopback address", `no driver "floppy" in this binary; it has sqlite`,
			"text, json or google:PROJECT", `no driver "configmap" in this binary; it has file, fixed`}},
		"of what is read and of what it asks for": {map[string]string{"CLARITY_DEBOUNCE": "soon", "CLARITY_LISTEN": "127.0.0.1:99999", "CLARITY_LOG": "xml"}, []string{"--log-level", "loud", "--pprof", "x",
			"--config", write(t, "half.yaml", "worker: {debounce: 5}\nstages: [ingress, teapot]\n")}, []string{
			"line 1: `5` is not a duration such as 3s", `CLARITY_DEBOUNCE: "soon" is not a duration such as 3s`, "127.0.0.1:99999 has no port that can be",
			`listen profile: "x" is not an address`, `no stage "teapot"`, "text, json or google:PROJECT", "debug, info, warn or error"}},
		"beside a stage that there is not": {nil, []string{"--stages", "nothing", "--store", "foo", "--listen", "1.2.3.4:5", "--log", "xml"}, []string{
			`no stage "nothing"`, `no driver "foo" in this binary; it has sqlite`, "1.2.3.4:5 is not a loopback address", "text, json or google:PROJECT"}},
		"of a bundle that there is not": {nil, []string{"--model", "nothere", "--store", "foo"}, []string{"model: there is no bundle at nothere", `no driver "foo"`}},
		"of a pinned one":               {nil, []string{"--model", "nothere@sha256:00"}, []string{"model: there is no bundle at nothere:"}},
		"of a directory for a bundle":   {nil, []string{"--model", "/"}, []string{"model: / is a directory"}},
		"of a port with a name":         {nil, []string{"--listen", "127.0.0.1:http"}, []string{"127.0.0.1:http has no port that can be"}},
		"of a plan without a place":     {nil, []string{"--model", "traffic:file:", "--writer", "template:foo"}, []string{"traffic:file names no traffic plan", `template takes nothing behind it, as "foo" is`}},
		"of a plan that is not there":   {nil, []string{"--model", "traffic:fixed:nope"}, []string{"model: there is no traffic plan at nope"}},
		"of a plan that is a folder":    {nil, []string{"--model", "traffic:fixed:/"}, []string{"/ is a directory, not a traffic plan's file"}},
		"of the file that the environment names": {map[string]string{"CLARITY_CONFIG": write(t, "e.yaml", "listn: 1\n")}, nil, []string{
			"e.yaml: line 1: field listn not found, which is one of data, stages, backends, listen, ingress, worker, insights, erasure, wake, stop, log, traces"}},
		"of a driver without a name":  {nil, []string{"--store", ":dir", "--model", "traffic:"}, []string{`store: ":dir" names no driver; this binary has sqlite`, `model: traffic: "" names no driver; this binary has file, fixed`}},
		"of a flag":                   {nil, []string{"--debounce", "soon"}, []string{`"soon" for flag --debounce, which is a duration such as 3s`, "clarity up --help"}},
		"of a flag that there is not": {nil, []string{"--nosuch"}, []string{"not defined: --nosuch", "clarity up --help"}},
		"of a shared address":         {nil, []string{"--listen", "127.0.0.1:1", "--pprof", "127.0.0.1:1"}, []string{"cannot share the address 127.0.0.1:1"}},
		"of the environment":          {map[string]string{"CLARITY_DEBOUNCE": "soon", "CLARITY_UNLIMITED": "maybe"}, nil, []string{"CLARITY_DEBOUNCE", "CLARITY_UNLIMITED"}},
		"of the file": {nil, []string{"--config", write(t, "c.yaml", "listn: {api: x}\nworker: {quiet: 1s}\n")}, []string{
			"field listn not found", "field quiet not found"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := check(t, tt.env, tt.args...)
			if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit %d, stdout %q, stderr %q; want one line", code, stdout, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in: %s", want, stderr)
				}
			}
		})
	}
}

// A stage that runs nowhere opens nothing, and what is not opened is not listed.
func TestCheckListsOnlyWhatIsNeeded(t *testing.T) {
	stdout, stderr, code := check(t, nil, "--stages", "delivery", "--model", "traffic:fixed:nope")
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, line := range []string{"driver  identity", "driver  writer", "driver  blobs", "driver  audit", "model ", "listen  api       127"} {
		if strings.Contains(stdout, line) {
			t.Errorf("%q is in:\n%s", line, stdout)
		}
	}
}

// A signal that comes before ready ends as one after it.
func TestUpThatIsStoppedBeforeItIsReady(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs bytes.Buffer
	err := run(ctx, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, func(string) string { return "" }, &out, &errs)
	if code := exitCode(err, &errs); code != 0 || !strings.Contains(errs.String(), "msg=stopped") || strings.Contains(errs.String(), "clarity:") {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}

// Without the ingress there is no address to tell.
func TestUpWithoutTheIngressIsReadyWithoutAnAddress(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	err := run(ctx, []string{"up", "--data", t.TempDir(), "--stages", "delivery"}, func(string) string { return "" }, stopper{&out, stop}, &errs)
	if code := exitCode(err, &errs); code != 0 || out.String() != "ready\n" {
		t.Errorf("exit %d, %q, %s", code, out.String(), errs.String())
	}
}

// A process that takes in deletions of accounts and does none says so when it starts.
func TestUpWithoutErasuresSaysSo(t *testing.T) {
	for stages, warned := range map[string]bool{"ingress": true, "ingress,erasure": false, "delivery": false} {
		ctx, stop := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		err := run(ctx, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--stages", stages}, func(string) string { return "" }, stopper{&out, stop}, &errs)
		if code := exitCode(err, &errs); code != 0 || strings.Contains(errs.String(), "deletions of accounts are accepted") != warned {
			t.Errorf("%s: exit %d, %s", stages, code, errs.String())
		}
	}
}

// stopper stops once something is written.
type stopper struct {
	into io.Writer
	stop func()
}

func (s stopper) Write(p []byte) (int, error) {
	defer s.stop()
	return s.into.Write(p)
}

// What is there beside a broken model is opened and closed again, and the model named.
func TestUpWithAModelThatIsNone(t *testing.T) {
	dir := t.TempDir()
	hollow := write(t, "hollow.tar", strings.Repeat("\x00", 257)+"ustar"+strings.Repeat("\x00", 250))
	for want, ref := range map[string]string{
		"clarity: model: there is no bundle at ": filepath.Join(dir, "absent.tar"),
		"open model " + hollow:                   hollow,
		"read the traffic plan":                  "traffic:fixed:" + filepath.Join(dir, "absent.json"),
	} {
		_, stderr, code := clarity(t, "up", "--data", dir, "--listen", "127.0.0.1:0", "--model", ref)
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", ref, code, stderr)
		}
	}
}
