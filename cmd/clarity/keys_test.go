package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
)

// Keys rotate while a platform runs on them and phones upload: everything is taken in,
// and everything opens afterwards, also out of a backup from before.
func TestKeysRotateWhileThePlatformRuns(t *testing.T) {
	root := t.TempDir()
	dir, before, after := filepath.Join(root, "data"), filepath.Join(root, "before"), filepath.Join(root, "after")
	p := startPlatform(t, dir, "--unlimited")
	const phones = 6
	for i := range phones {
		c := crashClient(t, p.url, dir, phonetest.Load(i))
		if err := grantConsent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		putAll(t, c, phonetest.Load(i), 0, 3)
	}
	must(t, "backup", before, "--data", dir)
	formerKeys := filepath.Join(root, "former.keys")
	if err := os.CopyFS(formerKeys, os.DirFS(dir+".keys")); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() { // uploads meanwhile
		c, n := crashClient(t, p.url, dir, phonetest.Load(0)), 3
		for ; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			if _, err := c.Put(context.Background(), phonetest.Load(0).Upload(t, n)); err != nil {
				t.Errorf("an upload beside a rotation: %v", err)
			}
		}
	}()
	if out := must(t, "keys", "rotate", "data", "--data", dir); !strings.Contains(out, "people get a new data key when they write next") {
		t.Errorf("it says %s", out)
	}
	out := must(t, "keys", "rotate", "kek", "--data", dir)
	if !strings.Contains(out, " keys are wrapped by the new one\n") || !strings.HasSuffix(out, "the key that wrapped them before is removed\n") {
		t.Errorf("it says %s", out)
	}
	if got := status(t, p.url, dir, "phone-5", "DELETE", "/v1/account"); got != 202 {
		t.Errorf("an erasure beside a rotation: %d", got)
	}
	must(t, "keys", "rotate", "kek", "--data", dir)
	for limit := time.Now().Add(30 * time.Second); status(t, p.url, dir, "phone-5", "GET", "/v1/account/receipt") != 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("no receipt")
		}
	}
	if got := status(t, p.url, dir, "phone-5", "POST", "/v1/account"); got != 204 {
		t.Errorf("coming back: %d", got)
	}
	back := crashClient(t, p.url, dir, phonetest.Load(5))
	if err := grantConsent(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	putAll(t, back, phonetest.Load(5), 0, 2)
	close(stop)
	n := <-stopped
	putAll(t, crashClient(t, p.url, dir, phonetest.Load(0)), phonetest.Load(0), n, n+1)
	out = must(t, "keys", "list", "--data", dir)
	for _, want := range []string{"kek     1 ", "data    2 ", "0 of them by an older version", "of 6 people, ", "1 were destroyed", "issuer  1 "} {
		if !strings.Contains(out, want) {
			t.Errorf("it says %s, want %q in it", out, want)
		}
	}
	must(t, "backup", after, "--data", dir)
	p.stop(t, syscall.SIGTERM)
	if out := must(t, "fsck", "--data", dir); !strings.Contains(out, "6 people (0 erased)") {
		t.Errorf("fsck says %s", out)
	}
	restores(t, dir, before, after, formerKeys)
}

// restores puts back a backup from before the rotations, which opens, and one from
// behind them, which keys from before do not.
func restores(t *testing.T, dir, before, after, formerKeys string) {
	t.Helper()
	root := filepath.Dir(dir)
	keys := "tink:" + dir + ".keys"
	if _, stderr, code := clarity(t, "restore", after, "--data", filepath.Join(root, "a"), "--keys", "tink:"+formerKeys); code != 1 || !strings.Contains(stderr, "the keys are older than the backup") {
		t.Errorf("keys of before: exit %d, %s", code, stderr)
	}
	for i, from := range []string{before, after} {
		to := filepath.Join(root, []string{"b", "c"}[i])
		must(t, "restore", from, "--data", to, "--keys", keys)
		if out := must(t, "fsck", "--data", to, "--keys", keys); !strings.Contains(out, "6 people (") {
			t.Errorf("fsck of %s says %s", from, out)
		}
		p := startPlatform(t, to, "--unlimited", "--keys", keys)
		if s, err := crashClient(t, p.url, to, phonetest.Load(1)).Merged(t.Context(), phonetest.Load(1).Upload(t, 2).ID); err != nil || s.State != "merged" {
			t.Errorf("of %s: %+v, %v", from, s, err)
		}
		if got := status(t, p.url, to, "phone-1", "GET", "/v1/days/2025-06-03"); got != 200 {
			t.Errorf("a day of %s: %d", from, got)
		}
		p.stop(t, syscall.SIGTERM)
	}
}

// What was written since data keys were rotated needs keys that know of it.
func TestKeysFromBeforeARotationAreRefused(t *testing.T) {
	root := t.TempDir()
	dir, copied, former := filepath.Join(root, "data"), filepath.Join(root, "copy"), filepath.Join(root, "former.keys")
	startPlatform(t, dir).stop(t, syscall.SIGTERM)
	must(t, "subject", "--data", dir, "--user", "anna") // somebody is named
	if err := os.CopyFS(former, os.DirFS(dir+".keys")); err != nil {
		t.Fatal(err)
	}
	must(t, "keys", "rotate", "data", "--data", dir)
	must(t, "backup", copied, "--data", dir)
	to := filepath.Join(root, "to")
	if _, stderr, code := clarity(t, "restore", copied, "--data", to, "--keys", "tink:"+former); code != 1 || !strings.Contains(stderr, "their data keys were rotated 0 times, and 1 times when it was made") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	must(t, "keys", "rotate", "kek", "--data", dir)
	must(t, "restore", copied, "--data", to, "--keys", "tink:"+dir+".keys")
}

// A rotation that is killed goes on where it is said again, with a platform running or
// none; meanwhile everything opens.
func TestARotationThatIsKilledGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startPlatform(t, dir, "--unlimited")
	c := crashClient(t, p.url, dir, phonetest.Load(0))
	if err := grantConsent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	putAll(t, c, phonetest.Load(0), 0, 2)
	cut := 0
	for n := 2; n < 12; n++ {
		k := exec.Command(binary(t), "keys", "rotate", "kek", "--data", dir)
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(n) * 4 * time.Millisecond)
		_ = k.Process.Kill()
		_ = k.Wait()
		if out := must(t, "keys", "list", "--data", dir); strings.Contains(out, "kek     2 ") {
			cut++
		}
		putAll(t, c, phonetest.Load(0), n, n+1)
	}
	t.Logf("%d of 10 were cut between", cut)
	p.stop(t, syscall.SIGTERM)
	must(t, "keys", "rotate", "kek", "--data", dir)
	if out := must(t, "keys", "list", "--data", dir); !strings.Contains(out, "kek     1 ") {
		t.Errorf("it says %s", out)
	}
	must(t, "fsck", "--data", dir)
}

// None of them makes a key where there is none.
func TestWhatKeysCannot(t *testing.T) {
	empty, dir := t.TempDir(), filepath.Join(t.TempDir(), "data")
	startPlatform(t, dir).stop(t, syscall.SIGTERM)
	tests := map[string]struct {
		words []string
		code  int
		want  string
	}{
		"no word":              {[]string{"--data", dir}, 2, "say `clarity keys list`"},
		"another word":         {[]string{"rotate", "--data", dir}, 2, "say `clarity keys list`"},
		"of the token":         {[]string{"retire", "kek", "--data", dir}, 2, "say `clarity keys list`"},
		"where no key is":      {[]string{"list", "--data", empty}, 1, "there is nothing of the keys"},
		"where no place is":    {[]string{"rotate", "kek", "--data", filepath.Join(empty, "x")}, 1, "there is no data directory"},
		"where no issuer is":   {[]string{"rotate", "issuer", "--data", empty}, 1, "there is nothing of the identity at "},
		"a driver that is not": {[]string{"list", "--data", dir, "--keys", "kms:x"}, 2, "no driver"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := clarity(t, append([]string{"keys"}, tt.words...)...)
			if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, %q %q; want %d with %q", code, stdout, stderr, tt.code, tt.want)
			}
		})
	}
	if made, err := os.ReadDir(empty); err != nil || len(made) > 0 {
		t.Errorf("made %v, %v", made, err)
	}
}

// The first start on the directory of a release that had the keys within it answers,
// and so does the next.
func TestADirectoryWithItsKeysWithinIsStartedOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	startPlatform(t, dir).kill()
	if err := os.Rename(dir+".keys", filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		startPlatform(t, dir).kill()
	}
	if _, err := os.Stat(dir + ".keys"); err != nil {
		t.Errorf("the keys were not moved: %v", err)
	}
}
