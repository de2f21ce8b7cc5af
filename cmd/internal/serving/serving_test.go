package serving_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/queue"
)

// binary is one with two stages, one of which has to do with a queue; both end when
// they are told.
func binary() serving.Binary {
	build := func(context.Context, platform.Parts) ([]platform.Runner, error) {
		return []platform.Runner{{Name: "r", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}}, nil
	}
	return serving.Binary{
		Name: "thing", Does: "Does things.", Version: "v7", Defaults: serving.Defaults(true),
		Form: serving.Form{Table: []platform.Stage{
			{Name: stage.Worker, Needs: capability.Queue | capability.Model, Build: build}, {Name: stage.Delivery, Build: build}},
			Examples: map[string]string{"queue": "fake:PLACE"}, Models: "none"},
		Drivers: platform.Drivers{Queue: map[string]platform.Opener[queue.Driver]{"fake": func(_ context.Context, at string, _ platform.Env) (queue.Driver, error) {
			if at == "away" {
				return nil, errors.New("nobody is there")
			}
			return calm{}, nil
		}}},
		Find: func(model string) error {
			if model == "lost" {
				return errors.New("model: there is no lost")
			}
			return nil
		},
	}
}

// calm is a queue of which nobody consumes anything.
type calm struct{ queue.Driver }

func (calm) Unclaimed(context.Context) ([]queue.Backlog, error) { return nil, nil }

// Ready says nothing against it.
func (calm) Ready(context.Context) error { return nil }

// told runs the binary, and stops it with the first line that it prints.
func told(t *testing.T, b serving.Binary, env map[string]string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs bytes.Buffer
	err = b.Run(ctx, args, func(name string) string { return env[name] }, stopper{&out, stop}, &errs)
	return out.String(), errs.String(), err
}

type stopper struct {
	into io.Writer
	stop func()
}

func (s stopper) Write(p []byte) (int, error) {
	defer s.stop()
	return s.into.Write(p)
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckPrintsWhatWouldRun(t *testing.T) {
	config := file(t, "backends: {queue: \"fake:file\", model: m}\nlisten: {admin: \":1\"}\nstages: [delivery]\nworker: {look: 3s}\n")
	tests := map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"the defaults": {nil, []string{"--queue", "fake:x"},
			"stage worker needs queue model\nstage delivery needs\nlisten api off\nlisten admin :9090\nlisten profile off\ndriver queue fake:x\nmodel none\n"},
		"a file": {nil, []string{"--config", config}, "stage worker off\nstage delivery needs\nlisten api off\nlisten admin :1\nlisten profile off\n"},
		"the environment over it": {map[string]string{"CLARITY_STAGES": "worker", "CLARITY_CONFIG": config}, nil,
			"stage worker needs queue model\nstage delivery off\nlisten api off\nlisten admin :1\nlisten profile off\ndriver queue fake:file\nmodel m\n"},
		"flags over both": {map[string]string{"CLARITY_STAGES": "worker"}, []string{"--config", config, "--queue=fake:flag"},
			"stage worker needs queue model\nstage delivery off\nlisten api off\nlisten admin :1\nlisten profile off\ndriver queue fake:flag\nmodel m\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := told(t, binary(), tt.env, append(tt.args, "--check")...)
			var lines strings.Builder
			for line := range strings.Lines(stdout) {
				lines.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
			}
			if err != nil || stderr != "" || lines.String() != tt.want {
				t.Errorf("%v, %s\n%s", err, stderr, lines.String())
			}
		})
	}
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		args []string
		want []string
	}{
		"of everything": {map[string]string{"CLARITY_DEBOUNCE": "soon", "FIRESTORE_EMULATOR_HOST": "x:1", "CLARITY_DEV": "maybe"},
			[]string{"--config", file(t, "listn: 1\n"), "--queue", "floppy:x", "--log", "xml", "--grace", "1s", "--stages", "worker,teapot", "--model", "lost", "--admin-listen", "x"},
			[]string{"field listn not found", "CLARITY_DEBOUNCE", "FIRESTORE_EMULATOR_HOST leads to an emulator", "CLARITY_DEV is true or false",
				`no driver "floppy"`, "text, json or google:PROJECT", "a grace of 1s", `no stage "teapot"`, "there is no lost", `listen admin: "x"`}},
		"of nothing that was said":    {nil, nil, []string{`queue: "" names no driver; this binary has fake`}},
		"of a stage of another's":     {nil, []string{"--stages", "ingress"}, []string{`no stage "ingress"; the stages are worker, delivery`}},
		"of an argument":              {nil, []string{"now"}, []string{`it takes no argument, got "now"`}},
		"of a flag that there is not": {nil, []string{"--nope"}, []string{"--help tells the flags"}},
		"of what no stage of it asks": {nil, []string{"--identity", "x"}, []string{"not defined: -identity"}},
		"of version's argument":       {nil, []string{"version", "x"}, []string{"version takes no argument"}},
		"of a key that is nobody's":   {nil, []string{"--queue", "fake:", "--config", file(t, "listen: {open: true}\n")}, []string{"field open not found, which is one of api, admin, profile"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := told(t, binary(), tt.env, tt.args...)
			if serving.ExitCode(err) != 2 || stdout+stderr != "" || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v, %q %q; want one line and 2", err, stdout, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
		})
	}
}

func TestItRunsUntilItIsToldToStop(t *testing.T) {
	stdout, stderr, err := told(t, binary(), nil, "--queue", "fake:x", "--admin-listen", "127.0.0.1:0", "--linger", "0s")
	if serving.ExitCode(err) != 0 || stdout != "ready\n" || !strings.Contains(stderr, `"msg":"stopped"`) {
		t.Errorf("%v, %q, %s", err, stdout, stderr)
	}
	stdout, _, err = told(t, binary(), nil, "--queue", "fake:away", "--admin-listen", "127.0.0.1:0")
	if serving.ExitCode(err) != 1 || stdout != "" || !strings.Contains(err.Error(), "open the queue fake: nobody is there") {
		t.Errorf("%v, %q", err, stdout)
	}
}

func TestWhatItSaysOfItself(t *testing.T) {
	for _, line := range [][]string{{"version"}, {"--version"}} {
		if stdout, stderr, err := told(t, binary(), nil, line...); err != nil || stderr != "" || !strings.HasPrefix(stdout, "thing v7 (commit ") {
			t.Errorf("%v: %q %q %v", line, stdout, stderr, err)
		}
	}
	for _, line := range [][]string{{"help"}, {"--help"}, {"-h"}} {
		stdout, stderr, err := told(t, binary(), nil, line...)
		if err != nil || stderr != "" {
			t.Errorf("%v: %q %v", line, stderr, err)
		}
		for _, want := range []string{"Usage: thing [FLAGS]", "Does things.", "--queue DRIVER", "such as fake:PLACE", "--grace", "(default 50s)", "--check", "$CLARITY_STORE", "--debounce"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("no %q in:\n%s", want, stdout)
			}
		}
		for _, not := range []string{"--listen", "--identity", "--unlimited"} {
			if strings.Contains(stdout, not+" ") {
				t.Errorf("%s is there, and no stage has to do with it", not)
			}
		}
	}
}

// log is an audit log, or what is wrong with one, as its place says.
type log struct{ at string }

func (log) Append(context.Context, audit.Event) error {
	return errors.New("nobody appends while it is verified")
}

func (l log) Verify(context.Context) (int64, error) {
	switch l.at {
	case "whole":
		return 12, nil
	case "cut":
		return 3, &audit.BadEntry{Writer: "w", Index: 3, Detail: "it is missing"}
	}
	return 0, errors.New("nobody is there")
}

func (l log) Close() error {
	if l.at == "" {
		return errors.New("it has no place")
	}
	return nil
}

// The audit log is read with what is configured, and nothing else is opened.
func TestAuditVerify(t *testing.T) {
	b := binary()
	b.Table = append(b.Table, platform.Stage{Name: stage.Ingress, Needs: capability.Audit})
	b.Drivers.Audit = map[string]platform.Opener[audit.Log]{"fake": func(_ context.Context, at string, e platform.Env) (audit.Log, error) {
		l := log{at}
		e.Closing("the audit log", l)
		return l, nil
	}}
	tests := map[string]struct{ at, stdout, err string }{
		"as it was written": {"whole", "ok: 12 entries\n", ""},
		"not so":            {"cut", "", "the audit log is not as it was written: audit: writer w: entry 3: it is missing"},
		"away":              {"away", "", "nobody is there"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := told(t, b, nil, "--queue", "fake:away", "--audit", "fake:"+tt.at, "audit", "verify")
			if stdout != tt.stdout || stderr != "" || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("%q, %q, %v", stdout, stderr, err)
			}
		})
	}
	var usage *serving.UsageError
	if _, _, err := told(t, binary(), nil, "--queue", "fake:x", "audit", "verify"); !errors.As(err, &usage) {
		t.Errorf("a binary without an audit log: %v", err)
	}
}
