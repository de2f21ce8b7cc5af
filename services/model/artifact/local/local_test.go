package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/artifact/artifacttest"
	"github.com/clarity-loop/clarity/services/model/artifact/local"
)

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	artifacttest.Run(t, artifacttest.World{
		Scheme: "file", Source: local.Source{},
		Put: func(t *testing.T, _ artifact.Kind, content []byte) string {
			path := filepath.Join(t.TempDir(), "artifact")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			return "file://" + path
		},
		Nowhere: []string{"file://" + dir + "/none", "file://localhost" + dir + "/none"},
		Illegal: []string{"file://relative", "file://host/etc/passwd", "file:///a/../b", "file:///a?b", "file:///a#b", "file://me@localhost/a", "file:///a/"},
	})
}

func TestOnlyPlainFilesAreOpened(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, t.TempDir(), "/dev/zero"} {
		if _, err := (local.Source{}).Open(t.Context(), artifact.Ref{URI: "file://" + path}); !errors.Is(err, artifact.ErrMalformed) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
