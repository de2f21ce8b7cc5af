package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/sqlite"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

func open(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(s *sqlite.Store, w store.Write) (int64, error) {
	versions, err := s.Batch(context.Background(), []store.Write{w})
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		dir := t.TempDir()
		var s *sqlite.Store
		shut := func() {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		t.Cleanup(shut)
		return func() store.Driver {
			shut()
			s = open(t, dir)
			return s
		}
	})
}

func TestASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	var inUse *dirlock.InUseError
	if _, err := sqlite.Open(context.Background(), dir, time.Now); !errors.As(err, &inUse) {
		t.Errorf("second Open: %v, want an InUseError", err)
	}
	if _, err := write(s, store.Write{Key: store.Key{Collection: "days", UID: "u", Key: "k"}, Data: []byte("x")}); err != nil {
		t.Errorf("the first is disturbed: %v", err)
	}
}

func TestADirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(context.Background(), filepath.Join(file, "dir"), time.Now)
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("Open: %v, want one sentence", err)
	}
}

func TestAnErasedPersonsBytesAreInNoFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	ctx := context.Background()
	const secret, bystander = "3c0ffee-secret", "3c0ffee-bystander"
	for i := range 200 { // small and large, replaced and deleted before the erasure
		for uid, mark := range map[string]string{"u": secret, "v": bystander} {
			k := store.Key{Collection: "days", UID: uid, Key: fmt.Sprintf("%s-%d", mark, i)}
			for range 2 {
				data := []byte(strings.Repeat(mark+".", 1+i*(i%3)))
				if _, err := write(s, store.Write{Key: k, IfVersion: store.Any, Data: data}); err != nil {
					t.Fatal(err)
				}
			}
			if i%5 == 0 {
				if _, err := write(s, store.Write{Key: k, IfVersion: store.Any}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n := grep(t, dir, secret); n == 0 {
		t.Fatal("the secret is not in the files before the erasure: this test would prove nothing")
	}
	if err := s.EraseUser(ctx, "u"); err != nil {
		t.Fatal(err)
	}
	if n := grep(t, dir, secret); n != 0 {
		t.Errorf("%d copies of the secret are in the files after the erasure", n)
	}
	if n := grep(t, dir, bystander); n == 0 {
		t.Error("the other person's documents are gone too")
	}
}

func grep(t *testing.T, dir, mark string) int {
	t.Helper()
	var n int
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(content, []byte(mark))
	}
	return n
}

func TestFilesAreThePersonsOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	defer s.Close()
	for _, name := range []string{".", sqlite.FileName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

// BenchmarkWrite has 16 callers write a new document of 1 KiB each, as ingress does.
func BenchmarkWrite(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	data := bytes.Repeat([]byte("0123456789abcdef"), 64)
	b.ReportAllocs()
	start := cpu(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < b.N; i += 16 {
				k := store.Key{Collection: "uploads", UID: fmt.Sprintf("user-%d", i%50), Key: fmt.Sprintf("0192f0c1-7c1e-7d6a-9b1a-%012d", i)}
				if _, err := write(s, store.Write{Key: k, Data: data}); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-µs/op")
}

func TestADatabaseOfALaterReleaseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	later, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := later.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := later.Close(); err != nil {
		t.Fatal(err)
	}
	var f *fault.Error
	if _, err := sqlite.Open(t.Context(), dir, time.Now); !errors.As(err, &f) || f.Class != fault.Newer || f.Room != "store" {
		t.Errorf("%v; want a fault of the class newer", err)
	}
}

// A directory of the release before, whose documents counted their own changes.
func TestADatabaseWithCountedVersionsIsKept(t *testing.T) {
	dir := t.TempDir()
	before, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.ExecContext(t.Context(), `CREATE TABLE documents (
	id INTEGER PRIMARY KEY, collection TEXT NOT NULL, uid TEXT NOT NULL, key TEXT NOT NULL,
	version INTEGER NOT NULL, updated INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (collection, uid, key)) STRICT;
INSERT INTO documents (collection, uid, key, version, updated, data) VALUES ('days', 'u', 'k', 7, 1000000000, x'6b657074'),
	('uploads', 'u', 'upload-1', 1, 3000000000, x'6b'), ('uploads', 'u', 'upload-2', 1, 4000000000, x'6b');
PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	defer s.Close()
	k := store.Key{Collection: "days", UID: "u", Key: "k"}
	d, err := s.Get(t.Context(), k)
	if err != nil || d.Version != 7 || string(d.Data) != "kept" || !d.Updated.Equal(time.Unix(1, 0)) {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := write(s, store.Write{Key: k, IfVersion: 7}); err != nil {
		t.Fatal(err)
	}
	// What was kept without the time it came is listed by that of its last change.
	uploads, err := s.List(t.Context(), store.Query{Collection: "uploads", UID: "u", Newest: true, Limit: 10})
	if err != nil || len(uploads) != 2 || uploads[0].Key.Key != "upload-2" || !uploads[0].Came.Equal(time.Unix(4, 0)) {
		t.Errorf("uploads of before: %v, %v", uploads, err)
	}
	// Nobody knows how far a deleted document had counted.
	if version, err := write(s, store.Write{Key: k, Data: []byte("new")}); err != nil || version <= 1<<32 {
		t.Errorf("version %d, %v; want one that no document had", version, err)
	}
}

func TestADriverThatCannotCommitIsNotReadyUntilItCan(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	k := store.Key{Collection: "days", UID: "u", Key: "k"}
	if _, err := write(s, store.Write{Key: k, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Hasty(); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := write(s, store.Write{Key: k, IfVersion: store.Any, Data: []byte("y")}); err == nil {
		t.Fatal("the commit went through: this test proves nothing")
	}
	var f *fault.Error
	if err := s.Ready(t.Context()); !errors.As(err, &f) || f.Op != "ready" {
		t.Errorf("ready: %v, want a fault", err)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready, as nothing stands in the way any more: %v", err)
	}
	if _, err := write(s, store.Write{Key: k, IfVersion: store.Any, Data: []byte("y")}); err != nil {
		t.Errorf("write: %v", err)
	}
}
