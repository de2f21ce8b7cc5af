package blobtest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/blobtest"
)

// What tests stand on keeps the contract, too.
func TestTheMemoryKeepsTheContract(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blobtest.Opener {
		m := blobtest.Memory(time.Now)
		return func() blob.Store { return m }
	})
}

func TestDamageIsFound(t *testing.T) {
	m := blobtest.Memory(time.Now)
	if err := m.Damage("a"); err == nil {
		t.Error("what is not there is damaged")
	}
	_, err := m.Put(t.Context(), "a", []byte("x"))
	if err := errors.Join(err, m.Damage("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Get(t.Context(), "a"); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
}
