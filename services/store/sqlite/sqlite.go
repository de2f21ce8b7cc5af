// Package sqlite keeps the store's documents in one SQLite database: the
// embedded driver.
//
// The database belongs to one process at a time: Open refuses a second, and
// Tail, which tells of documents without asking the disk, relies on it.
// Concurrent batches share one transaction and one sync of the disk; each has
// its own outcome, and sees those that came before it in the group.
//
// Versions are numbers of one sequence of the database: a number is given once,
// to one document.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/batch"
	"github.com/clarity-loop/clarity/services/internal/litedb"
	"github.com/clarity-loop/clarity/services/store"
)

// FileName is the database's name in its directory.
const FileName = "store.db"

const maxGroup = 128

var migrations = []string{`
CREATE TABLE documents (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	uid TEXT NOT NULL,
	key TEXT NOT NULL,
	version INTEGER NOT NULL,
	updated INTEGER NOT NULL, -- nanoseconds since 1970
	data BLOB NOT NULL,
	UNIQUE (collection, uid, key)
) STRICT`, `
ALTER TABLE documents ADD COLUMN shard INTEGER; -- of the agenda's alone, as is
ALTER TABLE documents ADD COLUMN due INTEGER;   -- microseconds since 1970
CREATE INDEX agenda ON documents (shard, due) WHERE due IS NOT NULL;
-- Up to reserved the versions may have been given. Before there was a sequence
-- each document counted its own changes: none had so many.
CREATE TABLE versions (reserved INTEGER NOT NULL) STRICT;
INSERT INTO versions VALUES (4294967296)`, `
-- 0 where documents lie under the names that the releases before gave, 1 where these
-- may be left in a page, else 2: see Rename.
CREATE TABLE names (renamed INTEGER NOT NULL) STRICT;
INSERT INTO names SELECT 2 * NOT EXISTS (SELECT 1 FROM documents)`, `
ALTER TABLE documents ADD COLUMN came INTEGER; -- of uploads alone: milliseconds since 1970
-- Of those of the releases before it is not known: most were merged within seconds.
UPDATE documents SET came = updated / 1000000 WHERE collection = 'uploads';
CREATE INDEX arrivals ON documents (uid, came DESC, key) WHERE came IS NOT NULL`}

// A Store is a store.Driver over a database file.
type Store struct {
	db       *litedb.DB
	group    *batch.Committer[*operation]
	now      func() time.Time
	tails    tails
	versions versions
	unready  atomic.Bool // the last commit did not go through

	// Statements of the connection that writes; only commit uses them.
	put, remove, versionOf, erase *sql.Stmt
	// Statements of the connections that read.
	get, ascending, descending, newest, due, stirring *sql.Stmt
}

var _ store.Driver = (*Store)(nil)

// An operation is one caller's change, with what it came to. One without writes
// and without anybody to erase only commits.
type operation struct {
	writes   []store.Write
	erase    string // a uid: everything of it goes
	versions []int64
}

// Open opens the store in the directory, which it creates where it is not
// there. The error is a *dirlock.InUseError where another process has it open.
func Open(ctx context.Context, dir string, now func() time.Time) (*Store, error) {
	db, err := litedb.Open(ctx, filepath.Join(dir, FileName), migrations)
	if errors.Is(err, litedb.ErrNewer) {
		err = &fault.Error{Room: "store", Op: "open", Class: fault.Newer, Code: err.Error(), Cause: err}
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{db: db, now: now}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(err, db.Close()))
	}
	s.group = batch.New(maxGroup, s.commit)
	return s, nil
}

func (s *Store) prepare(ctx context.Context) (err error) {
	const at = ` WHERE collection = ? AND uid = ? AND key = ?`
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.put, `INSERT INTO documents (collection, uid, key, version, updated, shard, due, came, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET version = excluded.version, updated = excluded.updated, shard = excluded.shard, due = excluded.due, came = excluded.came, data = excluded.data`},
		{&s.remove, `DELETE FROM documents` + at},
		{&s.versionOf, `SELECT version FROM documents` + at},
		{&s.erase, `DELETE FROM documents WHERE collection = ? AND uid = ?`},
		{&s.versions.reserve, `UPDATE versions SET reserved = ?`},
	} {
		if *p.stmt, err = s.db.Prepare(ctx, p.text); err != nil {
			return err
		}
	}
	const list = `SELECT key, version, updated, due, came, data FROM documents WHERE collection = ? AND uid = ? AND key >= ? AND key < ? ORDER BY key`
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.get, `SELECT version, updated, due, came, data FROM documents` + at},
		{&s.ascending, list + ` LIMIT ?`},
		{&s.descending, list + ` DESC LIMIT ?`},
		{&s.newest, `SELECT key, version, updated, due, came, data FROM documents WHERE uid = ? AND came <= ? AND (came < ? OR key > ?) ORDER BY came DESC, key LIMIT ?`},
		{&s.due, `SELECT collection, uid, key, version, updated, due, came, data FROM documents WHERE shard = ? AND due <= ? AND +collection IN (SELECT value FROM json_each(?)) ORDER BY due LIMIT ?`},
		{&s.stirring, fmt.Sprintf(`WITH RECURSIVE shards (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM shards WHERE n + 1 < %d)
			SELECT n FROM shards WHERE EXISTS (SELECT 1 FROM documents WHERE shard = n AND due <= ?)`, store.Shards)},
	} {
		if *p.stmt, err = s.db.Reader().PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
	}
	return s.versions.open(ctx, s.db.Reader())
}

// Broken is the disk's error after which nothing is committed any more, until
// the database is opened anew.
func (s *Store) Broken() error { return s.db.Broken() }

// Close commits what waits, checkpoints and closes the database.
func (s *Store) Close() error {
	s.group.Close()
	if err := s.db.Close(); err != nil {
		return faulted("close", err)
	}
	return nil
}

// Batch applies the conditional changes of one person, all or none; see store.Driver.
func (s *Store) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if err := store.CheckBatch(writes); err != nil {
		return nil, faulted("write", err)
	}
	op := &operation{writes: writes, versions: make([]int64, len(writes))}
	if err := s.group.Do(ctx, op); err != nil {
		return nil, faulted("write", err)
	}
	return op.versions, nil
}

// Ready is nil where the last commit went through, or else an empty one does.
func (s *Store) Ready(ctx context.Context) error {
	if !s.unready.Load() {
		return nil
	}
	if err := s.group.Do(ctx, &operation{}); err != nil {
		return faulted("ready", err)
	}
	return nil
}

// EraseUser removes every document of the uid but its account, and overwrites
// their cells. Copies that SQLite left in gaps when it moved cells may stay: they
// are sealed, as the documents were.
func (s *Store) EraseUser(ctx context.Context, uid string) error {
	if err := (store.Key{Collection: store.Personal()[0], UID: uid, Key: "-"}).Check(); err != nil {
		return fmt.Errorf("erase user: %w", err)
	}
	if err := s.group.Do(ctx, &operation{erase: uid}); err != nil {
		return faulted("erase", err)
	}
	return nil
}

// commit makes a group of operations durable together.
func (s *Store) commit(ops []*operation) []error {
	errs := make([]error, len(ops))
	var erased bool
	failed := s.db.Tx(func() error {
		for i, op := range ops {
			var err error
			switch {
			case op.erase != "":
				erased, err = true, s.eraseUser(op)
			case len(op.writes) > 0:
				err = s.apply(op)
			default:
				err = s.versions.renew()
			}
			switch {
			case errors.Is(err, store.ErrConflict):
				errs[i] = err
			case err != nil:
				return err
			}
		}
		return nil
	})
	s.unready.Store(failed != nil)
	if failed != nil {
		s.versions.lost()
		for i := range errs {
			errs[i] = outcome(failed)
		}
		return errs
	}
	s.tell(ops, errs)
	if erased {
		if err := s.db.Scrub(context.Background()); err != nil {
			for i, op := range ops {
				if op.erase != "" {
					errs[i] = err
				}
			}
		}
	}
	return errs
}

// outcome is the error of a transaction that failed. What a disk holds after an
// error of its own nobody knows: the next process may find that it was written.
func outcome(failed error) error {
	if litedb.DiskFailed(failed) {
		return fmt.Errorf("%w: %w", store.ErrUnknown, failed)
	}
	return failed
}

// tell tells the tails of what was written.
func (s *Store) tell(ops []*operation, errs []error) {
	for i, op := range ops {
		for _, w := range op.writes {
			if errs[i] == nil && w.Data != nil {
				s.tails.notify(place{w.Key.Collection, w.Key.UID}, w.Key.Key)
			}
		}
	}
}

func (s *Store) eraseUser(op *operation) error {
	for _, collection := range store.Personal() {
		if _, err := s.erase.Exec(collection, op.erase); err != nil {
			return fmt.Errorf("delete %s: %w", collection, err)
		}
	}
	return nil
}

// apply runs one batch inside the group's transaction: first it looks whether
// every write applies, then none is refused.
func (s *Store) apply(op *operation) error {
	for i := range op.writes {
		if err := s.applies(&op.writes[i]); err != nil {
			return err
		}
	}
	updated := s.now().UnixNano()
	for i := range op.writes {
		w := &op.writes[i]
		var err error
		switch {
		case w.Check:
			op.versions[i] = w.IfVersion
		case w.Data == nil:
			_, err = s.remove.Exec(w.Key.Collection, w.Key.UID, w.Key.Key)
		default:
			op.versions[i], err = s.keep(w, updated)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applies is store.ErrConflict where the document has another version than the write demands.
func (s *Store) applies(w *store.Write) error {
	if w.IfVersion == store.Any {
		return nil
	}
	var version int64
	err := s.versionOf.QueryRow(w.Key.Collection, w.Key.UID, w.Key.Key).Scan(&version)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	case version != w.IfVersion:
		return store.ErrConflict
	}
	return nil
}

// keep writes the document under the next version.
func (s *Store) keep(w *store.Write, updated int64) (version int64, err error) {
	if version, err = s.versions.next(); err != nil {
		return 0, err
	}
	var shard, due any
	if !w.Due.IsZero() {
		shard, due = store.ShardOf(w.Key.UID), w.Due.UnixMicro()
	}
	_, err = s.put.Exec(w.Key.Collection, w.Key.UID, w.Key.Key, version, updated, shard, due, cameOf(w), w.Data)
	return version, err
}

// cameOf is when an upload came, as it is kept; nil of all else.
func cameOf(w *store.Write) any {
	if w.Key.Collection != uploads {
		return nil
	}
	return w.Came.UnixMilli()
}

// faulted is store.Fault, with the class that SQLite's result code says.
func faulted(op string, err error) error { return store.Fault(op, litedb.Classified(err)) }
