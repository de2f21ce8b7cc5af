package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/logtest"
)

// built is the folder of the binary under test, made on first use.
var built struct {
	sync.Once
	dir, binary string
	err         error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// binary builds this package once, as `make build` does, and returns its path.
func binary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "clarity-test-"); built.err != nil {
			return
		}
		built.binary = filepath.Join(built.dir, "clarity")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=test", "-o", built.binary, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = errors.New(string(out))
		}
	})
	if built.err != nil {
		t.Fatalf("build the binary: %v", built.err)
	}
	return built.binary
}

// A running platform is a `clarity up` in a process of its own.
type running struct {
	cmd    *exec.Cmd
	url    string
	log    *logtest.Log
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// startPlatform runs `clarity up` on the directory and waits until it is ready.
func startPlatform(t testing.TB, dir string, args ...string) *running {
	t.Helper()
	p, err := launch(binary(t), dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func launch(bin, dir string, args ...string) (*running, error) {
	return launchOn(bin, dir, "127.0.0.1:0", args...)
}

func launchOn(bin, dir, address string, args ...string) (*running, error) {
	return launchCommand(exec.Command(bin, append([]string{"up", "--data", dir, "--listen", address}, args...)...))
}

// launchCommand starts a platform by a command of the caller's.
func launchCommand(cmd *exec.Cmd) (*running, error) {
	p := &running{cmd: cmd, log: &logtest.Log{}, exited: make(chan struct{})}
	p.cmd.Stderr = p.log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for first := true; lines.Scan(); first = false {
			if first {
				ready <- lines.Text()
			}
		}
		close(ready)
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	select {
	case line := <-ready:
		url, ok := strings.CutPrefix(line, "ready ")
		if !ok {
			p.kill()
			return nil, errors.New("first line is " + line + "; log: " + p.log.String())
		}
		p.url = url
		return p, nil
	case <-time.After(time.Minute):
		p.kill()
		return nil, errors.New("not ready after a minute; log: " + p.log.String())
	}
}

// kill is SIGKILL: the process has no say in it.
func (p *running) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// end sends the signal and waits, no longer than a minute.
func (p *running) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.kill()
	}
}

// stop sends the signal and returns how long the process took to leave.
func (p *running) stop(t testing.TB, sig syscall.Signal) time.Duration {
	t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.kill()
		t.Fatalf("still there a minute after %s; log: %s", sig, p.log.String())
	}
	if p.err != nil {
		t.Errorf("ended with %v; log: %s", p.err, p.log.String())
	}
	return time.Since(began)
}

// clarity runs a command through the real run in this process.
func clarity(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err := run(ctx, args, func(string) string { return "" }, &out, &errs)
	code = exitCode(err, &errs)
	return out.String(), errs.String(), code
}

// must is clarity for commands that have to succeed; it returns stdout.
func must(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, code := clarity(t, args...)
	if code != 0 {
		t.Fatalf("clarity %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// reference is a folder of the shared reference data.
func reference(t testing.TB, path string) string {
	t.Helper()
	root := os.Getenv("CLARITY_REFERENCE")
	if root == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir := wd; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "shared", "reference")); err == nil {
				root = filepath.Join(dir, "shared", "reference")
				break
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	full := filepath.Join(root, path)
	if _, err := os.Stat(full); root == "" || err != nil {
		t.Skipf("no reference data here (%s); CLARITY_REFERENCE says where it is", path)
	}
	return full
}
