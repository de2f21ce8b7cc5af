// Package litedb opens a SQLite database the one way the embedded drivers use
// it: a write-ahead log synced before a commit returns, one connection that
// writes, a few that read, bounded caches, deleted bytes overwritten, one
// process at a time.
package litedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/clarity-loop/clarity/internal/dirlock"
)

const (
	pageBytes        = 4096
	writerCacheKiB   = 2048
	readerCacheKiB   = 512
	readers          = 2
	checkpointPages  = 2000
	busyMilliseconds = 5000
)

// ErrNewer says that a later release has written the database.
var ErrNewer = errors.New("the database was written by a newer program")

// A DB is an open database. Its writing methods (Prepare, Tx, Relaxed, Scrub, Compact)
// belong to one goroutine; Reader may be used by any.
type DB struct {
	writePool *sql.DB
	write     *sql.Conn
	read      *sql.DB
	unlock    func() error

	begin, commit, rollback *sql.Stmt
	relaxed                 bool
	broken                  error
	told                    atomic.Pointer[error] // broken by the disk, for any goroutine
}

// Broken is the disk's error after which nothing is committed any more; any
// goroutine may ask.
func (db *DB) Broken() error {
	if err := db.told.Load(); err != nil {
		return *err
	}
	return nil
}

// Open opens the database at path, creating it and its directory (mode 0700)
// where they are not there, and applies the migrations it has not seen: each is
// a script, run once, in order, in a transaction of its own. Where another
// process has the database open the error is a *dirlock.InUseError.
//
// What a former process left in the log is checkpointed and synced before Open
// returns: nothing that can be read afterwards can still be lost.
func Open(ctx context.Context, path string, migrations []string) (*DB, error) {
	db := &DB{}
	if err := db.open(ctx, path, migrations); err != nil {
		return nil, fmt.Errorf("open database %s: %w", filepath.Base(path), errors.Join(err, db.release()))
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, path string, migrations []string) (err error) {
	if path, err = filepath.Abs(path); err != nil { // a URI's relative path would be its host
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if db.unlock, err = dirlock.LockFile(path + ".lock"); err != nil {
		return err
	}
	if db.writePool, err = sql.Open("sqlite", address(path, writerCacheKiB,
		fmt.Sprintf("page_size(%d)", pageBytes), "journal_mode(WAL)", "secure_delete(ON)",
		fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages))); err != nil {
		return err
	}
	db.writePool.SetMaxOpenConns(1)
	if db.write, err = db.writePool.Conn(ctx); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{{&db.begin, "BEGIN IMMEDIATE"}, {&db.commit, "COMMIT"}, {&db.rollback, "ROLLBACK"}} {
		if *s.stmt, err = db.write.PrepareContext(ctx, s.text); err != nil {
			return err
		}
	}
	if err := db.migrate(ctx, migrations); err != nil {
		return err
	}
	if err := db.checkpoint(ctx); err != nil {
		return err
	}
	if db.read, err = sql.Open("sqlite", address(path, readerCacheKiB, "query_only(ON)")); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	return nil
}

func address(path string, cacheKiB int, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range append([]string{fmt.Sprintf("busy_timeout(%d)", busyMilliseconds)}, append(pragmas,
		"synchronous(FULL)", fmt.Sprintf("cache_size(-%d)", cacheKiB), "mmap_size(0)")...) {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

func (db *DB) migrate(ctx context.Context, migrations []string) error {
	var version int
	if err := db.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if version > len(migrations) {
		return fmt.Errorf("%w: it has schema %d, this program knows up to %d", ErrNewer, version, len(migrations))
	}
	for i, script := range migrations[version:] {
		err := db.Tx(func() error {
			_, err := db.write.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA user_version = %d", script, version+i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate to schema %d: %w", version+i+1, err)
		}
	}
	return nil
}

// Reader is the pool of connections that read, each query a snapshot of what is committed.
func (db *DB) Reader() *sql.DB { return db.read }

// Prepare makes a statement for use inside Tx. It lives until Close.
func (db *DB) Prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	s, err := db.write.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	return s, nil
}

// Tx runs f in a transaction that is durable when Tx returns nil; where f
// returns an error nothing of it is kept. After an error of the disk during a
// commit it is unknown what the disk holds, so that nothing more is committed:
// every later Tx returns that error, until the database is opened anew. A full
// disk is not such an error: SQLite meets it before it syncs.
func (db *DB) Tx(f func() error) error { return db.tx(f, false) }

// Relaxed is Tx without the wait for the disk: what it commits survives the
// death of the process, and becomes safe from a loss of power with the next Tx.
func (db *DB) Relaxed(f func() error) error { return db.tx(f, true) }

func (db *DB) tx(f func() error, relaxed bool) error {
	ctx := context.Background() // a commit is never abandoned half way
	if db.broken != nil {
		return db.broken
	}
	if relaxed != db.relaxed {
		level := "FULL"
		if relaxed {
			level = "NORMAL"
		}
		if _, err := db.write.ExecContext(ctx, "PRAGMA synchronous = "+level); err != nil {
			return fmt.Errorf("set synchronous: %w", err)
		}
		db.relaxed = relaxed
	}
	if _, err := db.begin.ExecContext(ctx); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f()
	if err == nil {
		if _, err = db.commit.ExecContext(ctx); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// SQLite has rolled back by itself after some errors; then this one says so.
	_, _ = db.rollback.ExecContext(ctx)
	return db.note(err)
}

// note remembers an error that ends all writing.
func (db *DB) note(err error) error {
	if DiskFailed(err) {
		told := fmt.Errorf("the database takes no writes after a disk error: %w", err)
		db.broken = told
		db.told.Store(&told)
	}
	return err
}

// DiskFailed tells an error after which the state of the file is unknown.
func DiskFailed(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

// Scrub has what was deleted before out of the log: the cells deleted are
// overwritten in the database, and the log, which may hold them, is truncated. It
// takes no longer in a large database than in a small one. Where a reader holds
// the log it stays until the next time. Where SQLite moved cells from page to page
// copies may be left in the gaps: what must not be read from them is sealed.
func (db *DB) Scrub(ctx context.Context) error {
	if db.broken != nil {
		return db.broken
	}
	if err := db.checkpoint(ctx); !errors.Is(err, errHeld) {
		return err
	}
	return nil
}

var errHeld = errors.New("checkpoint: a reader holds the log")

// checkpoint moves the whole log into the database file and truncates it.
func (db *DB) checkpoint(ctx context.Context) error {
	var busy, log, moved int
	if err := db.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved); err != nil {
		return fmt.Errorf("checkpoint: %w", db.note(err))
	}
	if busy != 0 {
		return errHeld
	}
	return nil
}

// Compact writes the database anew, so that no page holds what was in it before,
// in a gap either. It takes as long as the database is large, and as much room again.
func (db *DB) Compact(ctx context.Context) error {
	if db.broken != nil {
		return db.broken
	}
	if _, err := db.write.ExecContext(ctx, "VACUUM"); err != nil {
		return fmt.Errorf("compact: %w", db.note(err))
	}
	return db.checkpoint(ctx)
}

// Close checkpoints and closes the database.
func (db *DB) Close() error {
	var err error
	if db.read != nil {
		err = db.read.Close()
		db.read = nil
	}
	if db.broken == nil && db.write != nil {
		err = errors.Join(err, db.checkpoint(context.Background()))
	}
	return errors.Join(err, db.release())
}

// release closes what is open; SQLite checkpoints with its last connection.
func (db *DB) release() error {
	var errs []error
	for _, s := range []*sql.Stmt{db.begin, db.commit, db.rollback} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if db.read != nil {
		errs = append(errs, db.read.Close())
	}
	if db.write != nil {
		errs = append(errs, db.write.Close())
	}
	if db.writePool != nil {
		errs = append(errs, db.writePool.Close())
	}
	if db.unlock != nil {
		errs = append(errs, db.unlock())
	}
	db.writePool, db.write, db.read, db.unlock = nil, nil, nil, nil
	db.begin, db.commit, db.rollback = nil, nil, nil
	db.broken = errors.New("the database is closed")
	return errors.Join(errs...)
}
