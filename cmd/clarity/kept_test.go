package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
)

// operateAs runs a command with an environment in the current directory.
func operateAs(env map[string]string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	err := run(context.Background(), args, func(name string) string { return env[name] }, &out, &errs)
	code = exitCode(err, &errs)
	return out.String(), errs.String(), code
}

// readers are the commands that only read, and what each reads.
func readers() map[string][]string {
	return map[string][]string{
		"queue": {"dead"}, "keys": {"subject", "--user", "anna"}, "audit": {"audit", "verify"},
	}
}

// What was told to `clarity up` is told in the same way to the commands that look
// at what it kept.
func TestWhatUpKeptElsewhereIsFound(t *testing.T) {
	t.Chdir(t.TempDir())
	s := defaults()
	s.Listen.API = "127.0.0.1:0"
	s.Backends.Queue, s.Backends.Keys, s.Backends.Audit, s.Backends.Identity = "sqlite:q", "tink:k", "file:a", "local:i"
	p, err := datadir.Open(t.Context(), s.Data, s.Config, drivers(), stages.All(), platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	specs := map[string]string{"queue": s.Backends.Queue, "keys": s.Backends.Keys, "audit": s.Backends.Audit, "identity": s.Backends.Identity}
	file := write(t, "c.yaml", "backends: {queue: \"sqlite:q\", keys: \"tink:k\", audit: \"file:a\", identity: \"local:i\"}\nlisten: {api: 127.0.0.1:0}\n")
	commands := readers()
	commands["identity"] = []string{"token", "--user", "anna"}
	for backend, args := range commands {
		var said []string
		for _, told := range []struct {
			env  map[string]string
			args []string
		}{
			{nil, []string{"--" + backend, specs[backend]}},
			{map[string]string{"CLARITY_" + strings.ToUpper(backend): specs[backend]}, nil},
			{nil, []string{"--config", file}},
		} {
			stdout, stderr, code := operateAs(told.env, append(append([]string{}, args...), told.args...)...)
			if code != 0 {
				t.Errorf("%v %v: exit %d: %s", args, told, code, stderr)
			}
			said = append(said, stdout)
		}
		if backend != "identity" && (said[0] != said[1] || said[1] != said[2]) {
			t.Errorf("%v says different things: %q", args, said)
		}
	}
	for backend, args := range readers() {
		_, stderr, code := operateAs(nil, args...)
		if code != 1 || !strings.Contains(stderr, "there is nothing of the "+backend+" at clarity-data") || !strings.Contains(stderr, "--"+backend) {
			t.Errorf("%v, told nothing: exit %d: %s", args, code, stderr)
		}
	}
	made, err := filepath.Glob("clarity-data/*")
	for _, path := range made {
		switch filepath.Base(path) {
		case "VERSION", "clarity.lock", "store.db", "store.db.lock", "store.db-shm", "store.db-wal", "blobs", "AUDIT", "reserve": // of `clarity up`
		default:
			t.Errorf("%s was made, %v", path, err)
		}
	}
}

// Who looks makes nothing, wherever there is nothing.
func TestWhoOnlyReadsMakesNothing(t *testing.T) {
	for backend, args := range readers() {
		dir := t.TempDir()
		t.Chdir(dir)
		within := map[string]string{"queue": ".", "keys": dir + ".keys", "audit": "audit"}[backend]
		for want, told := range map[string][]string{
			"there is no data directory clarity-data: `clarity up --data clarity-data`": nil,
			"there is nothing of the " + backend + " at " + within:                      {"--data", "."},
			"there is nothing of the " + backend + " at x":                              {"--" + backend, map[string]string{"queue": "sqlite:x", "keys": "tink:x", "audit": "file:x"}[backend]},
		} {
			_, stderr, code := operateAs(nil, append(append([]string{}, args...), told...)...)
			if code != 1 || !strings.Contains(stderr, want) || strings.Contains(want, "nothing") && !strings.Contains(stderr, ": say the --data, --"+backend+" or --config") {
				t.Errorf("%v %v: exit %d: %s", args, told, code, stderr)
			}
		}
		_, stderr, code := operateAs(map[string]string{"CLARITY_" + strings.ToUpper(backend): "floppy:x"}, args...)
		if code != 2 || !strings.Contains(stderr, `no driver "floppy"`) {
			t.Errorf("%v of another driver: exit %d: %s", args, code, stderr)
		}
		if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
			t.Errorf("%v made %v, %v", args, made, err)
		}
	}
}
