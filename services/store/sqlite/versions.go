package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// reservedAtOnce is how many versions one write of the disk is enough for.
const reservedAtOnce = 1024

// versions is the sequence that versions are taken from. The database knows up
// to which number they may have been given: who opens it goes on behind that.
type versions struct {
	last, reserved int64
	reserve        *sql.Stmt
}

func (v *versions) open(ctx context.Context, db *sql.DB) error {
	if err := db.QueryRowContext(ctx, `SELECT reserved FROM versions`).Scan(&v.reserved); err != nil {
		return fmt.Errorf("read how far versions are given: %w", err)
	}
	v.last = v.reserved
	return nil
}

// next is a version that no document ever had.
func (v *versions) next() (int64, error) {
	if v.last == v.reserved {
		if err := v.renew(); err != nil {
			return 0, err
		}
	}
	v.last++
	return v.last, nil
}

// renew reserves more versions in the transaction that is open.
func (v *versions) renew() error {
	if _, err := v.reserve.Exec(v.last + reservedAtOnce); err != nil {
		return fmt.Errorf("reserve versions: %w", err)
	}
	v.reserved = v.last + reservedAtOnce
	return nil
}

// lost says that the transaction was undone: what it reserved is not.
func (v *versions) lost() { v.reserved = v.last }
