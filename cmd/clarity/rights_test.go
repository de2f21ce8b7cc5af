package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
)

// A user without rights to the data, or to a part of it, is told so in one line
// that names the directory, and the flag that names another.
func TestAUserWithoutRights(t *testing.T) {
	root, err := os.MkdirTemp("", "clarity-rights-") // others may enter it, unlike a test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	data, away := filepath.Join(root, "data"), filepath.Join(root, "away")
	s := defaults()
	s.Listen.API, s.Backends.Audit, s.Backends.Keys = "127.0.0.1:0", "file:"+filepath.Join(away, "audit"), "tink:"+filepath.Join(away, "keys")
	p, err := datadir.Open(t.Context(), data, s.Config, drivers(), stages.All(), platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Close(), os.Chmod(root, 0o711), os.Chmod(away, 0o711)); err != nil {
		t.Fatal(err)
	}
	bin := binary(t)
	if err := os.Chmod(filepath.Dir(bin), 0o711); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // the owner, who is not root, takes the rights from itself
		for _, dir := range []string{data, filepath.Join(away, "audit"), filepath.Join(away, "keys")} {
			if err := os.Chmod(dir, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) //nolint:gosec // a directory has to be entered to be removed
		}
	}
	tests := map[string]struct {
		args []string
		want string
	}{
		"the audit log":              {[]string{"audit", "verify", "--data", data}, "this user may not use the data directory " + data + ": run as its owner, or choose another --data"},
		"an audit log elsewhere":     {[]string{"audit", "verify", "--data", data, "--audit", s.Backends.Audit}, "this user may not use the audit directory " + away + "/audit: run as its owner, or choose another --audit"},
		"a pseudonym":                {[]string{"subject", "--data", data, "--user", "anna"}, "the data directory " + data + ": run as its owner"},
		"a pseudonym of keys beside": {[]string{"subject", "--data", data, "--user", "anna", "--keys", s.Backends.Keys}, "the keys directory " + away + "/keys: run as its owner, or choose another --keys"},
		"a token":                    {[]string{"token", "--data", data, "--user", "anna"}, "the data directory " + data},
		"the dead letters":           {[]string{"dead", "--data", data}, "the data directory " + data},
		"a platform":                 {[]string{"up", "--data", data, "--listen", "127.0.0.1:0"}, "the data directory " + data},
		"an upload":                  {[]string{"upload", "--data", data, "x"}, "the data directory " + data},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stderr bytes.Buffer
			c := exec.CommandContext(ctx, bin, tt.args...)
			c.Dir, c.Stderr, c.Env = "/", &stderr, []string{}
			if os.Geteuid() == 0 {
				c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			err := c.Run()
			if got := stderr.String(); c.ProcessState.ExitCode() != 1 || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 || strings.Contains(got, "permission denied") {
				t.Errorf("%v: %q, want one line with %q", err, got, tt.want)
			}
		})
	}
}

// What another process has is told with the flag that names another place.
func TestAPlaceInUseIsToldByItsFlag(t *testing.T) {
	used := t.TempDir()
	startPlatform(t, used)
	for flag, spec := range map[string]string{"store": "sqlite:" + used, "queue": "sqlite:" + used, "blobs": "files:" + filepath.Join(used, "blobs"), "audit": "file:" + filepath.Join(used, "audit")} {
		_, stderr, code := clarity(t, "up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--"+flag, spec)
		_, at, _ := strings.Cut(spec, ":")
		if want := "clarity: the " + flag + " directory " + at + " is in use by another process: stop that one, or choose another --" + flag + "\n"; code != 1 || stderr != want {
			t.Errorf("exit %d, %q, want %q", code, stderr, want)
		}
	}
}
