package dirlock_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/internal/dirlock"
)

func TestASecondHolderIsRefusedWithOneSentence(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	unlock, err := dirlock.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = dirlock.Lock(dir)
	var inUse *dirlock.InUseError
	if !errors.As(err, &inUse) || inUse.Dir != dir {
		t.Fatalf("second Lock: %v, want an InUseError for %s", err, dir)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("not one sentence: %q", err)
	}
	if err := errors.Join(unlock(), unlock()); err != nil {
		t.Fatal(err)
	}
	again, err := dirlock.Lock(dir)
	if err != nil {
		t.Fatalf("Lock after unlock: %v", err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
}

// TestChild holds the lock of the directory it is given until it is killed.
func TestChild(t *testing.T) {
	dir := os.Getenv("DIRLOCK_CHILD")
	if dir == "" {
		t.Skip("runs as the child of TestAKilledHolderLeavesNoLock")
	}
	if _, err := dirlock.Lock(dir); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("held\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestAKilledHolderLeavesNoLock(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), "DIRLOCK_CHILD="+dir)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("child said %q (%v)", line, err)
	}
	var inUse *dirlock.InUseError
	if _, err := dirlock.Lock(dir); !errors.As(err, &inUse) {
		t.Errorf("while the child lives: %v, want an InUseError", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	unlock, err := dirlock.Lock(dir)
	if err != nil {
		t.Fatalf("after the child was killed: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestADirectoryThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dirlock.Lock(filepath.Join(file, "dir")); err == nil {
		t.Fatal("Lock below a file succeeded")
	}
}
