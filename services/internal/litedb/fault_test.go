package litedb_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/internal/litedb"
)

type coded struct {
	error
	code int
}

func (c coded) Code() int { return c.code }

func TestAResultCodeSaysTheClass(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"a busy database":         {coded{errors.New(faulttest.Mark), 5}, "store write: unavailable (code 5)"},
		"a full database":         {fmt.Errorf("commit: %w", coded{errors.New(faulttest.Mark), 13}), "store write: limit (no space)"},
		"a damaged one":           {coded{errors.New(faulttest.Mark), 11 | 1<<8}, "store write: broken (code 267)"},
		"a file that is none":     {coded{errors.New(faulttest.Mark), 26}, "store write: broken (code 26)"},
		"an error without a code": {errors.New(faulttest.Mark), "store write: unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := fault.Wrap("store", "write", litedb.Classified(tt.err))
			if got.Error() != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if !errors.Is(got, tt.err) {
				t.Error("the cause is lost")
			}
		})
	}
	if err := litedb.Classified(nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
}

// The code is SQLite's own, not only a test's.
func TestWhatSQLiteSaysHasAClass(t *testing.T) {
	db := open(t, t.TempDir()+"/x.db", first)
	defer db.Close()
	_, err := db.Reader().ExecContext(background, "DELETE FROM nothing")
	var f *fault.Error
	if !errors.As(fault.Wrap("store", "write", litedb.Classified(err)), &f) || f.Code != "code 1" {
		t.Errorf("%v became %v", err, f)
	}
}
