package emulated

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The whole cloud is there once it has started, and gone once it was stopped.
func TestTheCloud(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs emulators that take minutes to build: make test-cloud")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(t.Context(), Options{Root: root, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range c.peers {
		if host, _, err := net.SplitHostPort(p.address); err != nil || host != "127.0.0.1" {
			t.Errorf("%s listens on %s", name, p.address)
		}
	}
	if token, err := c.Person(t.Context(), "anna"); err != nil || strings.Count(token, ".") != 2 {
		t.Errorf("a person's token: %q, %v", token, err)
	}
	if err := c.apply(t.Context()); err == nil {
		t.Error("what was applied can be made once more")
	}
	began := time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it ends after %v: somebody had to be killed", took)
	}
	for name, p := range c.peers {
		if conn, err := net.Dial("tcp", p.address); err == nil {
			t.Errorf("%s is still there", name)
			conn.Close()
		}
	}
}

// Who is not built is told how.
func TestWhatIsNotThereIsTold(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := built(t.Context(), root, "pigeon"); err == nil || !strings.Contains(err.Error(), "pigeon is neither") {
		t.Errorf("an emulator of nobody: %v", err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := built(t.Context(), root, Auth); err == nil || !strings.Contains(err.Error(), "make emulators") {
		t.Errorf("one that is not built: %v", err)
	}
}
