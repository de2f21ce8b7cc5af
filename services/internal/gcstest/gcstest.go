// Package gcstest starts a Cloud Storage for tests.
package gcstest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Start starts fake-gcs-server, which keeps objects in memory, as a process of its own that
// ends with the test. It returns its URL. Where it is not built the test is skipped, but
// not in CI.
func Start(t *testing.T) (url string) {
	t.Helper()
	address := listening(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(built(t), "-backend", "memory", "-scheme", "http", "-host", host, "-port", port, "-public-host", address, "-log-level", "error")
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	url = "http://" + address
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(url + "/storage/v1/b?project=test") //nolint:noctx // the test's own deadline
		if err == nil {
			_ = res.Body.Close()
			return url
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("fake-gcs-server does not answer")
		}
	}
}

// built is the program.
func built(t *testing.T) string {
	t.Helper()
	root, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(root, "go.mod")); missing == nil {
			break
		}
		if root == filepath.Dir(root) {
			err = os.ErrNotExist
		}
		root = filepath.Dir(root)
	}
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	path, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "emulators", "emulator"), "--built", "fake-gcs-server").Output() //nolint:gosec // our own script
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("fake-gcs-server is not built: make emulators: %v", err)
	case err != nil:
		t.Skipf("fake-gcs-server is not built: make emulators: %v", err)
	}
	return strings.TrimSpace(string(path))
}

// listening is an address that is free at this moment.
func listening(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

var buckets atomic.Int64

// Bucket makes an empty one and returns its name.
func Bucket(t *testing.T, url string) string {
	t.Helper()
	name := fmt.Sprint("bucket-", buckets.Add(1))
	res, err := http.Post(url+"/storage/v1/b?project=test", "application/json", bytes.NewReader(fmt.Appendf(nil, `{"name":%q}`, name))) //nolint:noctx // the test's own deadline
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("make a bucket: %s", res.Status)
	}
	return name
}
