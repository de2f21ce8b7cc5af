// Package sqlite keeps the store's documents in one SQLite database: the
// embedded driver.
//
// The database belongs to one process at a time: Open refuses a second, and
// Watch, which tells of changes without asking the disk, relies on it.
// Concurrent writes share one transaction and one sync of the disk; each has
// its own outcome, and sees those that came before it in the group.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
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
) STRICT`}

// A Store is a store.Driver over a database file.
type Store struct {
	db    *litedb.DB
	group *batch.Committer[*operation]
	now   func() time.Time
	watch watchers

	// Statements of the connection that writes; only commit uses them.
	create, replace, upsert, remove, removeAny, versionOf, erase *sql.Stmt
	// Statements of the connections that read.
	get, ascending, descending *sql.Stmt
}

var _ store.Driver = (*Store)(nil)

// An operation is one caller's change, with what it came to.
type operation struct {
	write   store.Write
	erase   string // a uid: everything of it goes
	version int64
	changed bool
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
		{&s.create, `INSERT INTO documents (collection, uid, key, version, updated, data) VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO NOTHING`},
		{&s.replace, `UPDATE documents SET version = version + 1, updated = ?, data = ?` + at + ` AND version = ?`},
		{&s.upsert, `INSERT INTO documents (collection, uid, key, version, updated, data) VALUES (?, ?, ?, 1, ?, ?)
			ON CONFLICT DO UPDATE SET version = version + 1, updated = excluded.updated, data = excluded.data`},
		{&s.remove, `DELETE FROM documents` + at + ` AND version = ?`},
		{&s.removeAny, `DELETE FROM documents` + at},
		{&s.versionOf, `SELECT version FROM documents` + at},
		{&s.erase, `DELETE FROM documents WHERE collection = ? AND uid = ?`},
	} {
		if *p.stmt, err = s.db.Prepare(ctx, p.text); err != nil {
			return err
		}
	}
	const list = `SELECT key, version, updated, data FROM documents WHERE collection = ? AND uid = ? AND key >= ? AND key < ? ORDER BY key`
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.get, `SELECT version, updated, data FROM documents` + at},
		{&s.ascending, list + ` LIMIT ?`},
		{&s.descending, list + ` DESC LIMIT ?`},
	} {
		if *p.stmt, err = s.db.Reader().PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
	}
	return nil
}

// Close commits what waits, checkpoints and closes the database.
func (s *Store) Close() error {
	s.group.Close()
	if err := s.db.Close(); err != nil {
		return faulted("close", err)
	}
	return nil
}

// Write applies one conditional change; see store.Driver.
func (s *Store) Write(ctx context.Context, w store.Write) (int64, error) {
	if err := w.Key.Check(); err != nil {
		return 0, fmt.Errorf("write document: %w", err)
	}
	if w.IfVersion < store.Any {
		return 0, faulted("write", fmt.Errorf("%w: version %d", store.ErrConflict, w.IfVersion))
	}
	op := &operation{write: w}
	if err := s.group.Do(ctx, op); err != nil {
		return 0, faulted("write", err)
	}
	return op.version, nil
}

// EraseUser removes every document of the uid but its account. When it returns
// nil the bytes are in neither the database nor its log.
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
	updated := s.now().UnixNano()
	var erased bool
	failed := s.db.Tx(func() error {
		for i, op := range ops {
			var err error
			if op.erase != "" {
				erased, err = true, s.eraseUser(op)
			} else {
				err = s.apply(op, updated)
			}
			switch {
			case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
				errs[i] = err
			case err != nil:
				return err
			}
		}
		return nil
	})
	if failed != nil {
		for i := range errs {
			errs[i] = failed
		}
		return errs
	}
	for _, op := range ops {
		switch {
		case op.erase != "":
			s.watch.notifyAll(op.erase)
		case op.changed:
			s.watch.notify(op.write.Key.Collection, op.write.Key.UID)
		}
	}
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

func (s *Store) eraseUser(op *operation) error {
	for _, collection := range store.Personal() {
		if _, err := s.erase.Exec(collection, op.erase); err != nil {
			return fmt.Errorf("delete %s: %w", collection, err)
		}
	}
	return nil
}

// apply runs one write inside the group's transaction.
func (s *Store) apply(op *operation, updated int64) error {
	w, k := &op.write, &op.write.Key
	var r sql.Result
	var err error
	switch {
	case w.Data == nil && w.IfVersion == store.Any:
		r, err = s.removeAny.Exec(k.Collection, k.UID, k.Key)
	case w.Data == nil:
		r, err = s.remove.Exec(k.Collection, k.UID, k.Key, w.IfVersion)
	case w.IfVersion == 0:
		op.version = 1
		r, err = s.create.Exec(k.Collection, k.UID, k.Key, updated, w.Data)
	case w.IfVersion == store.Any:
		if r, err = s.upsert.Exec(k.Collection, k.UID, k.Key, updated, w.Data); err == nil {
			err = s.versionOf.QueryRow(k.Collection, k.UID, k.Key).Scan(&op.version)
		}
	default:
		op.version = w.IfVersion + 1
		r, err = s.replace.Exec(updated, w.Data, k.Collection, k.UID, k.Key, w.IfVersion)
	}
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return err
	}
	if op.changed = n > 0; op.changed {
		return nil
	}
	return s.refused(op)
}

// refused says why a write changed nothing.
func (s *Store) refused(op *operation) error {
	w, k := &op.write, &op.write.Key
	op.version = 0
	if w.Data != nil {
		return store.ErrConflict
	}
	var version int64
	err := s.versionOf.QueryRow(k.Collection, k.UID, k.Key).Scan(&version)
	switch {
	case errors.Is(err, sql.ErrNoRows) && w.IfVersion == 0:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	}
	return store.ErrConflict
}

// faulted is store.Fault, with the class that SQLite's result code says.
func faulted(op string, err error) error { return store.Fault(op, litedb.Classified(err)) }
