package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/sqlite"
)

// inSQL does something with the database as no Store does.
func inSQL(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every document of a release before is given its new place once, all or none; what is
// cut behind that is finished.
func TestDocumentsAreRenamedOnce(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	const people = 30
	due := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	s := open(t, dir)
	for i := range people {
		uid := fmt.Sprint("former-name-", i)
		if _, err := s.Batch(ctx, []store.Write{
			{Key: store.Key{Collection: "days", UID: uid, Key: "k"}, Data: []byte("day")},
			{Key: store.Key{Collection: "agenda", UID: uid, Key: "k"}, Data: []byte("entry"), Due: due},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	inSQL(t, dir, `UPDATE names SET renamed = 0`)
	calls := 0
	rename := func(d store.Document) (store.Document, error) {
		calls++
		d.Key.UID, d.Data = "new-"+d.Key.UID[len("former-name-"):], append([]byte("of "), d.Data...)
		return d, nil
	}
	cut := errors.New("cut")
	if _, err := sqlite.Rename(ctx, dir, func(d store.Document) (store.Document, error) {
		if calls == people {
			return d, cut
		}
		return rename(d)
	}); !errors.Is(err, cut) {
		t.Fatal(err)
	}
	for calls = 0; ; inSQL(t, dir, `UPDATE names SET renamed = 1`) { // as if the process had died there
		n, err := sqlite.Rename(ctx, dir, rename)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if n != 2*people {
			t.Errorf("%d documents were renamed", n)
		}
	}
	if calls != 2*people {
		t.Errorf("%d documents were renamed in all, want %d", calls, 2*people)
	}
	data, err := os.ReadFile(filepath.Join(dir, sqlite.FileName))
	if err != nil || bytes.Contains(data, []byte("former-name")) {
		t.Errorf("a former name is left, %v", err)
	}
	s = open(t, dir)
	defer s.Close()
	for i := range people {
		uid := fmt.Sprint("new-", i)
		d, err := s.Get(ctx, store.Key{Collection: "days", UID: uid, Key: "k"})
		if err != nil || string(d.Data) != "of day" {
			t.Errorf("%s: %+v, %v", uid, d, err)
		}
		found := false
		docs, err := s.Due(ctx, []string{"agenda", "uploads", "accounts"}, store.ShardOf(uid), due, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			found = found || d.Key.UID == uid && string(d.Data) == "of entry"
		}
		if !found {
			t.Errorf("%s is not due in their shard", uid)
		}
	}
	// A directory that this release has made has nothing to be renamed.
	fresh := t.TempDir()
	s = open(t, fresh)
	if _, err := s.Batch(context.Background(), []store.Write{{Key: store.Key{Collection: "days", UID: "u", Key: "k"}, Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := sqlite.Rename(ctx, fresh, rename); n != 0 || err != nil || calls != 2*people {
		t.Errorf("%d renamed, %v", n, err)
	}
}
