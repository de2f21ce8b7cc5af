package gcs_test

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

	"github.com/clarity-loop/clarity/services/blob/gcs"
)

// emulator starts fake-gcs-server as a process of its own and returns its URL.
func emulator(t *testing.T) string {
	t.Helper()
	built, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "hack", "emulators", "emulator"), "--built", "fake-gcs-server").Output()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("fake-gcs-server is not built: make emulators: %v", err)
		}
		t.Skipf("fake-gcs-server is not built: make emulators: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	host, port, _ := net.SplitHostPort(address)
	l.Close()
	cmd := exec.Command(strings.TrimSpace(string(built)), "-backend", "memory", "-scheme", "http", "-host", host, "-port", port, "-public-host", address, "-log-level", "error")
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + address + "/storage/v1/b?project=test")
		if err == nil {
			res.Body.Close()
			return "http://" + address
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("fake-gcs-server does not answer")
		}
	}
}

var buckets atomic.Int64

// bucket makes an empty one. Where the environment names one of Google's, it is
// that, emptied.
func bucket(t *testing.T, url string) gcs.Config {
	t.Helper()
	if own := os.Getenv("CLARITY_CLOUD_BUCKET"); own != "" {
		c := gcs.Config{Bucket: own}
		if err := open(t, c).DeletePrefix(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := gcs.Config{Bucket: fmt.Sprint("bucket-", buckets.Add(1)), Endpoint: url}
	post(t, url+"/storage/v1/b?project=test", fmt.Sprintf(`{"name":%q}`, c.Bucket))
	return c
}

func post(t *testing.T, url, body string) {
	t.Helper()
	res, err := http.Post(url, "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("%s: %s", url, res.Status)
	}
}

func open(t *testing.T, c gcs.Config) *gcs.Store {
	t.Helper()
	s, err := gcs.Open(t.Context(), c, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
