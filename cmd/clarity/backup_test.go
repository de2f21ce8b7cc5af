package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
)

// status is the status of a person's request.
func status(t *testing.T, url, dir, user, method, path string) int {
	t.Helper()
	token := strings.TrimSpace(must(t, "token", "--data", dir, "--user", user))
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// A backup is made under load, holds no keys, and is put back: who was erased
// since is erased in it, another person's data is there; without the keys, or with
// keys from before, it is refused.
func TestABackupIsPutBackAndErasuresStay(t *testing.T) {
	root := t.TempDir()
	dir, copied := filepath.Join(root, "data"), filepath.Join(root, "copy")
	p := startPlatform(t, dir, "--unlimited")
	for i := range 2 {
		c := crashClient(t, p.url, dir, phonetest.Load(i))
		if err := grantConsent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		putAll(t, c, phonetest.Load(i), 0, 10)
	}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() { // others upload meanwhile
		c, n := crashClient(t, p.url, dir, phonetest.Load(0)), 10
		for ; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			if _, err := c.Put(t.Context(), phonetest.Load(0).Upload(t, n)); err != nil {
				t.Errorf("an upload beside a backup: %v", err)
			}
		}
	}()
	out := must(t, "backup", copied, "--data", dir)
	close(stop)
	<-stopped
	if !strings.Contains(out, "2 people (0 erased)") || !strings.Contains(out, "the backup is in "+copied) {
		t.Errorf("it says %s", out)
	}
	if left, err := filepath.Glob(filepath.Join(copied, "*.lock")); err != nil || len(left) > 0 {
		t.Errorf("left in the backup: %v", left)
	}
	if _, err := os.Stat(filepath.Join(copied, "VERSION")); err != nil {
		t.Errorf("the backup does not say of which layout it is: %v", err)
	}
	found := 0
	_ = filepath.WalkDir(copied, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasSuffix(path, ".key") || filepath.Base(path) == "kek.json" {
			found++
		}
		return nil
	})
	if found > 0 {
		t.Errorf("%d keys are in the backup", found)
	}
	formerKeys := filepath.Join(root, "former.keys")
	if err := os.CopyFS(formerKeys, os.DirFS(dir+".keys")); err != nil {
		t.Fatal(err)
	}
	if got := status(t, p.url, dir, "phone-1", "DELETE", "/v1/account"); got != 202 {
		t.Fatalf("erase: %d", got)
	}
	for limit := time.Now().Add(30 * time.Second); status(t, p.url, dir, "phone-1", "GET", "/v1/account/receipt") != 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("no receipt")
		}
	}
	p.stop(t, syscall.SIGTERM)
	if out := must(t, "fsck", "--data", dir); !strings.Contains(out, "2 people (1 erased)") {
		t.Errorf("fsck says %s", out)
	}

	if _, stderr, code := clarity(t, "restore", copied, "--data", dir); code != 1 || !strings.Contains(stderr, "is there already") {
		t.Errorf("over a directory: exit %d, %s", code, stderr)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[string]string{"tink:" + filepath.Join(root, "none"): "there are no keys at", "tink:" + filepath.Join(root, "others"): "are not those that the backup was made beside"} {
		if strings.HasSuffix(keys, "others") {
			startPlatform(t, filepath.Join(root, "another"), "--keys", keys).stop(t, syscall.SIGTERM)
		}
		if _, stderr, code := clarity(t, "restore", copied, "--data", dir, "--keys", keys); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", keys, code, stderr)
		}
	}
	if out := must(t, "restore", copied, "--data", dir); !strings.Contains(out, "1 people who were erased since are erased in it") {
		t.Errorf("restore says %s", out)
	}
	p = startPlatform(t, dir, "--unlimited")
	if got := status(t, p.url, dir, "phone-1", "GET", "/v1/days"); got != 410 {
		t.Errorf("who was erased: %d", got)
	}
	c := crashClient(t, p.url, dir, phonetest.Load(0))
	if s, err := c.Merged(t.Context(), phonetest.Load(0).Upload(t, 3).ID); err != nil || s.State != "merged" {
		t.Errorf("who was not: %+v, %v", s, err)
	}
	p.stop(t, syscall.SIGTERM)
	if out := must(t, "fsck", "--data", dir); !strings.Contains(out, "2 people (1 erased)") {
		t.Errorf("fsck says %s", out)
	}
	// A later backup knows of the erasure: keys that do not are refused.
	later := filepath.Join(root, "later")
	must(t, "backup", later, "--data", dir)
	if _, stderr, code := clarity(t, "restore", later, "--data", filepath.Join(root, "new"), "--keys", "tink:"+formerKeys); code != 1 || !strings.Contains(stderr, "the keys are older than the backup") {
		t.Errorf("with older keys: exit %d, %s", code, stderr)
	}
	damage(t, filepath.Join(later, "blobs"))
	if _, stderr, code := clarity(t, "restore", later, "--data", filepath.Join(root, "new"), "--keys", "tink:"+dir+".keys"); code != 1 || !strings.Contains(stderr, "is not as it was made") {
		t.Errorf("a damaged backup: exit %d, %s", code, stderr)
	}
	if stdout, _, code := clarity(t, "fsck", "--data", later, "--keys", "tink:"+dir+".keys"); code != 1 || !strings.Contains(stdout, "bad: ") {
		t.Errorf("fsck of a damaged backup: exit %d, %s", code, stdout)
	}
}

// putAll puts the uploads from..to of a phone, and waits for the last.
func putAll(t *testing.T, c *phone.Client, l phonetest.Load, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if _, err := c.Put(t.Context(), l.Upload(t, n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Merged(t.Context(), l.Upload(t, to-1).ID); err != nil {
		t.Fatal(err)
	}
}

// damage changes a byte in the middle of each segment's every kilobyte.
func damage(t *testing.T, dir string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("%v, %v", segments, err)
	}
	for _, path := range segments {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 700; at < len(data); at += 200 {
			data[at] ^= 0x55
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
