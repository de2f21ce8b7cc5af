package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	var updated int64
	err := s.get.QueryRowContext(ctx, k.Collection, k.UID, k.Key).Scan(&d.Version, &updated, &d.Data)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Document{}, faulted("get", err)
	}
	d.Updated = time.Unix(0, updated).UTC()
	return d, nil
}

// List returns the documents of the query, in byte order of keys or the reverse.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
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
	docs, err := list(ctx, stmt, q, low, high)
	if err != nil {
		return nil, faulted("list", err)
	}
	return docs, nil
}

func list(ctx context.Context, stmt *sql.Stmt, q store.Query, low, high string) ([]store.Document, error) {
	rows, err := stmt.QueryContext(ctx, q.Collection, q.UID, low, high, q.Limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var docs []store.Document
	for rows.Next() {
		d := store.Document{Key: store.Key{Collection: q.Collection, UID: q.UID}}
		var updated int64
		if err := rows.Scan(&d.Key.Key, &d.Version, &updated, &d.Data); err != nil {
			return nil, err
		}
		d.Updated = time.Unix(0, updated).UTC()
		docs = append(docs, d)
	}
	return docs, rows.Err()
}
