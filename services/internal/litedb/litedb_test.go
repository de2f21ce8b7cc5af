package litedb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/internal/litedb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	background = context.Background()
	first      = []string{`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL) STRICT`}
	second     = append(first[:1:1], `ALTER TABLE t ADD COLUMN w TEXT NOT NULL DEFAULT 'new'; CREATE INDEX t_v ON t (v)`)
)

func open(t *testing.T, path string, migrations []string) *litedb.DB {
	t.Helper()
	db, err := litedb.Open(background, path, migrations)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func insert(t *testing.T, db *litedb.DB, values ...string) func() error {
	t.Helper()
	s, err := db.Prepare(background, `INSERT INTO t (v) VALUES (?)`)
	if err != nil {
		t.Fatal(err)
	}
	return func() error {
		for _, v := range values {
			if _, err := s.Exec(v); err != nil {
				return err
			}
		}
		return nil
	}
}

func count(t *testing.T, db *litedb.DB) (n int) {
	t.Helper()
	if err := db.Reader().QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTransactions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a #?% b", "x.db")
	db := open(t, path, first)
	if err := db.Tx(insert(t, db, "a", "b")); err != nil {
		t.Fatal(err)
	}
	if err := db.Relaxed(insert(t, db, "c")); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no")
	for _, tx := range []func(func() error) error{db.Tx, db.Relaxed} {
		if err := tx(func() error { return errors.Join(insert(t, db, "d")(), refused) }); !errors.Is(err, refused) {
			t.Errorf("a transaction that fails: %v", err)
		}
	}
	if n := count(t, db); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	if _, err := db.Reader().Exec(`DELETE FROM t`); err == nil {
		t.Error("a reader can write")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(func() error { return nil }); err == nil {
		t.Error("a closed database takes a transaction")
	}
	db = open(t, path, first)
	defer db.Close()
	if n := count(t, db); n != 3 {
		t.Errorf("opened again: %d rows, want 3", n)
	}
}

func TestHowItIsOpened(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), first)
	defer db.Close()
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "page_size": "4096", "busy_timeout": "5000", "user_version": "1",
	} {
		s, err := db.Prepare(background, "PRAGMA "+pragma)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := s.QueryRow().Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %s", pragma, got, err, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMigrationsRunOnceAndInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, first)
	if err := db.Tx(insert(t, db, "old")); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db = open(t, path, second)
		var v, w string
		if err := db.Reader().QueryRow(`SELECT v, w FROM t`).Scan(&v, &w); err != nil || v != "old" || w != "new" {
			t.Errorf("the row is %q, %q (%v)", v, w, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := litedb.Open(background, path, first); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a program that knows less: %v, want a refusal that says why", err)
	}
	broken := append(second[:2:2], `CREATE TABLE u (id INTEGER); CREATE TABLE t (id INTEGER)`)
	if _, err := litedb.Open(background, path, broken); err == nil {
		t.Error("a migration that fails is passed over")
	}
	db = open(t, path, second) // and leaves nothing behind
	defer db.Close()
	if _, err := db.Reader().Exec(`SELECT * FROM u`); err == nil {
		t.Error("half a migration was kept")
	}
}

// What a newcomer types: a directory as it is called from where one stands.
func TestARelativePathIsOneLikeAnother(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"x.db", "data/x.db", "./a b/x%20?#&.db", "../" + filepath.Base(mustGetwd(t)) + "/up.db"} {
		db := open(t, path, first)
		if err := db.Tx(insert(t, db, "kept")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: the database is not where the path says: %v", path, err)
		}
	}
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return wd
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, first)
	var inUse *dirlock.InUseError
	if _, err := litedb.Open(background, path, first); !errors.As(err, &inUse) {
		t.Errorf("second Open: %v, want an InUseError", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, first).Close()
}

func TestADamagedDatabaseTakesNoWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, first)
	values := make([]string, 4000) // more than the cache holds
	for i := range values {
		values[i] = strings.Repeat("x", 1000)
	}
	if err := db.Tx(insert(t, db, values...)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(100); page < 900; page++ {
		if _, err := f.WriteAt([]byte(strings.Repeat("damage", 600)), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path, first)
	s, err := db.Prepare(background, `UPDATE t SET v = v || 'y'`)
	if err != nil {
		t.Fatal(err)
	}
	failed := db.Tx(func() error { _, err := s.Exec(); return err })
	if failed == nil {
		t.Fatal("a damaged table is rewritten")
	}
	if err := db.Tx(func() error { return nil }); err == nil || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("the next transaction: %v, want a refusal", err)
	}
	_ = db.Close()
}

func TestAFullDatabaseTakesWritesWhenThereIsRoomAgain(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), first)
	defer db.Close()
	limit := func(pages string) {
		t.Helper()
		s, err := db.Prepare(background, "PRAGMA max_page_count = "+pages)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Exec(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	limit("10")
	big := insert(t, db, strings.Repeat("x", 100_000))
	if err := db.Tx(big); err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("a full disk: %v", err)
	}
	limit("10000")
	if err := db.Tx(big); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

func TestScrubLeavesNoDeletedByte(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "x.db"), first)
	defer db.Close()
	values := make([]string, 500)
	for i := range values {
		values[i] = strings.Repeat("s3cret", 1+i%300)
	}
	if err := db.Tx(insert(t, db, values...)); err != nil {
		t.Fatal(err)
	}
	s, err := db.Prepare(background, `DELETE FROM t`)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(func() error { _, err := s.Exec(); return err }); err != nil {
		t.Fatal(err)
	}
	if err := db.Scrub(background); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "s3cret") {
			t.Errorf("%s holds what was deleted", f.Name())
		}
	}
}
