package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/clarity-loop/clarity/services/store"
)

// Every legal key sorts between these two: no legal byte is as small as the
// first, none as large as the second.
const (
	belowEveryByte = "!"
	aboveEveryKey  = "~"
)

// Get returns the document, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if err := k.Check(); err != nil {
		return store.Document{}, fmt.Errorf("get document: %w", err)
	}
	d := store.Document{Key: k}
	var t times
	err := s.get.QueryRowContext(ctx, k.Collection, k.UID, k.Key).Scan(&d.Version, &t.updated, &t.due, &t.came, &d.Data)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Document{}, faulted("get", err)
	}
	t.enter(&d)
	return d, nil
}

// List returns the documents of the query, in byte order of keys or the reverse.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	stmt, args := s.query(q)
	docs, err := documents(ctx, stmt, func(d *store.Document, t *times) []any {
		d.Key = store.Key{Collection: q.Collection, UID: q.UID}
		return []any{&d.Key.Key, &d.Version, &t.updated, &t.due, &t.came, &d.Data}
	}, args...)
	if err != nil {
		return nil, faulted("list", err)
	}
	return docs, nil
}

// uploads is the collection of what has a time at which it came.
const uploads = "uploads"

// query is the statement that lists, with its arguments.
func (s *Store) query(q store.Query) (*sql.Stmt, []any) {
	if q.Newest {
		came := int64(math.MaxInt64)
		if q.After != "" {
			came = q.Came.UnixMilli()
		}
		return s.newest, []any{q.UID, came, came, q.After, q.Limit}
	}
	low, high, stmt := q.From, q.To, s.ascending
	if high == "" {
		high = aboveEveryKey
	}
	if q.Descending {
		stmt = s.descending
		if q.After != "" {
			high = min(high, q.After)
		}
	} else if q.After != "" {
		low = max(low, q.After+belowEveryByte)
	}
	return stmt, []any{q.Collection, q.UID, low, high, q.Limit}
}

// Due returns what is due of the collections in the agenda's shard, the oldest first.
func (s *Store) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	if shard < 0 || shard >= store.Shards || limit < 1 || limit > store.MaxLimit {
		return nil, faulted("due", fmt.Errorf("no shard %d, or no limit %d", shard, limit))
	}
	of, err := json.Marshal(collections)
	if err != nil {
		return nil, faulted("due", err)
	}
	docs, err := documents(ctx, s.due, func(d *store.Document, t *times) []any {
		return []any{&d.Key.Collection, &d.Key.UID, &d.Key.Key, &d.Version, &t.updated, &t.due, &t.came, &d.Data}
	}, shard, before.UnixMicro(), string(of), limit)
	if err != nil {
		return nil, faulted("due", err)
	}
	return docs, nil
}

// Stirring are the shards in which something is due, by one look at the index.
func (s *Store) Stirring(ctx context.Context, before time.Time) (shards []int, err error) {
	rows, err := s.stirring.QueryContext(ctx, before.UnixMicro())
	if err != nil {
		return nil, faulted("due", err)
	}
	defer rows.Close()
	for rows.Next() {
		var shard int
		if err := rows.Scan(&shard); err != nil {
			return nil, faulted("due", err)
		}
		shards = append(shards, shard)
	}
	if err := rows.Err(); err != nil {
		return nil, faulted("due", err)
	}
	return shards, nil
}

// People lists whom there are documents of: those with an account or a consent,
// in byte order, behind the one given.
func (s *Store) People(ctx context.Context, after string, limit int) (uids []string, err error) {
	if limit < 1 || limit > store.MaxLimit {
		return nil, faulted("list people", fmt.Errorf("limit %d", limit))
	}
	const query = `SELECT DISTINCT uid FROM documents WHERE collection IN ('accounts', 'consents') AND uid > ? ORDER BY uid LIMIT ?`
	rows, err := s.db.Reader().QueryContext(ctx, query, after, limit)
	if err != nil {
		return nil, faulted("list people", err)
	}
	defer rows.Close()
	for rows.Next() {
		var uid string
		if err := rows.Scan(&uid); err != nil {
			return nil, faulted("list people", err)
		}
		uids = append(uids, uid)
	}
	if err := rows.Err(); err != nil {
		return nil, faulted("list people", err)
	}
	return uids, nil
}

// documents are the rows of a query, each scanned into the fields named.
func documents(ctx context.Context, stmt *sql.Stmt, fields func(*store.Document, *times) []any, args ...any) ([]store.Document, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var docs []store.Document
	for rows.Next() {
		var d store.Document
		var t times
		if err := rows.Scan(fields(&d, &t)...); err != nil {
			return nil, err
		}
		t.enter(&d)
		docs = append(docs, d)
	}
	return docs, rows.Err()
}

// times are a row's, as it has them.
type times struct {
	updated int64
	due     sql.NullInt64
	came    sql.NullInt64
}

func (t times) enter(d *store.Document) {
	d.Updated = time.Unix(0, t.updated).UTC()
	if t.due.Valid {
		d.Due = time.UnixMicro(t.due.Int64).UTC()
	}
	if t.came.Valid {
		d.Came = time.UnixMilli(t.came.Int64).UTC()
	}
}
