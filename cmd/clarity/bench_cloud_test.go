package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/internal/emulated"
	"github.com/clarity-loop/clarity/internal/logtest"
)

// BenchmarkIngestCloud500 is the same path with the drivers of Google Cloud, over what
// stands in for it: what the cloud's own ingress costs an upload. How long an ack takes
// says nothing here, where the stand-ins have the same cores.
func BenchmarkIngestCloud500(b *testing.B) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		b.Skip("needs emulators that take minutes to build: make bench-cloud")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	cloud, err := emulated.Start(b.Context(), emulated.Options{Root: root, Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cloud.Stop(); err != nil {
			b.Error(err)
		}
	})
	url, pid := startIngress(b, cloud)
	var tokens []string
	for i := range benchConnections {
		token, err := cloud.Person(b.Context(), fmt.Sprintf("bench-%d", i))
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	s := swarmOf(b, url, tokens)
	s.put(b, 100) // warm
	s.measure(b, pid)
}

// startIngress starts the cloud's ingress as a process of its own, and says where it
// answers.
func startIngress(b *testing.B, cloud *emulated.Cloud) (url string, pid int) {
	b.Helper()
	dir := b.TempDir()
	program := filepath.Join(dir, "ingress")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../ingress").CombinedOutput(); err != nil { //nolint:gosec // our own
		b.Fatalf("build the ingress: %v\n%s", err, out)
	}
	config, err := json.Marshal(map[string]any{"backends": cloud.Backends(), "log": map[string]string{"level": "warn"},
		"listen": map[string]string{"api": "127.0.0.1:0", "admin": "127.0.0.1:0"}, "ingress": map[string]bool{"unlimited": true}}) // which is YAML
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "ingress.yaml"), config, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	var log logtest.Log
	cmd := exec.Command(program, "--config", filepath.Join(dir, "ingress.yaml")) //nolint:gosec,noctx // our own; it ends below
	cmd.Env, cmd.Stderr = append(os.Environ(), cloud.Environment()...), &log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("the ingress does not start: %v\n%s", err, log.String())
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "ready")), cmd.Process.Pid
}
