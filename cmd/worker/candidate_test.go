package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/preview"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// A pod is the surroundings of one call.
type pod struct {
	t   *testing.T
	env map[string]string
}

func newPod(t *testing.T) *pod {
	return &pod{t, map[string]string{"CLARITY_TERMINATION_LOG": filepath.Join(t.TempDir(), "termination-log")}}
}

// worker runs the command in this process and returns its exit code and its
// last words, which must be the line on standard output, too.
func (p *pod) worker(args ...string) (code int, message string) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	err := run(ctx, args, func(name string) string { return p.env[name] }, &stdout, &stderr)
	raw, readErr := os.ReadFile(p.env["CLARITY_TERMINATION_LOG"])
	if readErr != nil && !os.IsNotExist(readErr) {
		p.t.Fatal(readErr)
	}
	if got := strings.TrimSuffix(stdout.String(), "\n"); len(raw) > 0 && got != string(raw) {
		p.t.Errorf("standard output %q, termination message %q", got, raw)
	}
	if len(raw) > termination.MaxMessage {
		p.t.Errorf("a termination message of %d bytes", len(raw))
	}
	return exitCode(err), string(raw)
}

// A release is the preview model as an ML team would publish it: on files.
type release struct{ bundle, golden, bundleDigest, goldenDigest, contract string }

func newRelease(t *testing.T) release {
	t.Helper()
	dir := t.TempDir()
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	golden, err := json.Marshal(b.Golden)
	if err != nil {
		t.Fatal(err)
	}
	r := release{"file://" + filepath.Join(dir, "m.tar"), "file://" + filepath.Join(dir, "golden.json"), preview.Digest, bundle.DigestOf(golden), ""}
	for uri, raw := range map[string][]byte{r.bundle: preview.Bundle(), r.golden: golden} {
		if err := os.WriteFile(strings.TrimPrefix(uri, "file://"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// As the operator writes it: the object of the API.
	c := v1alpha1.Contract{
		Inputs:        []v1alpha1.Tensor{{Name: b.Contract.Input.Name, DType: "FP32", Dims: []int64{10080}}},
		Window:        v1alpha1.Window{EpochSeconds: 60, Epochs: 10080},
		Preprocessing: v1alpha1.Preprocessing{Name: b.Preprocessing.ID, Digest: b.Contract.Preprocessing.Digest},
	}
	for _, o := range b.Contract.Outputs {
		c.Outputs = append(c.Outputs, v1alpha1.OutputTensor{Tensor: v1alpha1.Tensor{Name: o.Name, DType: "FP32", Dims: []int64{int64(o.Length)}}, Kind: "Embedding"})
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	r.contract = string(raw)
	return r
}

func (r release) artifact() []string {
	return []string{"--artifact-uri=" + r.bundle, "--artifact-digest=" + r.bundleDigest}
}

func (r release) goldenSet() []string {
	return []string{"--golden-uri=" + r.golden, "--golden-digest=" + r.goldenDigest}
}

func line(command string, flags ...[]string) []string {
	args := []string{command}
	for _, f := range flags {
		args = append(args, f...)
	}
	return args
}

func TestVerifyLeavesAResult(t *testing.T) {
	good := newRelease(t)
	tests := map[string]struct {
		change func(*release)
		code   int
		want   termination.Result
	}{
		"as declared":    {func(*release) {}, 0, termination.Result{Verified: true}},
		"another bundle": {func(r *release) { r.bundleDigest = bundle.DigestOf(nil) }, 65, termination.Result{Reason: "DigestMismatch"}},
		"not there yet":  {func(r *release) { r.bundle += ".not" }, 1, termination.Result{Reason: "ArtifactNotFound"}},
		"another golden": {func(r *release) { r.goldenDigest = bundle.DigestOf(nil) }, 65, termination.Result{Reason: "GoldenSetMismatch"}},
		"another window": {func(r *release) { r.contract = strings.Replace(r.contract, `"epochs":10080`, `"epochs":1440`, 1) }, 65, termination.Result{Reason: "ContractMismatch"}},
		"no contract":    {func(r *release) { r.contract = "{}" }, 65, termination.Result{Reason: "Unreadable"}},
		"an ftp URI":     {func(r *release) { r.bundle = "ftp://x/y" }, 65, termination.Result{Reason: "Unreadable"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := good
			tt.change(&r)
			code, message := newPod(t).worker(line("verify", r.artifact(), r.goldenSet(), []string{"--contract=" + r.contract})...)
			var got termination.Result
			if err := json.Unmarshal([]byte(message), &got); err != nil {
				t.Fatalf("%q: %v", message, err)
			}
			said := got.Message
			got.Message = ""
			if diff := cmp.Diff(tt.want, got); code != tt.code || diff != "" || (said == "") != tt.want.Verified {
				t.Errorf("exit %d, %q; message (-want +got):\n%s", code, said, diff)
			}
		})
	}
}

func TestFetchWritesWhatTheServerReads(t *testing.T) {
	r, p, repository := newRelease(t), newPod(t), t.TempDir()
	args := line("fetch", r.artifact(), []string{"--model=sleep", "--repository=" + repository, "--max-batch=8", "--gpu=false"})
	if code, message := p.worker(args...); code != 0 || message != `{"verified":true}` {
		t.Fatalf("exit %d, %s", code, message)
	}
	config, err := os.ReadFile(filepath.Join(repository, "sleep", "config.pbtxt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`name: "sleep"`, "max_batch_size: 8", "KIND_CPU", preview.Digest} {
		if !bytes.Contains(config, []byte(want)) {
			t.Errorf("config.pbtxt lacks %s", want)
		}
	}
	if info, err := os.Stat(filepath.Join(repository, "sleep", "1", "model.onnx")); err != nil || info.Size() < 1<<20 || info.Mode().Perm() != 0o444 {
		t.Errorf("model.onnx: %v %v", info, err)
	}
	// The container is started again, and the bundle's store is gone meanwhile.
	if err := os.Remove(strings.TrimPrefix(r.bundle, "file://")); err != nil {
		t.Fatal(err)
	}
	if code, message := p.worker(args...); code != 0 {
		t.Errorf("the second time: exit %d, %s", code, message)
	}
	if code, message := p.worker(line("fetch", r.artifact(), []string{"--model=sleep", "--repository=" + repository, "--max-batch=16"})...); code != 1 || !strings.Contains(message, "ArtifactNotFound") {
		t.Errorf("with another batch it needs the bundle: exit %d, %s", code, message)
	}
	file := strings.TrimPrefix(r.golden, "file://")
	for place, want := range map[string]string{
		filepath.Join(repository, "none"): "not a model repository: there is no folder " + filepath.Join(repository, "none"),
		file:                              "not a model repository: " + file + " is not a folder",
		filepath.Join(file, "below"):      "not a model repository: look for",
	} {
		if code, message := newPod(t).worker(line("fetch", r.artifact(), []string{"--model=sleep", "--repository=" + place, "--max-batch=8"})...); code != 78 || !strings.Contains(message, want) {
			t.Errorf("%s: exit %d, %s, want %q", place, code, message, want)
		}
	}
	if code, message := newPod(t).worker(line("fetch", r.artifact(), []string{"--model=../x", "--repository=" + repository, "--max-batch=8"})...); code != 65 || !strings.Contains(message, "cannot be a model's name") {
		t.Errorf("a model that leads elsewhere: exit %d, %s", code, message)
	}
	for name, args := range map[string][]string{
		"a model that leads elsewhere": {"--model=../x", "--repository=" + repository, "--max-batch=8"},
		"no batch":                     {"--model=sleep", "--repository=" + repository},
		"a batch of letters":           {"--model=sleep", "--repository=" + repository, "--max-batch=x"},
		"no repository":                {"--model=sleep", "--max-batch=8"},
	} {
		if code, message := newPod(t).worker(line("fetch", r.artifact(), args)...); code == 0 || !strings.Contains(message, "reason") {
			t.Errorf("%s: exit %d, %s", name, code, message)
		}
	}
}

func TestValidateLeavesATally(t *testing.T) {
	r := newRelease(t)
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := pat.Open(t.Context(), b, pat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Close)
	tests := map[string]struct {
		faults tritontest.Faults
		flags  []string
		code   int
		want   termination.Result
	}{
		"the version":    {tritontest.Faults{}, []string{"--tolerance=1e-3", "--timeout=30s"}, 0, termination.Result{Tally: &termination.Tally{Cases: 3, Passed: 3}}},
		"drifting":       {tritontest.Faults{Drift: 0.1}, []string{"--tolerance=1e-3", "--timeout=30s"}, 65, termination.Result{Tally: &termination.Tally{Cases: 3}, Reason: "ValidationFailed"}},
		"never ready":    {tritontest.Faults{NotReady: true}, []string{"--tolerance=1e-3", "--timeout=1s"}, 1, termination.Result{Tally: &termination.Tally{Cases: 3}, Reason: "ValidationTimeout"}},
		"another model":  {tritontest.Faults{Digest: bundle.DigestOf(nil)}, []string{"--tolerance=1e-3", "--timeout=1s"}, 65, termination.Result{Tally: &termination.Tally{Cases: 3}, Reason: "DigestMismatch"}},
		"no tolerance":   {tritontest.Faults{}, []string{"--tolerance=many"}, 65, termination.Result{Tally: &termination.Tally{}, Reason: "Unreadable"}},
		"no time at all": {tritontest.Faults{}, []string{"--tolerance=1e-3", "--timeout=-1s"}, 65, termination.Result{Tally: &termination.Tally{}, Reason: "Unreadable"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := tritontest.Start(t, tritontest.Config{Bundle: b, Model: "sleep", Backend: backend})
			server.Set(tt.faults)
			code, message := newPod(t).worker(line("validate", r.artifact(), r.goldenSet(),
				[]string{"--model=sleep", "--version=1", "--endpoint=" + server.Addr()}, tt.flags)...)
			var got termination.Result
			if err := json.Unmarshal([]byte(message), &got); err != nil {
				t.Fatalf("%q: %v", message, err)
			}
			if code == 0 && (got.MaxError == "" || got.MaxError == "0") || (got.Message == "") != (tt.want.Reason == "") {
				t.Errorf("message %s", message)
			}
			got.MaxError, got.Message = "", ""
			if diff := cmp.Diff(tt.want, got); code != tt.code || diff != "" {
				t.Errorf("exit %d, want %d; %s; message (-want +got):\n%s", code, tt.code, message, diff)
			}
		})
	}
}

// What is wrong with an address is said before anything is fetched.
func TestValidateWithoutAPort(t *testing.T) {
	r := newRelease(t)
	for _, at := range []string{"triton", ":8001", "triton:", "http://triton:8001"} {
		code, message := newPod(t).worker(line("validate", r.artifact(), r.goldenSet(), []string{"--model=sleep", "--version=1", "--tolerance=1e-3", "--endpoint=" + at})...)
		if code != 65 || !strings.Contains(message, "--endpoint is HOST:PORT, not ") {
			t.Errorf("%s: exit %d, %s", at, code, message)
		}
	}
}

// A place for the last words that cannot be written is the configuration's fault,
// whatever became of the command, unless that says worse.
func TestLastWordsThatCannotBeLeft(t *testing.T) {
	r, repository := newRelease(t), t.TempDir()
	for want, args := range map[int][]string{
		78: line("fetch", r.artifact(), []string{"--model=sleep", "--repository=" + repository, "--max-batch=8"}),
		65: {"fetch"},
	} {
		var stdout bytes.Buffer
		err := run(t.Context(), args, func(name string) string {
			return map[string]string{"CLARITY_TERMINATION_LOG": repository}[name]
		}, &stdout, io.Discard)
		if exitCode(err) != want || !strings.Contains(err.Error(), "CLARITY_TERMINATION_LOG names no file that can be written") || !json.Valid(stdout.Bytes()) {
			t.Errorf("exit %d, want %d: %v; %s", exitCode(err), want, err, stdout.String())
		}
	}
}

func TestTheCommandLineIsHeldToItsHelp(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		args []string
		code int
	}{
		"nothing":                    {nil, nil, 65},
		"help":                       {nil, []string{"help"}, 0},
		"a command's help":           {nil, []string{"shard", "--help"}, 0},
		"an unknown command":         {nil, []string{"dance"}, 65},
		"an unknown flag":            {nil, []string{"verify", "--model=x"}, 65},
		"an argument":                {nil, []string{"verify", "x"}, 65},
		"an emulator":                {map[string]string{"STORAGE_EMULATOR_HOST": "localhost:1"}, []string{"verify"}, 78},
		"an emulator of anything":    {map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "localhost:1"}, []string{"shard"}, 78},
		"an emulator in development": {map[string]string{"STORAGE_EMULATOR_HOST": "localhost:1", "CLARITY_DEV": "true"}, []string{"verify"}, 65},
		"a loud log":                 {map[string]string{"CLARITY_LOG_LEVEL": "loud"}, []string{"fetch"}, 78},
		"maybe, of a shard":          {map[string]string{"CLARITY_DEV": "maybe"}, []string{"shard"}, 78},
		"maybe, of a validation":     {map[string]string{"CLARITY_DEV": "maybe"}, []string{"validate"}, 78},
		"a development of maybe":     {map[string]string{"CLARITY_DEV": "maybe"}, []string{"verify"}, 78},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			for k, v := range tt.env {
				p.env[k] = v
			}
			if len(tt.args) > 0 && (tt.args[0] == "help" || tt.args[len(tt.args)-1] == "--help") {
				var out bytes.Buffer
				if err := run(t.Context(), tt.args, func(string) string { return "" }, &out, io.Discard); err != nil || !strings.Contains(out.String(), "Usage") {
					t.Errorf("%v, %s", err, out.String())
				}
				if tt.args[0] == "help" && !strings.Contains(out.String(), "\n  version ") {
					t.Errorf("no version in %s", out.String())
				}
				return
			}
			code, message := p.worker(tt.args...)
			if code != tt.code {
				t.Errorf("exit %d, want %d; %s", code, tt.code, message)
			}
			if command := len(tt.args) > 0 && tt.args[0] != "dance"; command != json.Valid([]byte(message)) {
				t.Errorf("the line is %q", message)
			}
			for name := range tt.env { // what is wrong is said, where the message has a sentence
				if tt.code == 78 && !strings.Contains(message, name) && !strings.Contains(message, reasonConfiguration) {
					t.Errorf("the line does not tell of %s: %s", name, message)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, word := range []string{"version", "--version", "-version"} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), []string{word}, func(string) string { return "" }, &stdout, &stderr)
		if out := stdout.String(); exitCode(err) != 0 || !strings.HasPrefix(out, "worker ") || !strings.Contains(out, "go1.") || stderr.Len() > 0 {
			t.Errorf("%s: %v, %q, %q", word, err, out, stderr.String())
		}
	}
}

func TestAVersionWithArguments(t *testing.T) {
	for _, args := range [][]string{{"version", "x"}, {"--version", "x"}, {"-version", "x", "y"}} {
		var stdout bytes.Buffer
		err := run(t.Context(), args, func(string) string { return "" }, &stdout, io.Discard)
		if exitCode(err) != 2 || err.Error() != `version takes no argument, got "x"` || stdout.Len() > 0 {
			t.Errorf("%v: exit %d, %v, %q", args, exitCode(err), err, stdout.String())
		}
	}
}

// The operator refuses a message with a word that it does not know.
func TestEveryReasonOfAFailureIsTheAPIs(t *testing.T) {
	known := []string{v1alpha1.ReasonDigestMismatch, v1alpha1.ReasonArtifactNotFound, v1alpha1.ReasonContractMismatch,
		v1alpha1.ReasonGoldenSetMismatch, v1alpha1.ReasonUnreadable, v1alpha1.ReasonValidationFailed, v1alpha1.ReasonValidationTimeout}
	var said []string
	for _, r := range termination.Reasons() {
		said = append(said, string(r))
	}
	if diff := cmp.Diff(known, said); diff != "" {
		t.Errorf("reasons (-api +worker):\n%s", diff)
	}
}

func TestASentenceFitsTheMessage(t *testing.T) {
	long := sentence(errorText(strings.Repeat("ä\n", 5000)))
	if len(long) > maxSentence+len("…") || strings.Contains(long, "\n") || !strings.HasSuffix(long, "…") {
		t.Errorf("%d bytes, %q", len(long), long[:20])
	}
	if got := sentence(errorText("a\xffb\x1b[31m\x00c")); got != "a?b?[31m?c" {
		t.Errorf("%q", got)
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }
