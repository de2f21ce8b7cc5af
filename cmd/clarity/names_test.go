package main

import (
	"bytes"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
)

// No file of a data directory names a person, an upload or a sample: not while they
// upload, nor behind a deletion, a revocation, an export or an erasure.
func TestNoFileNamesAPerson(t *testing.T) {
	const uid = "anna-who-is-looked-for"
	dir := filepath.Join(t.TempDir(), "data")
	p := startPlatform(t, dir, "--unlimited")
	c := phone.New(p.url, strings.TrimSpace(must(t, "token", "--data", dir, "--user", uid)), time.Minute, nil)
	t.Cleanup(c.Close)
	if err := grantConsent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l := phonetest.Load(7)
	secrets := map[string][]byte{"the uid": []byte(uid)}
	note := func(what, id string) {
		secrets[what] = []byte(id)
		raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
		if err != nil || len(raw) != 16 {
			t.Fatalf("%q is no uuid: %v", id, err)
		}
		secrets[what+", as bytes"] = raw
	}
	const uploads = 8
	for n := range uploads {
		note("upload "+l.Upload(t, n).ID, l.Upload(t, n).ID)
		samples, _ := l.Content(n)
		for _, s := range samples {
			note("sample "+s.UUID, s.UUID)
		}
	}
	putAll(t, c, l, 0, 4)
	namesNobody(t, dir, "after activity", secrets)
	putAll(t, c, l, 4, uploads) // the first of which deletes
	for _, call := range [][2]string{{"POST", "/v1/exports"}, {"GET", "/v1/uploads"}, {"GET", "/v1/days"}, {"GET", "/v1/uploads/" + l.Upload(t, 2).ID}} {
		if got := status(t, p.url, dir, uid, call[0], call[1]); got >= 300 {
			t.Errorf("%s %s: %d", call[0], call[1], got)
		}
	}
	atRest(t, p)
	namesNobody(t, dir, "after a deletion and an export", secrets)
	if got := status(t, p.url, dir, uid, "DELETE", "/v1/account"); got != 202 {
		t.Fatalf("erase: %d", got)
	}
	for limit := time.Now().Add(30 * time.Second); status(t, p.url, dir, uid, "GET", "/v1/account/receipt") != 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("no receipt")
		}
	}
	must(t, "token", "revoke", "--data", dir, "--user", uid)
	namesNobody(t, dir, "behind the receipt", secrets)
	p.stop(t, syscall.SIGTERM)
	namesNobody(t, dir, "at rest", secrets)
}

// namesNobody looks for the secrets in every file of the directory.
func namesNobody(t *testing.T, dir, when string, secrets map[string][]byte) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) { // a log that was truncated meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		files++
		for what, secret := range secrets {
			if bytes.Contains(data, secret) {
				t.Errorf("%s: %s names %s", when, path, what)
			}
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%s: %d files, %v", when, files, err)
	}
}
