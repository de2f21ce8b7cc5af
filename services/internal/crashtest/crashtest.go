// Package crashtest kills processes at moments they do not choose: a test runs
// its own binary as a child that tells on stdout what was acknowledged, and the
// parent kills it with SIGKILL and looks at what is left.
package crashtest

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

const directory = "CRASHTEST_DIR"

// Child returns the directory a child works in and a function that tells the
// parent a line, whole, from any goroutine. In a process that is no child it
// skips the test.
func Child(t *testing.T) (dir string, tell func(line string)) {
	t.Helper()
	dir = os.Getenv(directory)
	if dir == "" {
		t.Skip("runs as the child of a crash test")
	}
	var mu sync.Mutex
	return dir, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := os.Stdout.WriteString(line + "\n"); err != nil {
			os.Exit(1) // the parent is gone
		}
	}
}

// Kill runs the test named child as a process in dir, kills it within the time
// given after its first line, and returns the lines it told.
func Kill(t *testing.T, child, dir string, within time.Duration) (lines []string) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^"+child+"$", "-test.timeout=60s")
	c.Env = append(os.Environ(), directory+"="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	var kill *time.Timer
	for scanner.Scan() {
		if kill == nil {
			kill = time.AfterFunc(rand.N(within), func() { _ = c.Process.Kill() })
			defer kill.Stop()
		}
		lines = append(lines, scanner.Text())
	}
	err = c.Wait()
	if kill == nil || c.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v, after %q", err, lines)
	}
	return lines
}
