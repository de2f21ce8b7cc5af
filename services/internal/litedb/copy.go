package litedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Copy writes the database at path, as it is at one moment, to a new file. A
// process may have it open and go on writing meanwhile. The copy is durable.
func Copy(ctx context.Context, path, to string) (err error) {
	if path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	db, err := sql.Open("sqlite", address(path, readerCacheKiB))
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0) //nolint:gosec // the copy that was just made
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	return nil
}

// Check is the error of a database that is not whole, every page and index of which
// it reads. It changes nothing. Nobody else has the database open.
func Check(ctx context.Context, path string) (err error) {
	var says string
	err = ask(ctx, path, "PRAGMA integrity_check(1)", &says)
	if err == nil && says != "ok" {
		err = errors.New(says)
	}
	if err != nil {
		return fmt.Errorf("check database: %w", err)
	}
	return nil
}

// Holds is the answer of a query that says yes or no. A process may have the database
// open and go on writing meanwhile.
func Holds(ctx context.Context, path, query string) (is bool, err error) {
	if err := ask(ctx, path, query, &is); err != nil {
		return false, fmt.Errorf("ask database: %w", err)
	}
	return is, nil
}

// ask asks the database at path, which is there, one thing.
func ask(ctx context.Context, path, query string, into any) (err error) {
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", address(path, readerCacheKiB, "query_only(ON)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	return errors.Join(db.QueryRowContext(ctx, query).Scan(into), db.Close())
}
