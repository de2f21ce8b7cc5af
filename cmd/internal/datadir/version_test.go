package datadir_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

func TestADirectoryOfALaterReleaseIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	path := filepath.Join(dir, "VERSION")
	if text, err := os.ReadFile(path); err != nil || string(text) != "3\n" {
		t.Fatalf("%q, %v", text, err)
	}
	start(t, dir)
	for text, want := range map[string]string{"4\n": "was written by a newer program (version 4, this one knows 3)", "x": "names no version", "-1\n": "names no version", "0": "names no version", "+3\n": "names no version", "": "names no version"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := names(t, dir)
		_, opened := open(t, dir, capability.Queue)
		_, _, leased := lease(dir, 0).Acquire(t.Context())
		for _, err := range []error{opened, leased} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", text, err)
			}
		}
		if after := names(t, dir); after != before {
			t.Errorf("%q: %s became %s", text, before, after)
		}
	}
}

// A directory of the release before, whose uploads are on no agenda, is brought to
// this layout: what waits is put there, what has served its time goes, once.
func TestWhatAReleaseBeforeHasLeftIsTakenUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	furnish(t, dir)
	kept(t, dir, func(o platform.Opened) {
		for i := range 250 {
			u := record.Upload{State: record.UploadMerged}
			if i%2 == 0 {
				u = record.Upload{State: record.UploadReceived, Historical: i == 0}
			}
			if _, err := o.Store.Uploads.Put(t.Context(), "anna", fmt.Sprintf("upload-%04d", i), 0, u); err != nil {
				t.Fatal(err)
			}
		}
	})
	path := filepath.Join(dir, "VERSION")
	later := func() time.Time { return time.Now().Add(32 * 24 * time.Hour) }
	for at, want := range map[string][2]int{"before": {125, 250}, "after": {125, 125}} {
		copied := filepath.Join(t.TempDir(), "data")
		if err := errors.Join(os.CopyFS(copied, os.DirFS(dir)), os.CopyFS(copied+".keys", os.DirFS(dir+".keys")), os.WriteFile(filepath.Join(copied, "VERSION"), []byte("1\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		l := lease(copied, 0)
		if l.Needs = whole; at == "after" {
			l.Env.Now = later
		}
		for range 2 { // the second finds it done
			o, release, err := l.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var due []store.Document
			for shard := range store.Shards {
				some, err := o.Store.Due(t.Context(), shard, later(), 1000)
				if err != nil {
					t.Fatal(err)
				}
				due = append(due, some...)
			}
			uploads, err := o.Store.Uploads.List(t.Context(), "anna", store.Query{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if len(due) != want[0] || len(uploads) != want[1] {
				t.Errorf("%s they served their time: %d are on the agenda, %d are kept; want %v", at, len(due), len(uploads), want)
			}
			if err := release(); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(copied, "VERSION"))
			if err != nil || string(text) != "3\n" {
				t.Errorf("%q, %v", text, err)
			}
		}
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if log := start(t, dir); !strings.Contains(log, "uploads=125") {
		t.Errorf("the log says %s", log)
	}
	if log := start(t, dir); strings.Contains(log, "uploads=") {
		t.Errorf("a second start says %s", log)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}
