package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
)

// loseBodies removes the raw bodies of uploads from a data directory.
func loseBodies(t *testing.T, dir string) {
	t.Helper()
	var opened io.Closer
	objects, err := embedded.Blobs(t.Context(), filepath.Join(dir, "blobs"), platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Closing: func(_ string, c io.Closer) { opened = c }})
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := objects.List(t.Context(), "uploads/", "", 10)
	if err != nil || len(bodies) != 1 {
		t.Fatal(bodies, err)
	}
	if err := objects.Delete(t.Context(), bodies[0].Name, bodies[0].Generation); err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
}

// putLarge puts an upload as it is, so large that its body does not lie in its record.
func putLarge(t *testing.T, url, dir string) {
	t.Helper()
	samples := make([]string, 3000)
	for n := range samples {
		at := time.Date(2025, 6, 2, 8, 0, n, 0, time.UTC).Format(time.RFC3339)
		samples[n] = fmt.Sprintf(`{"uuid":"%08x-7e6c-4d21-93f5-0242ac13%04x","type":"HKQuantityTypeIdentifierHeartRate","start":%q,"end":%q,"value":%d,"unit":"count/min"}`, n*7919, n, at, at, 60+n%40)
	}
	body := `{"schema":"clarity.upload/1","installationId":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","timeZone":"Europe/Berlin","samples":[` + strings.Join(samples, ",") + `],"deleted":[]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/v1/uploads/upload-large", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(must(t, "token", "--data", dir, "--user", "phone-0")))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusAccepted {
		t.Fatal(res, err)
	}
}

// overwrite has the file hold something else.
func overwrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	was, err := os.ReadFile(path) //nolint:gosec // a file of the test's
	if err == nil {
		err = os.WriteFile(path, change(was), 0o600) //nolint:gosec // the same
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What lies beside the records is looked at, too: the raw bodies of merged uploads, the
// messages, the issuer, and the checkpoints of the audit log.
func TestFsckSeesWhatLiesBeside(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "data")
	p := startPlatform(t, dir, "--unlimited")
	c := crashClient(t, p.url, dir, phonetest.Load(0))
	if err := grantConsent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	putLarge(t, p.url, dir)
	if s, err := c.Merged(t.Context(), "upload-large"); err != nil || s.Added != 3000 {
		t.Fatal(s, err)
	}
	p.stop(t, syscall.SIGTERM)
	if stdout := must(t, "fsck", "--data", dir); !strings.Contains(stdout, "1 uploads (1 bodies opened)") {
		t.Fatalf("whole: %s", stdout)
	}
	for _, c := range []struct {
		what, want string
		plant      func(t *testing.T, dir string)
	}{
		{"a body that is gone", "bad: an upload of ", loseBodies},
		{"a damaged queue", "bad: the queue: its queue.db is damaged or cut: ", func(t *testing.T, dir string) {
			overwrite(t, filepath.Join(dir, "queue.db"), func(was []byte) []byte { return append(was[:4096:4096], make([]byte, len(was)-4096)...) })
		}},
		{"an issuer without keys", "bad: the issuer: ", func(t *testing.T, dir string) {
			overwrite(t, filepath.Join(dir, "identity", "issuer.json"), func([]byte) []byte { return []byte("{}") })
		}},
		{"an issuer that is gone", "bad: the issuer: ", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "identity", "issuer.json")); err != nil {
				t.Fatal(err)
			}
		}},
		{"empty checkpoints", "bad: the audit log: its checkpoints are empty", func(t *testing.T, dir string) {
			signed, err := filepath.Glob(filepath.Join(dir, "audit", "*checkpoints*"))
			if err != nil || len(signed) != 1 {
				t.Fatal(signed, err)
			}
			overwrite(t, signed[0], func([]byte) []byte { return nil })
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			spoilt := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(spoilt, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(spoilt+".keys", os.DirFS(dir+".keys")); err != nil {
				t.Fatal(err)
			}
			c.plant(t, spoilt)
			stdout, stderr, code := clarity(t, "fsck", "--data", spoilt)
			if code != 1 || !strings.Contains(stdout, c.want) {
				t.Errorf("exit %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

// Where no backup can be made, why, and what to do, is said before anything is read.
func TestWhereNoBackupCanBeMade(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	for _, dir := range []string{"data", "there", "data/in"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("data/in", "link"); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"there": "is there already: name a directory that is to be made", "there/..": "is there already: name a directory", "data/copy": "would lie inside the data directory",
		"there/../data/copy": "would lie inside the data directory", "link/copy": "would lie inside the data directory", "data": "would lie inside the data directory",
	} {
		if _, stderr, code := clarity(t, "backup", to, "--data", "data"); code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", to, code, stderr)
		}
	}
}
