package pubsub_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
)

// A daemon is a pubsubd, whose messages are in the directory.
type daemon struct {
	address string
	process *os.Process
}

// startPubsubd starts one. Without an address it takes a free one.
func startPubsubd(t *testing.T, dir, address string) *daemon {
	t.Helper()
	built, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "hack", "emulators", "emulator"), "--built", "pubsubd").Output()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("pubsubd is not built: make emulators: %v", err)
		}
		t.Skipf("pubsubd is not built: make emulators: %v", err)
	}
	if address == "" {
		address = "127.0.0.1:0"
	}
	cmd := exec.Command(strings.TrimSpace(string(built)), "--listen", address, "--data", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		first <- strings.TrimSpace(line)
	}()
	select {
	case line := <-first:
		if line == "" {
			t.Fatal("pubsubd has ended")
		}
		return &daemon{line, cmd.Process}
	case <-time.After(20 * time.Second):
		t.Fatal("pubsubd does not say where it listens")
		panic("unreachable")
	}
}

func TestSuiteOverPubsubd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes twenty seconds")
	}
	suiteOverPubsubd(t, plain)
}

func TestHostileSuiteOverPubsubd(t *testing.T) {
	minutes(t)
	suiteOverPubsubd(t, hostile)
}

func suiteOverPubsubd(t *testing.T, over func(queue.Driver) queue.Driver) {
	t.Parallel()
	address := startPubsubd(t, t.TempDir(), "").address
	n := 0
	queuetest.Run(t, func(t *testing.T) queuetest.Opener {
		n++
		return opener(t, pubsub.Config{Project: "test", Prefix: prefix(n), Emulator: address}, over)
	})
}

func prefix(n int) string { return "p" + strings.Repeat("x", n) + "-" }
