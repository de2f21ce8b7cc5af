// Package prometheustest runs a real Prometheus for tests: the binary of
// Debian's package prometheus, on a free loopback port, in a temporary folder,
// with the samples a test gives it. Only tests import this package.
package prometheustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options are what a Prometheus starts with.
type Options struct {
	// Samples are loaded before the start, as OpenMetrics with timestamps and without the closing # EOF.
	Samples string
	// Targets, host:port each, are scraped every second.
	Targets []string
	// RemoteRead is the URL of a further store that every query is to read, too.
	RemoteRead string
}

// A Server is a Prometheus that can be stopped and started again.
type Server struct {
	// URL is the same after every start.
	URL string

	t       *testing.T
	program string
	folder  string
	address string
	running *exec.Cmd
	output  *bytes.Buffer
}

// Program finds a program of Debian's package prometheus. Where it is not
// installed the test is skipped, and fails where CI=true: there nothing may be left out.
func Program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not in PATH: install Debian's package prometheus", name)
	default:
		t.Skipf("%s is not in PATH: install Debian's package prometheus to run this test", name)
	}
	return ""
}

// Start starts a Prometheus that ends with the test.
func Start(t *testing.T, o Options) *Server {
	t.Helper()
	s := &Server{t: t, program: Program(t, "prometheus"), folder: t.TempDir()}
	if o.Samples != "" {
		s.load(o.Samples)
	}
	if err := os.WriteFile(s.path("prometheus.yml"), []byte(configOf(o)), 0o600); err != nil {
		t.Fatalf("write configuration of Prometheus: %v", err)
	}
	s.address = freeAddress(t)
	s.URL = "http://" + s.address
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts it again, with what it had stored.
func (s *Server) Start() {
	s.t.Helper()
	s.output = &bytes.Buffer{}
	s.running = exec.CommandContext(context.Background(), s.program, //nolint:gosec // found in PATH
		"--config.file="+s.path("prometheus.yml"), "--storage.tsdb.path="+s.path("data"),
		"--storage.tsdb.retention.time=100y", "--web.listen-address="+s.address, "--log.level=warn")
	s.running.Stdout, s.running.Stderr = s.output, s.output
	if err := s.running.Start(); err != nil {
		s.t.Fatalf("start Prometheus: %v", err)
	}
	if err := s.waitUntilReady(); err != nil {
		s.Stop()
		s.t.Fatalf("start Prometheus: %v\n%s", err, s.output)
	}
}

// Stop ends it; what it has stored stays.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	_ = s.running.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	ended := make(chan struct{})
	go func(running *exec.Cmd) { _ = running.Wait(); close(ended) }(s.running)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = s.running.Process.Kill()
		<-ended
	}
	s.running = nil
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) waitUntilReady() error {
	deadline := time.Now().Add(time.Minute)
	client := http.Client{Timeout: 5 * time.Second}
	for {
		reply, err := client.Get(s.URL + "/-/ready") //nolint:noctx // the client has a timeout
		if err == nil {
			_ = reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(reply.Status)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready within a minute: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// load makes blocks of the samples.
func (s *Server) load(samples string) {
	s.t.Helper()
	file := s.path("samples.om")
	if err := os.WriteFile(file, []byte(samples+"# EOF\n"), 0o600); err != nil {
		s.t.Fatalf("write samples: %v", err)
	}
	command := exec.CommandContext(context.Background(), Program(s.t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", file, s.path("data")) //nolint:gosec // found in PATH
	if output, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("load samples: %v\n%s", err, output)
	}
}

func configOf(o Options) string {
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
	if len(o.Targets) > 0 {
		config += "scrape_configs:\n- job_name: test\n  static_configs:\n  - targets: ['" + strings.Join(o.Targets, "', '") + "']\n"
	}
	if o.RemoteRead != "" {
		config += "remote_read:\n- url: '" + o.RemoteRead + "'\n  read_recent: true\n"
	}
	return config
}

// freeAddress is a port that is free now; Prometheus cannot be told to choose one and say which.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
