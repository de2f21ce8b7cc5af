package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/clarity-loop/clarity/services/internal/litedb"
	"github.com/clarity-loop/clarity/services/store"
)

// Rename gives every document that a release before has kept the place and the data
// that to says, once: all of them in one transaction, so that a process that dies
// costs the work and nothing else. Then the file is written anew, so that nothing is
// left of the names of before in any page of it. The directory is the caller's alone. It returns how many there were.
func Rename(ctx context.Context, dir string, to func(store.Document) (store.Document, error)) (renamed int, err error) {
	db, err := litedb.Open(ctx, filepath.Join(dir, FileName), migrations)
	if err != nil {
		return 0, fmt.Errorf("rename documents: %w", err)
	}
	defer func() {
		if err = errors.Join(err, db.Close()); err != nil {
			err = fmt.Errorf("rename documents: %w", err)
		}
	}()
	r := renaming{to: to}
	if err := db.Reader().QueryRowContext(ctx, `SELECT renamed FROM names`).Scan(&r.done); err != nil || r.done == compacted {
		return 0, err
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&r.next, `SELECT id, collection, uid, key, due, data FROM documents WHERE id > ? ORDER BY id LIMIT 1`},
		{&r.move, `UPDATE documents SET uid = ?, key = ?, shard = ?, data = ? WHERE id = ?`},
		{&r.finish, `UPDATE names SET renamed = ?`},
	} {
		if *p.stmt, err = db.Prepare(ctx, p.text); err != nil {
			return 0, err
		}
		defer (*p.stmt).Close()
	}
	if r.done != moved {
		if err := db.Tx(func() error { return r.all(ctx) }); err != nil {
			return 0, err
		}
	}
	if err := db.Compact(ctx); err != nil {
		return r.count, err
	}
	return r.count, db.Tx(func() error {
		_, err := r.finish.ExecContext(ctx, compacted)
		return err
	})
}

// How far a Rename has come, as the database says it.
const (
	moved     = 1
	compacted = 2
)

// renaming is one run of Rename, in its transaction.
type renaming struct {
	to                 func(store.Document) (store.Document, error)
	next, move, finish *sql.Stmt
	done, count        int
}

func (r *renaming) all(ctx context.Context) error {
	for id := int64(0); ; r.count++ {
		var d store.Document
		var due sql.NullInt64
		err := r.next.QueryRowContext(ctx, id).Scan(&id, &d.Key.Collection, &d.Key.UID, &d.Key.Key, &due, &d.Data)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = r.finish.ExecContext(ctx, moved)
			return err
		}
		if err != nil {
			return err
		}
		if d, err = r.to(d); err != nil {
			return err
		}
		var shard any
		if due.Valid {
			shard = store.ShardOf(d.Key.UID)
		}
		if _, err := r.move.ExecContext(ctx, d.Key.UID, d.Key.Key, shard, d.Data, id); err != nil {
			return err
		}
	}
}
